//! The contents of `gnt-ha status`: one line for each node, and notes about the whole cluster. Pure.

mod protection;

use serde::Serialize;

pub use protection::{PowerReading, Protection, SelfFenceState, ShunState};

use super::breaker::OpenState;
use super::grade::Grade;
use super::history::ActionRecord;
use super::node::NodeName;
use super::quorum::{Quorum, QuorumDeviceState};
use super::receipt::{Action, Outcome};
use super::reconcile::{Decision, Membership, Pause};

/// The version of the JSON output. Later versions may add keys; the meaning of a key stays.
pub const VERSION: u32 = 1;

/// The level of a state. The worst one is the exit code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusLevel {
    /// The state is as it should be.
    #[default]
    Ok,
    /// A change is blocked, or something needs attention.
    Attention,
    /// A part of the state could not be read: it is never taken for good.
    Unknown,
}

impl StatusLevel {
    /// Returns the exit code of `gnt-ha status`.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Returns the mark at the beginning of a line.
    #[must_use]
    pub const fn mark(self) -> char {
        match self {
            Self::Ok => ' ',
            Self::Attention => '!',
            Self::Unknown => '?',
        }
    }
}

/// The state of the cluster, as this host has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterStatus {
    /// The version of this format ([`VERSION`]).
    pub version: u32,
    /// The host that collected the status.
    pub host: String,
    /// The worst level of all lines and notes.
    pub level: StatusLevel,
    /// Ganeti's master, by the files of this host.
    pub master: Option<NodeName>,
    /// Whether Pacemaker has quorum on this host; null if it could not be asked.
    pub quorum: Option<bool>,
    /// The host with qnetd, and whether each member of this partition has its vote. Null without a quorum device, or if
    /// corosync could not be asked.
    pub quorum_device: Option<DeviceVote>,
    /// Whether Pacemaker is in maintenance mode; null if it could not be asked.
    pub maintenance: Option<bool>,
    /// The pause of reconciliation that an administrator has set; null without one.
    pub pause: Option<Pause>,
    /// The state of this host's breaker, if it is open.
    pub breaker: Option<OpenState>,
    /// One line for each node.
    pub nodes: Vec<NodeStatus>,
    /// What concerns more than one node.
    pub notes: Vec<StatusNote>,
}

/// The state of corosync's quorum device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceVote {
    /// The host with qnetd, or the device's model.
    pub host: String,
    /// Whether each member of this part of the cluster has its vote.
    pub votes: bool,
}

impl DeviceVote {
    /// Returns the present state; `None` if no device is configured.
    #[must_use]
    pub fn of(quorum: &Quorum) -> Option<Self> {
        let device = quorum.device.as_ref()?;
        let votes = quorum.members.iter().all(|member| member.device == QuorumDeviceState::Votes);
        Some(Self { host: device.host.clone().unwrap_or_else(|| device.model.clone()), votes })
    }

    /// Returns the state as a note, also if it is as it should be.
    #[must_use]
    pub fn note(&self) -> StatusNote {
        let Self { host, votes } = self;
        let (level, text) = match votes {
            true => (StatusLevel::Ok, format!("the quorum device on {host} gives its vote")),
            false => {
                let text = format!(
                    "the quorum device on {host} does not give its vote to each member: the next host that dies may take the \
                     quorum with it (gnt-ha check)"
                );
                (StatusLevel::Attention, text)
            }
        };
        StatusNote::new(level, "quorum-device", text)
    }
}

impl ClusterStatus {
    /// Sets the level to the worst one of all lines and notes; [`StatusLevel::Unknown`] without any.
    #[must_use]
    pub fn judged(mut self) -> Self {
        let levels = self.nodes.iter().map(|line| line.level).chain(self.notes.iter().map(|note| note.level));
        self.level = levels.max().unwrap_or(StatusLevel::Unknown);
        self
    }
}

/// A note about more than one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatusNote {
    /// How good the state is.
    pub level: StatusLevel,
    /// `ganeti`, `pacemaker`, `quorum`, `quorum-device`, `maintenance`, `role`, `pause`, `breaker`, `start-up`,
    /// `simulated`, `shun`, `tag`, `record`, `recovery`, `power`.
    pub subject: &'static str,
    /// The fact in one line, with the command that helps where there is one.
    pub text: String,
}

impl StatusNote {
    /// Makes a note of this level about one part of the cluster (see [`StatusNote::subject`] for the names).
    #[must_use]
    pub fn new(level: StatusLevel, subject: &'static str, text: impl Into<String>) -> Self {
        Self { level, subject, text: text.into() }
    }
}

/// The role of a node in Ganeti.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DisplayedRole {
    /// The node is the master.
    Master,
    /// The node is a master candidate, and not the master.
    Candidate,
    /// The node is neither of both, and cannot become the master.
    Regular,
}

impl DisplayedRole {
    /// Returns the role of a node that is master, or a candidate, or neither.
    #[must_use]
    pub const fn of(is_master: bool, is_candidate: bool) -> Self {
        match (is_master, is_candidate) {
            (true, _) => Self::Master,
            (false, true) => Self::Candidate,
            (false, false) => Self::Regular,
        }
    }
}

/// The flags of a node in Ganeti's files on this host; null if the files do not have a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Flags {
    /// The role of the node.
    pub role: DisplayedRole,
    /// Whether the node is recorded offline.
    pub offline: bool,
    /// Whether the node is recorded as drained.
    pub drained: Option<bool>,
    /// Whether the node is recorded as having power.
    pub powered: Option<bool>,
}

impl Flags {
    /// Returns the text of the column: `candidate, offline`. The power has a column of its own.
    #[must_use]
    pub fn words(self) -> String {
        let role = match self.role {
            DisplayedRole::Master => "master",
            DisplayedRole::Candidate => "candidate",
            DisplayedRole::Regular => "regular",
        };
        let flags = [(self.offline, ", offline"), (self.drained == Some(true), ", drained")];
        flags.into_iter().filter(|(set, _)| *set).fold(role.to_owned(), |words, (_, word)| words + word)
    }
}

/// After which time an action without an end counts as interrupted, in milliseconds: no time limit of a fencing is as
/// long.
const LONGEST_ACTION_MS: u64 = 600_000;

/// The last action of this host on a node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LastAction {
    /// The action that was requested by this host's programs.
    pub action: Action,
    /// How the action ended; null if it was interrupted, or still runs.
    pub outcome: Option<Outcome>,
    /// How strongly the action proves that the node was stopped.
    pub grade: Grade,
    /// When the action began, in milliseconds since 1970.
    pub at_ms: u64,
}

impl LastAction {
    /// Returns the summary of an action record.
    #[must_use]
    pub fn of(action: &ActionRecord) -> Self {
        Self {
            action: action.intent.action,
            outcome: action.receipt.as_ref().map(|receipt| receipt.outcome),
            grade: action.receipt.as_ref().map_or(Grade::Unknown, |receipt| receipt.grade),
            at_ms: action.intent.at.wall_ms,
        }
    }

    /// Returns the text of the column: `reboot 3 min ago: proven off`.
    #[must_use]
    pub fn words(&self, now_ms: u64) -> String {
        let age_ms = now_ms.saturating_sub(self.at_ms);
        let end = match (self.outcome, self.grade) {
            (None, _) if age_ms < LONGEST_ACTION_MS => "not ended yet".to_owned(),
            (None, _) => "INTERRUPTED".to_owned(),
            (Some(Outcome::Refused), _) => "REFUSED".to_owned(),
            (Some(Outcome::Unknown), _) => "FAILED".to_owned(),
            (Some(Outcome::OffOnly), grade) => format!("proven {grade}, NOT ON AGAIN"),
            (Some(_), Grade::Unknown) => "done".to_owned(),
            (Some(_), grade) => format!("proven {grade}"),
        };
        format!("{} {}: {end}", self.action, ago(age_ms))
    }
}

/// The decision about a node's record, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordChange {
    /// `offline`, `power`, `drain`, `undrain`, `forget-drain`, `nothing`, `blocked`.
    pub decision: &'static str,
    /// The decision as text, with the reason.
    pub text: String,
}

impl RecordChange {
    /// Returns the summary of a decision.
    #[must_use]
    pub fn of(decision: &Decision) -> Self {
        let word = match decision {
            Decision::Offline { .. } => "offline",
            Decision::Powered { .. } => "power",
            Decision::Drain { .. } => "drain",
            Decision::UnDrain => "undrain",
            Decision::ForgetDrain => "forget-drain",
            Decision::Nothing(_) => "nothing",
            Decision::Blocked(_) => "blocked",
        };
        Self { decision: word, text: decision.to_string() }
    }

    /// Returns the mark at the beginning of a line: `*` for a pending change, `!` for a blocked one.
    #[must_use]
    pub fn mark(&self) -> char {
        match self.decision {
            "nothing" => ' ',
            "blocked" => '!',
            _ => '*',
        }
    }
}

/// The state of one node: one line of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeStatus {
    /// The node's name in Ganeti, or in Pacemaker if Ganeti does not have the node.
    pub node: NodeName,
    /// How good the state of the node is.
    pub level: StatusLevel,
    /// The node's state in Pacemaker, in Pacemaker's words; null if it could not be asked.
    pub pacemaker: Option<&'static str>,
    /// The node's flags in Ganeti; null if Ganeti does not have the node.
    pub ganeti: Option<Flags>,
    /// The last receipt of this host about the node.
    pub receipt: Option<LastAction>,
    /// The pending change of the node's record; null if this host does not decide it.
    pub record: Option<RecordChange>,
    /// The keys `seen`, `shun`, `self_fence` and `grade`.
    #[serde(flatten)]
    pub protection: Protection,
}

impl NodeStatus {
    /// Makes the line of a node, with its level.
    #[must_use]
    pub fn new(
        node: NodeName,
        member: Option<Membership>,
        ganeti: Option<Flags>,
        receipt: Option<LastAction>,
        record: Option<RecordChange>,
    ) -> Self {
        let is_online = ganeti.is_some_and(|flags| !flags.offline);
        let is_drained = ganeti.is_some_and(|flags| flags.drained == Some(true));
        // The node has left the cluster, and Ganeti still uses it.
        let is_lost = match member {
            Some(Membership::Unclean) => true,
            Some(Membership::Absent) => is_online && !is_drained,
            _ => false,
        };
        let is_blocked = record.as_ref().is_some_and(|change| change.mark() == '!');
        let level = if is_lost || is_blocked { StatusLevel::Attention } else { StatusLevel::Ok };
        let protection = Protection::default();
        Self { node, level, pacemaker: member.map(word), ganeti, receipt, record, protection }
    }

    /// Returns the mark at the beginning of the line. A pending change takes the place of the level.
    #[must_use]
    pub fn mark(&self) -> char {
        let will_be_done = self.record.as_ref().filter(|change| change.mark() == '*');
        will_be_done.map_or_else(|| self.level.mark(), RecordChange::mark)
    }
}

/// Returns the state as `crm_mon` prints it.
const fn word(member: Membership) -> &'static str {
    match member {
        Membership::Unknown => "not a member",
        Membership::Absent => "OFFLINE",
        Membership::Unclean => "UNCLEAN",
        Membership::Pending => "pending",
        Membership::Online => "online",
        Membership::Standby => "standby",
        Membership::ShuttingDown => "shutting down",
    }
}

/// Returns the time since an event as text, in a suitable unit.
#[must_use]
pub fn ago(ms: u64) -> String {
    match ms / 1_000 {
        s @ 0..=119 => format!("{s} s ago"),
        s @ 120..=7_199 => format!("{} min ago", s / 60),
        s @ 7_200..=172_799 => format!("{} h ago", s / 3_600),
        s => format!("{} days ago", s / 86_400),
    }
}

#[cfg(test)]
mod tests;
