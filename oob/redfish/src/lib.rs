//! Power control over Redfish that must not be wrong: decides on the answers of a BMC's Redfish service.
//!
//! [`Client`] follows one operation from request to request, and calls a [`Transport`] for each exchange. The crate does no
//! I/O. A state counts only if the right system reports it in a complete answer with status 200; every other answer is
//! a [`CallFailure`]. A status never proves that the power has changed.
//!
//! # What a driver must do
//!
//! One operation is one answer of a BMC. A proof needs more, and nothing in this crate does it. No driver exists yet.
//!
//! **A power-on that is pending.** Some BMCs carry a power-on out 10 s and more after they took it, and report "Off" until
//! then. "Off" twice, 2 s apart, proves nothing while a power-on may be pending.
//! - Send `SwitchOff` also where the first reading is "Off", in fencing as in `ganeti-oob`, and read again 10 s later. The
//!   readings after that count, and one that shows "On" undoes the earlier ones.
//! - Wait those 10 s also where the first reading was "On" and the "Off" came sooner than about 4 s after the command: a
//!   real `ForceOff` takes longer. Another program's power cycle may be under way, which switches on again.
//! - `Accepted { refused: Some(..) }` and each text in `cautions` belong into the proof. A refused command switched nothing.
//!
//! **The time.** The terms are: 10 s, 2 s, four operations of about 2 s each (process, TLS, list, system, chassis, reset),
//! and 5 s for the power-off itself. That is about 25 s for each Redfish device of a level, which `gnt-ha check` must add
//! up. A board whose chassis answers after half a minute costs up to 10 s more for each "Off".
//! - A host that is off already needs the 10 s, too: give the whole remaining time to it and not a short share. A level whose
//!   share is too short must not send the command, and must not hand a host that read "Off" twice on to the next level: that
//!   would cut the power of the BMC.
//! - The first status of a fencing, and a monitor, need two readings with 2 s between: 1 s for each is too short.
//! - Poll each 2 s and not each 0.5 s: a poll is a process, a TLS handshake and perhaps a session, and BMCs crash under that.
//! - Resolve the name in a thread of the driver. libcurl's own waits for a name service that hangs beyond its timeout, and
//!   then the call is killed without a reason. [`Call`] needs a field for the address that was found: the certificate must be
//!   that of the configured name.
//! - Refuse a timeout below [`SHORTEST_TIMEOUT`]: a shorter call can never show that a BMC is silent.
//! - A router, or the kernel after about 8 s, reports a BMC without power as unreachable (`EHOSTUNREACH`). The client says
//!   [`Shows::Unheard`] then, which proves nothing. Where connecting took at least [`SILENCE`], it means the same as
//!   [`Shows::NoSign`].
//! - A BMC that blocks this host's address after refused logins is as silent as one without power: after
//!   [`Shows::Login`], silence proves nothing until the block has ended.
//!
//! **One BMC of two nodes.** Two nodes with one address and port have one BMC: fencing the second one switches the first one
//! off and "proves" the second. Compare across drivers (`ipmi`, `redfish`, `fence_redfish`), and take two devices as one unless
//! a setting that both have differs (system, UUID without hyphens and case, serial number).
//!
//! **Identity.** [`Known`] lives as long as the driver keeps it, and ties one action's calls together. Nothing ties a BMC to
//! its node without a configured UUID or serial number: an address can move to another host, and many makers ship one key for
//! all boards.
//! - `gnt-ha check` must report two nodes whose BMCs have one fingerprint, and advise to set the UUID that it has read.
//! - Refuse addresses that are each host's own: 169.254.0.0/16, fe80::/10, loopback, 0.0.0.0. A host's internal BMC
//!   interface has the same address on every host.
//! - `Known::chassis` must go from each reading into the next call, or the silence of a chassis counts as a caution only.

mod client;
mod collection;
mod document;
mod extended_info;
mod find;
mod health;
mod http;
mod login;
mod message;
mod reset;
mod secret;
mod status;
mod system;
mod uri;

pub use client::Client;
pub use http::{
    Authentication, HttpRequest, HttpResponse, Method, SHORTEST_TIMEOUT, SILENCE, Transport, TransportError,
    TransportFault,
};
pub use message::{
    Call, CallAnswer, CallFailure, CallOperation, CallOutcome, Choice, HealthState, Item, Known, Login, PowerSeen,
    Shows, Tls, Trust,
};
pub use secret::HttpSecret;
pub use uri::Origin;
