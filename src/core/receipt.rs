//! The records that every removal and readmission leaves: an intent before, a receipt after.
//!
//! One JSON object a line, each with the version of its format. An intent without a receipt is an action that
//! was interrupted; nothing is known of its end.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::grade::Grade;
use super::node::NodeName;
use super::text::printable;

/// The version of the format that is written. A reader takes any version up to this one.
pub const VERSION: u32 = 1;

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum LogEntry {
    /// Written and flushed before anything is touched.
    Intent(Intent),
    /// Written and flushed when it is over.
    Receipt(Receipt),
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Power on.
    On,
    /// Power off.
    Off,
    /// Off, proven, then on, asked of an OOB program (`power-cycle`).
    Cycle,
    /// Off, proven, then on, asked of the fence agent (`reboot`).
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

/// Who asked for an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The program that called ours (the parent process's name).
    pub program: String,
    /// Its process id.
    pub pid: u32,
    /// The user, by name or number; for somebody who used sudo, the one before.
    pub user: String,
    /// The receipt that this action is part of, when one program of ours called another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

impl Caller {
    /// Whether Pacemaker's fencer asked (pacemaker-fenced(8); the kernel keeps 15 bytes of the name).
    #[must_use]
    pub fn is_fencer(&self) -> bool {
        self.program.starts_with("pacemaker-fence")
    }
}

/// A point in time, on two clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// Milliseconds since 1970, the wall clock (CLOCK_REALTIME).
    pub wall_ms: u64,
    /// Milliseconds since the host's boot, sleep included (CLOCK_BOOTTIME).
    pub boottime_ms: u64,
}

/// What is about to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The format's version.
    pub version: u32,
    /// Joins the intent and its receipt.
    pub id: String,
    /// The program that acts.
    pub program: String,
    /// What it was asked for.
    pub action: Action,
    /// The node.
    pub node: NodeName,
    /// Who asked.
    pub requested_by: Caller,
    /// The host that the program runs on.
    pub host: String,
    /// That host's boot id (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// When.
    pub at: Timestamp,
}

/// How an action ended. Only the first two are success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Done, and proven.
    Done,
    /// The state was there before; proven.
    Unchanged,
    /// The off part of a reboot or cycle is proven, the on part failed.
    OffOnly,
    /// Not done, on purpose.
    Refused,
    /// Not proven: nothing is known of the node.
    Unknown,
}

impl Outcome {
    /// As receipts and reports have it.
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

/// What was done and what came back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The format's version.
    pub version: u32,
    /// The intent's id.
    pub id: String,
    /// The node.
    pub node: NodeName,
    /// How it ended.
    pub outcome: Outcome,
    /// How strongly it is proven that the node was stopped; `unknown` for a power-on.
    pub grade: Grade,
    /// Whose word the grade stands on.
    pub proven_by: String,
    /// What was tried, in order.
    pub steps: Vec<ActionStep>,
    /// The error, when it failed; a remark otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What Ganeti was told, or why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// When it was over.
    pub at: Timestamp,
    /// How long it took, in milliseconds (monotonic clock).
    pub duration_ms: u64,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionStep {
    /// Milliseconds since the action began (monotonic clock).
    pub at_ms: u64,
    /// The device or the program.
    pub by: String,
    /// What it was asked.
    pub did: String,
    /// What came back.
    pub saw: String,
}

/// Why a line is no entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Not JSON of this shape: torn by a crash, or of another program.
    #[error("it is no record: {0}")]
    Shape(#[from] serde_json::Error),
    /// Written by a newer program.
    #[error("it has version {0}, and this program reads up to {VERSION}")]
    Newer(u64),
}

/// What tells where a line belongs; reading no more keeps a long ledger out of memory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Head {
    /// The format's version.
    pub version: u64,
    /// Intent or receipt.
    #[serde(default)]
    pub kind: String,
    /// What joins the two.
    #[serde(default)]
    pub id: String,
    /// The node.
    #[serde(default)]
    pub node: String,
    /// Who asked, in an intent.
    #[serde(default)]
    pub requested_by: Option<HeadAsker>,
}

/// What an intent is a part of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HeadAsker {
    /// The id of the whole.
    #[serde(default)]
    pub request: Option<String>,
}

impl Head {
    /// Reads as much of a line.
    ///
    /// # Errors
    /// When it is no JSON object with a version.
    pub fn from_line(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
    }
}

impl LogEntry {
    /// The entry as one line, without the newline; no terminal obeys anything in it.
    ///
    /// # Errors
    /// None in practice; serialisation of these types cannot fail.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        Ok(printable(&serde_json::to_string(self)?).into_owned())
    }

    /// Reads one line.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn from_line(line: &str) -> Result<Self, EntryError> {
        let Head { version, .. } = Head::from_line(line)?;
        if version > u64::from(VERSION) {
            return Err(EntryError::Newer(version));
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
            steps: vec![ActionStep { at_ms: 3, by: "bmc".into(), did: "read".into(), saw: "off".into() }],
            reason: None,
            record: None,
            at: Timestamp { wall_ms: 1_300, boottime_ms: 310 },
            duration_ms: 300,
        }
    }

    /// The format is pinned: receipts of today must be readable for as long as there is a ledger.
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
            r#"{"kind":"receipt","version":1,"id":"a1","node":"n3.lab","outcome":"done","grade":"off","proven_by":"bmc","steps":[{"at_ms":3,"by":"bmc","did":"read","saw":"off"}],"at":{"wall_ms":1300,"boottime_ms":310},"duration_ms":300}"#
        );
        assert_eq!(LogEntry::from_line(&line).unwrap(), LogEntry::Receipt(receipt("a1", "n3.lab")));
    }

    #[test]
    fn a_newer_version_is_named_not_guessed_at() {
        let error = LogEntry::from_line(r#"{"kind":"intent","version":2}"#).unwrap_err();
        assert!(matches!(error, EntryError::Newer(2)));
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in ".{0,200}") {
            let _ = LogEntry::from_line(&line);
        }
    }
}
