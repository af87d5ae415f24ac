//! The call on stdin of `redfish-call`, and its outcome on stdout.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::secret::HttpSecret;

/// One operation at one BMC.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The host name or IP address of the BMC.
    pub address: String,
    /// The addresses of that name, which the caller has found. Empty for an address, or if this program is to find them.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// The TCP port of its HTTPS service.
    pub port: u16,
    /// The name of the account.
    pub username: String,
    /// The password of the account.
    pub password: HttpSecret,
    /// The way to log in.
    pub login: Login,
    /// The rule that decides whether the BMC's certificate is trusted.
    pub trust: Trust,
    /// The oldest version of TLS that is spoken.
    pub tls: Tls,
    /// The rule that finds the host among the BMC's systems.
    pub choice: Choice,
    /// The system that an earlier call has found by that rule.
    pub known: Option<KnownSystem>,
    /// Whether an "Off" needs the agreement of the system's chassis.
    pub chassis: bool,
    /// What is read or switched.
    pub operation: CallOperation,
    /// The time for the whole operation, in ms.
    pub timeout_ms: u64,
}

/// The way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Login {
    /// HTTP Basic authentication with each request: uses no session of the BMC.
    Basic,
    /// A session of the BMC, which is deleted at the end.
    Session,
}

/// The rule that decides whether a certificate is trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// The authorities that this host trusts; the name in the certificate must be the BMC's address.
    System,
    /// The authorities in this file; the name in the certificate must be the BMC's address.
    CaFile(String),
    /// The public key itself, whatever the certificate says of it: `sha256//BASE64`, several with `;` between them
    /// (`CURLOPT_PINNEDPUBLICKEY`).
    Fingerprint(String),
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tls {
    /// TLS 1.2 or newer, with the algorithms that OpenSSL allows by default.
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.0 or newer, with algorithms that are no longer secure.
    #[serde(rename = "1.0")]
    V10,
}

/// The rule that finds the host among the BMC's systems. Without any part, the BMC must have exactly one system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The path of the system, as in `/redfish/v1/Systems/1`.
    pub uri: Option<String>,
    /// The `SerialNumber` that the system must have; blanks at its ends do not count.
    pub serial_number: Option<String>,
    /// The `UUID` that the system must have; case and hyphens do not count.
    pub uuid: Option<String>,
}

/// The system that an earlier call has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownSystem {
    /// The path of the system.
    pub uri: String,
    /// The `UUID` that was read; later calls refuse another one.
    pub uuid: Option<String>,
    /// The `SerialNumber` that was read; later calls refuse another one.
    pub serial_number: Option<String>,
    /// The paths of the chassis that have agreed with an "Off": a later call takes no "Off" that they do not repeat.
    #[serde(default)]
    pub chassis: Vec<String>,
}

/// What a call reads or switches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOperation {
    /// Read the power state.
    Read,
    /// Read the power state, and fail for what would prevent the proof of an off.
    Rehearse,
    /// Switch the power on; only a later reading proves it.
    SwitchOn,
    /// Switch the power off at once, without the operating system; only a later reading proves it.
    SwitchOff,
    /// Read the health of the system and of its chassis.
    Health,
    /// Find the system, and read its identity.
    Identify,
}

/// The power as the system's `PowerState` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PowerSeen {
    /// `Off`, and nothing else.
    Off,
    /// `On`, `PoweringOn` or `PoweringOff`.
    On,
}

/// One part of the health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// `system`, `processors`, `memory`, or `chassis` with its identifier.
    pub name: String,
    /// What the BMC reports of the part.
    pub health: HealthState,
}

/// The value of `Status.HealthRollup` or `Status.Health`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// `OK`: nothing to do.
    Ok,
    /// `Warning`: a condition that needs attention.
    Warning,
    /// `Critical`: a condition that needs attention at once.
    Critical,
    /// Another value, or none.
    Unknown,
}

/// The result of an operation that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallAnswer {
    /// The power state was read.
    Power {
        /// On or off, as the `PowerState` shows it.
        power: PowerSeen,
        /// What the reading rests on, as text.
        detail: String,
        /// What could not be made sure of; a proof that rests on this reading must state each. Empty is the usual case.
        cautions: Vec<String>,
        /// The system that was read.
        known: KnownSystem,
    },
    /// The BMC has taken the command, or has refused it while it reported the wanted state.
    Accepted {
        /// Why the BMC did not take the command: nothing was switched, and the reported state may be an old one.
        refused: Option<String>,
        /// The system that was switched.
        known: KnownSystem,
    },
    /// The health was read.
    Health {
        /// The parts of the health.
        items: Vec<Item>,
        /// The system that was read.
        known: KnownSystem,
    },
    /// The identity was read.
    Identity {
        /// The system that was read.
        known: KnownSystem,
    },
}

impl CallAnswer {
    /// Returns the system that was read or switched.
    #[must_use]
    pub const fn known(&self) -> &KnownSystem {
        match self {
            Self::Power { known, .. }
            | Self::Accepted { known, .. }
            | Self::Health { known, .. }
            | Self::Identity { known } => known,
        }
    }
}

/// What a failure shows of the BMC, and whether another attempt may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Nothing: this host could not send.
    Local,
    /// Nothing: no answer, and perhaps not enough time for one.
    Unheard,
    /// No packet came back, although there was time.
    NoSign,
    /// The BMC's address refuses the connection.
    Closed,
    /// It answered; a later attempt may succeed.
    Later,
    /// It answered; no other attempt with this configuration can succeed.
    Never,
    /// It has refused the login: another attempt may lock the account.
    Login,
}

/// The reason why an operation has no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{why}")]
pub struct CallFailure {
    /// Decides whether the caller tries again, and what silence proves.
    pub shows: FailureKind,
    /// What was tried, what came back, and what to do.
    pub why: String,
}

impl CallFailure {
    pub(crate) fn new(shows: FailureKind, why: impl Into<String>) -> Self {
        Self { shows, why: why.into() }
    }
}

/// The end of a call: one line on stdout.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallOutcome {
    /// What was read, or that the command was accepted.
    Ok(CallAnswer),
    /// Why there is no answer that counts.
    Error(CallFailure),
}

impl From<Result<CallAnswer, CallFailure>> for CallOutcome {
    fn from(result: Result<CallAnswer, CallFailure>) -> Self {
        result.map_or_else(Self::Error, Self::Ok)
    }
}
