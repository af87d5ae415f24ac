//! The errors of this crate, grouped by what an administrator can do about them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use crate::command::{completion_text, name};
use crate::handshake::Stage;
use crate::ignored::IgnoredTally;
use crate::status::describe;
use crate::suite::Algorithms;
use crate::{CipherSuite, Privilege, TargetError};

/// The reason why a session or a command failed. No error shows anything of the power of the machine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is unusable.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The BMC's name could not be resolved.
    #[error("BMC {host}: cannot resolve the name: {reason}")]
    Resolve {
        /// The host name of the BMC, as it is configured.
        host: String,
        /// The error of the system's resolver.
        reason: String,
    },
    /// The local system did not open or use a socket.
    #[error("BMC {peer}: {doing}: {source}")]
    Socket {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// The operation on the socket.
        doing: &'static str,
        /// The error of the socket call.
        source: io::Error,
    },
    /// No program listens on the BMC's port (ICMP port unreachable).
    #[error("BMC {peer}: sent {tries} packets, each was refused: nothing listens on this UDP port")]
    Refused {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// Number of refusals in a row.
        tries: u32,
    },
    /// The network reports that the BMC cannot be reached (ICMP host or network unreachable, no route).
    #[error("BMC {peer}: tried to reach it {tries} times: {source}")]
    Unreachable {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// Number of refusals in a row.
        tries: u32,
        /// The error of the last attempt, such as "no route to host".
        source: io::Error,
    },
    /// The BMC did not answer until the deadline.
    #[error("BMC {peer}: no answer to {asked}, sent {sent} times in {:.1} s; {ignored}", waited.as_secs_f32())]
    NoAnswer {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// The message that was not answered.
        asked: &'static str,
        /// How often the message was sent.
        sent: u32,
        /// How long the answer was waited for.
        waited: Duration,
        /// The datagrams that came back instead.
        ignored: IgnoredTally,
    },
    /// The deadline had passed before anything could be sent.
    #[error("BMC {peer}: the time was up before {asked} could be sent")]
    DeadlinePassed {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// The message that was not sent.
        asked: &'static str,
    },
    /// The BMC reports that it does not support IPMI 2.0.
    #[error("BMC {peer}: asked for its authentication capabilities, it does not offer IPMI 2.0 sessions")]
    NoIpmi20 {
        /// The BMC's address and port.
        peer: SocketAddr,
    },
    /// The BMC offers no allowed cipher suite.
    #[error("BMC {peer}: proposed cipher suite {suite}, refused with status {status:02X}h ({})", describe(*status))]
    CipherSuiteRefused {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// The last suite that was proposed.
        suite: CipherSuite,
        /// The RMCP+ status code (IPMI 2.0 table 13-15).
        status: u8,
    },
    /// The BMC chose algorithms that are not allowed.
    #[error("BMC {peer}: proposed cipher suite {suite}, it answered with {answered}, which is not allowed")]
    CipherSuiteChanged {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// The suite that was proposed.
        suite: CipherSuite,
        /// The algorithms that the BMC chose.
        answered: Algorithms,
    },
    /// The BMC accepted a suite and does not compute it.
    #[error("BMC {peer}: accepted cipher suite {suite}, then sent a key exchange code of zeros (RAKP message 2)")]
    NoCode {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// The suite that was accepted.
        suite: CipherSuite,
    },
    /// All sessions of the BMC are taken.
    #[error("BMC {peer}: asked {tries} times for a session, all sessions are taken (status {status:02X}h)")]
    NoSessionSlot {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// How often a session was requested.
        tries: u32,
        /// The RMCP+ status code (IPMI 2.0 table 13-15).
        status: u8,
    },
    /// The BMC does not know the user name.
    #[error("BMC {peer}: login as {username:?}: user refused with status {status:02X}h ({})", describe(*status))]
    UserRefused {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// The configured user name.
        username: String,
        /// The RMCP+ status code (IPMI 2.0 table 13-15).
        status: u8,
    },
    /// The password is not the one that the BMC has.
    #[error("BMC {peer}: login as {username:?}: the password is not the one the BMC has (RAKP message {message})")]
    WrongPassword {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// The configured user name.
        username: String,
        /// The message that showed it: 2 (this host's check) or 4 (the BMC's).
        message: u8,
    },
    /// The session keys differ although the password fits.
    #[error("BMC {peer}: login as {username:?}: the password fits but the session key does not (RAKP message 4, {})",
        if *kg_given { "K_g given" } else { "no K_g given" })]
    WrongKg {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// The configured user name.
        username: String,
        /// Whether a BMC key (K_g) was configured.
        kg_given: bool,
    },
    /// The user may not have the requested privilege level.
    #[error("BMC {peer}: login as {username:?}: privilege level {privilege} refused ({reason})")]
    PrivilegeRefused {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// The configured user name.
        username: String,
        /// The requested privilege level.
        privilege: Privilege,
        /// The meaning of the status or completion code.
        reason: String,
        /// Whether the refusal came in the session, protected with its keys.
        in_session: bool,
    },
    /// The handshake was refused for another reason.
    #[error("BMC {peer}: {asked} refused with status {status:02X}h ({})", describe(*status))]
    HandshakeRefused {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// The message that was refused.
        asked: &'static str,
        /// The RMCP+ status code (IPMI 2.0 table 13-15).
        status: u8,
    },
    /// The session's privilege level is too low for the command (D4h).
    #[error("BMC {peer}: {} refused: the privilege level of the session is too low (D4h)", name(*net_fn, *command))]
    InsufficientPrivilege {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// The network function of the request.
        net_fn: u8,
        /// The command number of the request.
        command: u8,
    },
    /// The BMC does not have the command (C1h).
    #[error("BMC {peer}: {} is not supported by the BMC (C1h)", name(*net_fn, *command))]
    Unsupported {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// The network function of the request.
        net_fn: u8,
        /// The command number of the request.
        command: u8,
    },
    /// The BMC stayed busy until the deadline (C0h, C3h, C4h, D2h).
    #[error("BMC {peer}: {} put off until the time was up: {} ({code:02X}h)", name(*net_fn, *command), completion_text(*code))]
    Busy {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// The network function of the request.
        net_fn: u8,
        /// The command number of the request.
        command: u8,
        /// The last completion code.
        code: u8,
    },
    /// The command failed with another completion code.
    #[error("BMC {peer}: {} failed: {} ({code:02X}h)", name(*net_fn, *command), completion_text(*code))]
    Completion {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// The network function of the request.
        net_fn: u8,
        /// The command number of the request.
        command: u8,
        /// The completion code of the reply.
        code: u8,
    },
    /// A reply is authentic and cannot be parsed.
    #[error("BMC {peer}: {} answered with {len} bytes that cannot be read: {detail}", name(*net_fn, *command))]
    MalformedReply {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// The network function of the request.
        net_fn: u8,
        /// The command number of the request.
        command: u8,
        /// Number of bytes after the completion code.
        len: usize,
        /// The error of the parser, which says what the data lacks.
        detail: String,
    },
    /// The request is for another controller than the BMC itself, which needs bridging.
    #[error("BMC {peer}: {} is for the controller at {address:02X}h on channel {channel}, only the BMC itself can be asked",
        name(*net_fn, *command))]
    NotBridged {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// The network function of the request.
        net_fn: u8,
        /// The command number of the request.
        command: u8,
        /// The requested slave address.
        address: u8,
        /// The channel number of the request (IPMI 2.0, table 6-1).
        channel: u8,
    },
    /// The request is longer than an IPMI message may be, or there was no request.
    #[error("BMC {peer}: {what}")]
    Misuse {
        /// The BMC's address and port.
        peer: SocketAddr,
        /// The mistake of the calling program.
        what: &'static str,
    },
    /// The system returned no random numbers.
    #[error("no random numbers for the session keys: {0}")]
    Random(String),
}

impl Error {
    /// Returns what the administrator can do about the error, in one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Target(_) => "correct the BMC's entry in the configuration",
            Self::Resolve { .. } => "use the BMC's IP address, so that power control does not depend on DNS",
            Self::Socket { .. } => "check local firewall rules and resource limits",
            Self::Refused { .. } => {
                "enable IPMI over LAN in the BMC, check address and port; after a BMC reset wait a minute"
            }
            Self::Unreachable { .. } => "check cable, switch, VLAN and address of the BMC's network port",
            Self::NoAnswer { asked, .. } if asked.starts_with("RAKP") => {
                "the BMC is there but does not finish the login: check packet loss, reset the BMC if it persists"
            }
            Self::NoAnswer { .. } | Self::DeadlinePassed { .. } => {
                "check that the BMC has power, its address, and that UDP 623 passes the firewall; allow more time"
            }
            Self::NoIpmi20 { .. } => "update the BMC's firmware or use another fencing device; IPMI 1.5 is not safe",
            Self::NoCode { .. } => "leave this suite out of cipher_suites for this BMC; update its firmware",
            Self::CipherSuiteRefused { .. } | Self::CipherSuiteChanged { .. } => {
                "enable cipher suite 17 (or 3) for this user's privilege level in the BMC, and allow it in the configuration"
            }
            Self::NoSessionSlot { .. } => "close other IPMI sessions (monitoring, consoles) or wait for their timeout",
            Self::UserRefused { .. } => {
                "check the user name; enable the user for IPMI over LAN; see whether the account is locked"
            }
            Self::WrongPassword { .. } => {
                "correct the password (it was tried once only); a password changed lately may need a fresh entry in the BMC"
            }
            Self::WrongKg { kg_given: true, .. } => "correct the BMC key (K_g), or remove it if the BMC has none",
            Self::WrongKg { kg_given: false, .. } => "configure the BMC key (K_g) that the BMC has set",
            Self::PrivilegeRefused { .. } => {
                "grant the user this privilege level on the LAN channel, or ask for a lower one"
            }
            Self::HandshakeRefused { .. } => "look up the status in the BMC's manual; update its firmware",
            Self::InsufficientPrivilege { .. } => "configure privilege level operator (or administrator) for this user",
            Self::Unsupported { .. } => {
                "this BMC does not have the command: update its firmware, or use another device for this host"
            }
            Self::Busy { .. } => "the BMC is busy or starting: try again later, reset it if it persists",
            Self::Completion { .. } | Self::MalformedReply { .. } => "see the BMC's own log; update its firmware",
            Self::NotBridged { .. } | Self::Misuse { .. } => "this is a mistake in the calling program: report it",
            Self::Random(_) => "the system's random number source is broken: repair the host",
        }
    }

    /// Whether a login was tried and refused. Such a login must not be repeated: accounts get locked.
    pub fn is_login_failure(&self) -> bool {
        matches!(
            self,
            Self::UserRefused { .. }
                | Self::WrongPassword { .. }
                | Self::WrongKg { .. }
                | Self::PrivilegeRefused { .. }
        )
    }

    /// Whether the keys of a session prove that the BMC itself refused the login. Before a session is open any host on
    /// the network may have sent the packet: it ends this login, and must not be remembered.
    pub fn is_proven(&self) -> bool {
        matches!(self, Self::PrivilegeRefused { in_session: true, .. })
    }

    /// Whether the BMC did not answer, or ICMP reported it as unreachable.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. } | Self::Unreachable { .. } | Self::NoAnswer { .. } | Self::DeadlinePassed { .. }
        )
    }

    /// Whether there was no answer at all from the first message of a login on, although it was waited for `limit`:
    /// as from a BMC without power. A closed port (ICMP port unreachable) is an answer. "Host unreachable" comes at
    /// once from a router or from a route of this host, and shows nothing of the BMC.
    pub fn is_total_silence(&self, limit: Duration) -> bool {
        /// The time between setting the deadline and the start of the wait.
        const START_SLACK: Duration = Duration::from_millis(100);
        match self {
            Self::NoAnswer { asked, waited, ignored, .. } => {
                *asked == Stage::OpenSession.asked() && ignored.count() == 0 && *waited + START_SLACK >= limit
            }
            _ => false,
        }
    }

    /// Whether this is a failure on this host's side, which shows nothing of the BMC.
    pub fn is_local(&self) -> bool {
        matches!(
            self,
            Self::Target(_)
                | Self::Resolve { .. }
                | Self::Socket { .. }
                | Self::DeadlinePassed { .. }
                | Self::NotBridged { .. }
                | Self::Misuse { .. }
                | Self::Random(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A missing route of this host reports "host unreachable" at once. A BMC that had read "on" was then taken for one
    /// that has lost its power with its host.
    #[test]
    fn host_unreachable_is_no_silence() {
        let peer = std::net::SocketAddr::from(([192, 0, 2, 1], 623));
        let error = Error::Unreachable { peer, tries: 1, source: io::ErrorKind::HostUnreachable.into() };
        assert!(!error.is_total_silence(Duration::ZERO) && error.is_unreachable());
    }
}
