//! The entries of the receipt log: an intent before and a receipt after each action on a node's power. Pure:
//! `sys::receipt_log` reads and writes the file.
//!
//! Each line is one JSON object with the version of its format. An intent without a receipt is an action that was
//! interrupted or still runs; its end is unknown.
//!
//! ```
//! use gnt_ha::core::grade::Grade;
//! use gnt_ha::core::receipt::{LogEntry, Outcome};
//!
//! let line = r#"{"kind": "receipt", "version": 1, "id": "a", "node": "n3.lab", "outcome": "done", "grade": "off",
//!     "proven_by": "bmc", "steps": [], "reason": null, "record": null, "at": {"wall_ms": 1000, "boottime_ms": 10},
//!     "duration_ms": 300}"#;
//! let Ok(LogEntry::Receipt(receipt)) = LogEntry::from_line(line) else { panic!("not a receipt") };
//! assert_eq!((receipt.outcome, receipt.grade), (Outcome::Done, Grade::Off));
//! ```

use std::fmt;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use super::grade::Grade;
use super::node::NodeName;
use super::text::printable;

/// The version of the format that is written. A reader accepts any version up to this one.
pub const VERSION: u32 = 1;

/// One line of the receipt log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum LogEntry {
    /// Written and flushed before the action touches anything.
    Intent(Intent),
    /// Written and flushed when the action is over.
    Receipt(Receipt),
}

/// A caller's request about a node's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Switch the power on, and read that back.
    On,
    /// Switch the power off, hard, and prove it.
    Off,
    /// Off, proven, then on, requested from an OOB program (`power-cycle`).
    Cycle,
    /// Off, proven, then on, requested from the fence agent (`reboot`).
    Reboot,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Cycle => "cycle",
            Self::Reboot => "reboot",
        })
    }
}

/// The process that requested an action, as procfs shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The name of the parent process of gnt-ha's program.
    pub program: String,
    /// The process id of that parent.
    pub pid: u32,
    /// The user, by name or number; with sudo, the user who called it.
    pub user: String,
    /// The id of the action that this one is part of, if one program of gnt-ha called another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

impl Caller {
    /// Returns whether Pacemaker's fencer is the caller (pacemaker-fenced(8); the kernel keeps 15 bytes of the name).
    #[must_use]
    pub fn is_fencer(&self) -> bool {
        self.program.starts_with("pacemaker-fence")
    }
}

/// A point in time, on two clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// Milliseconds since 1970 on the wall clock (`CLOCK_REALTIME`).
    pub wall_ms: u64,
    /// Milliseconds since the host's boot, suspend included, on the boot clock (`CLOCK_BOOTTIME`).
    pub boottime_ms: u64,
}

/// The entry before an action, flushed to the disk before anything is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The version of the entry's format ([`VERSION`]).
    pub version: u32,
    /// The id that the intent and its receipt share.
    pub id: String,
    /// The name of the program that acts.
    pub program: String,
    /// The action that was requested, which may still fail.
    pub action: Action,
    /// The node that the action is about.
    pub node: NodeName,
    /// The caller that requested the action.
    pub requested_by: Caller,
    /// The name of the host that the program runs on.
    pub host: String,
    /// The boot id of that host (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// When the action began, on both clocks.
    pub at: Timestamp,
}

/// The outcome of an action. Only the first two are success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The action was done, and its result is proven.
    Done,
    /// The state was there before the action, and is proven.
    Unchanged,
    /// Only the end of the earlier boot is proven. The on part of a reboot or cycle failed, or the power was never
    /// switched, because the proof is weaker than `off`.
    OffOnly,
    /// The action was not carried out, on purpose.
    Refused,
    /// The result is not proven: the state of the node is unknown.
    Unknown,
}

impl Outcome {
    /// Returns the outcome as receipts and reports show it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::OffOnly => "off-only",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// The entry after an action, with its result and each step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The version of the entry's format ([`VERSION`]).
    pub version: u32,
    /// The id of the intent.
    pub id: String,
    /// The node that the action was about.
    pub node: NodeName,
    /// How the action ended; [`Outcome::Unknown`] without a proof.
    pub outcome: Outcome,
    /// How strongly it is proven that the node was stopped; `unknown` for a power-on.
    pub grade: Grade,
    /// The device, program or person on which the grade rests.
    pub proven_by: String,
    /// The steps of the action, in order.
    pub steps: Vec<ActionStep>,
    /// The error if the action failed; a note otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was recorded in Ganeti, or the reason why nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// When the action ended, on both clocks.
    pub at: Timestamp,
    /// How long the action took, in milliseconds (monotonic clock).
    pub duration_ms: u64,
}

/// One attempt in an action: who was asked, the request and the response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionStep {
    /// Milliseconds since the action began (monotonic clock).
    pub at_ms: u64,
    /// The device or program that was asked.
    pub actor: String,
    /// The request to the device or program.
    pub request: String,
    /// The response, as received.
    pub response: String,
}

/// The reason why a line is not a valid entry.
#[derive(Debug, thiserror::Error)]
pub enum LogEntryError {
    /// The line is not JSON of this shape: torn by a crash, or written by another program.
    #[error("it is not a receipt: {0}")]
    Shape(#[from] serde_json::Error),
    /// The line has this version, which is newer than [`VERSION`].
    #[error("it has version {0}, and this program reads up to {VERSION}")]
    Newer(u64),
}

/// The fields that show which action a line belongs to. Parsing only these keeps a long receipt log out of memory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Head {
    /// The version of the entry's format.
    pub version: u64,
    /// `intent` or `receipt`; empty if the line has neither.
    #[serde(default)]
    pub kind: String,
    /// The id that an intent and its receipt share.
    #[serde(default)]
    pub id: String,
    /// The node's name, not validated.
    #[serde(default)]
    pub node: String,
    /// The caller, in an intent.
    #[serde(default)]
    pub requested_by: Option<HeadAsker>,
    /// When the entry was written; `None` if it is in a form that this build cannot read.
    #[serde(default, deserialize_with = "known_time")]
    pub at: Option<Timestamp>,
}

/// Reads a time if it is one. A newer build's form of it makes only the time unknown, not the line.
fn known_time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Time {
        Known(Timestamp),
        Other(IgnoredAny),
    }
    Ok(match Time::deserialize(from)? {
        Time::Known(at) => Some(at),
        Time::Other(_) => None,
    })
}

/// The part of an intent's [`Caller`] that a [`Head`] needs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HeadAsker {
    /// The id of the action that this one is part of.
    #[serde(default)]
    pub request: Option<String>,
}

impl Head {
    /// Parses the head of a line.
    ///
    /// # Errors
    /// [`serde_json::Error`] if the line is not a JSON object with a version.
    pub fn from_line(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
    }
}

impl LogEntry {
    /// Returns the entry as one line, without the newline. Characters that control a terminal are escaped.
    ///
    /// # Errors
    /// [`serde_json::Error`]; in practice serialisation of these types cannot fail.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        Ok(printable(&serde_json::to_string(self)?).into_owned())
    }

    /// Parses one line.
    ///
    /// # Errors
    /// [`LogEntryError::Newer`] if the version is above [`VERSION`], [`LogEntryError::Shape`] if the line is not a valid
    /// entry.
    pub fn from_line(line: &str) -> Result<Self, LogEntryError> {
        let Head { version, .. } = Head::from_line(line)?;
        if version > u64::from(VERSION) {
            return Err(LogEntryError::Newer(version));
        }
        Ok(serde_json::from_str(line)?)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn intent(id: &str, node: &str) -> Intent {
        Intent {
            version: VERSION,
            id: id.to_owned(),
            program: "fence_ganeti".to_owned(),
            action: Action::Reboot,
            node: NodeName::new(node).unwrap(),
            requested_by: Caller { program: "pacemaker-fenced".into(), pid: 7, user: "root".into(), request: None },
            host: "n1.lab".to_owned(),
            boot_id: "b".to_owned(),
            at: Timestamp { wall_ms: 1_000, boottime_ms: 10 },
        }
    }

    pub(crate) fn receipt(id: &str, node: &str) -> Receipt {
        Receipt {
            version: VERSION,
            id: id.to_owned(),
            node: NodeName::new(node).unwrap(),
            outcome: Outcome::Done,
            grade: Grade::Off,
            proven_by: "bmc".to_owned(),
            steps: vec![ActionStep { at_ms: 3, actor: "bmc".into(), request: "read".into(), response: "off".into() }],
            reason: None,
            record: None,
            at: Timestamp { wall_ms: 1_300, boottime_ms: 310 },
            duration_ms: 300,
        }
    }

    /// The format is pinned: receipts of today must be readable for as long as there is a receipt log.
    #[test]
    fn version_1_is_pinned() {
        let line = LogEntry::Intent(intent("a1", "n3.lab")).to_line().unwrap();
        assert_eq!(
            line,
            r#"{"kind":"intent","version":1,"id":"a1","program":"fence_ganeti","action":"reboot","node":"n3.lab","requested_by":{"program":"pacemaker-fenced","pid":7,"user":"root"},"host":"n1.lab","boot_id":"b","at":{"wall_ms":1000,"boottime_ms":10}}"#
        );
        let line = LogEntry::Receipt(receipt("a1", "n3.lab")).to_line().unwrap();
        assert_eq!(
            line,
            r#"{"kind":"receipt","version":1,"id":"a1","node":"n3.lab","outcome":"done","grade":"off","proven_by":"bmc","steps":[{"at_ms":3,"actor":"bmc","request":"read","response":"off"}],"at":{"wall_ms":1300,"boottime_ms":310},"duration_ms":300}"#
        );
        assert_eq!(LogEntry::from_line(&line).unwrap(), LogEntry::Receipt(receipt("a1", "n3.lab")));
    }

    #[test]
    fn a_newer_version_is_named_not_guessed_at() {
        let error = LogEntry::from_line(r#"{"kind":"intent","version":2}"#).unwrap_err();
        assert!(matches!(error, LogEntryError::Newer(2)));
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in ".{0,200}") {
            let _ = LogEntry::from_line(&line);
        }
    }
}
