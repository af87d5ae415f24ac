//! Power control over Redfish that must not be wrong: decides on the answers of a BMC's Redfish service.
//!
//! [`Client`] follows one operation from request to request, and calls a [`Transport`] for each exchange. The crate does no
//! I/O. A state counts only if the right system reports it in a complete answer with status 200; every other answer is
//! a [`CallFailure`]. A status never proves that the power has changed.
//!
//! # What a driver must do
//!
//! One operation is one answer of a BMC. A proof needs more, and nothing in this crate does it. gnt-ha's driver is
//! `power::device::redfish`; its times are in `core::budget::redfish`.
//!
//! **A power-on that is pending.** Some BMCs carry a power-on out 10 s and more after they took it, and report "Off" until
//! then. "Off" twice, 2 s apart, proves nothing while a power-on may be pending.
//! - Send `SwitchOff` also where the first reading is "Off", and read again 10 s later. The readings after that count.
//! - Wait those 10 s also where the first reading was "On" and the "Off" came sooner than about 4 s after the response to the
//!   command: a real `ForceOff` takes longer. Another program's power cycle may be under way, which switches on again.
//! - `Accepted { refused: Some(..) }` switched nothing, and "busy" has the same status as "already off": send the command once
//!   more after those 10 s. The refusal and each text in `cautions` belong into the receipt; both together prove nothing.
//! - A BMC that takes no command proves no "Off" that it reported before.
//!
//! **The time.** About 25 s for each Redfish device of a level. A board whose chassis answers after half a minute costs up to
//! 10 s more for each "Off". A level whose share is too short must not send the command, and must not hand a host that read
//! "Off" on to the next level: that would cut the power of the BMC. Poll each 2 s: BMCs crash under more.
//!
//! **Silence.** Resolve the name before the call ([`Call`]'s `addresses`): libcurl waits for a name service that hangs beyond
//! its timeout. Refuse a timeout below [`SHORTEST_TIMEOUT`]: a shorter call can never show that a BMC is silent. After
//! [`FailureKind::Login`] silence proves nothing until the BMC has ended its block.
//!
//! **Identity.** [`KnownSystem`] lives as long as the driver keeps it, and ties one action's calls together.
//! `KnownSystem::chassis` must go from each reading into the next call, or the silence of a chassis counts as a caution only.
//! Nothing ties a BMC to its node without a configured UUID or serial number: an address can move to another host, and many
//! makers ship one key for all boards: `gnt-ha check` reports two nodes with one fingerprint.

mod client;
mod collection;
mod document;
mod extended_info;
mod find;
mod health;
mod http;
mod login;
mod message;
mod rehearsal;
mod reset;
mod secret;
mod status;
mod system;
mod uri;

pub use client::Client;
pub use http::{
    Authentication, HttpRequest, HttpResponse, LEAST_SILENCE, Method, SHORTEST_TIMEOUT, Transport, TransportError,
    TransportFault,
};
pub use message::{
    Call, CallAnswer, CallFailure, CallOperation, CallOutcome, Choice, FailureKind, HealthState, Item, KnownSystem,
    Login, PowerSeen, Tls, Trust,
};
pub use secret::HttpSecret;
pub use uri::Origin;
