//! What `gnt-ha status` says: each node in a line, and what stands above all of them.

mod protection;

use serde::Serialize;

pub use protection::{PowerReading, Protection, SelfFenceState, ShunState};

use super::breaker::OpenState;
use super::grade::Grade;
use super::history::ActionRecord;
use super::node::NodeName;
use super::quorum::{Quorum, Standing};
use super::receipt::{Action, Outcome};
use super::reconcile::{Decision, Membership, Pause};

/// The version of the JSON. Keys may be added to it; none changes its meaning.
pub const VERSION: u32 = 1;

/// How well things are; the worst is the exit code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// All is well.
    #[default]
    Ok,
    /// Something is refused, or needs attention.
    Attention,
    /// Something cannot be known.
    Unknown,
}

impl Level {
    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// In front of a line.
    #[must_use]
    pub const fn mark(self) -> char {
        match self {
            Self::Ok => ' ',
            Self::Attention => '!',
            Self::Unknown => '?',
        }
    }
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// [`VERSION`].
    pub version: u32,
    /// The host that looked.
    pub host: String,
    /// The worst of all lines and notes.
    pub level: Level,
    /// Ganeti's master, by the files of this host.
    pub master: Option<NodeName>,
    /// Pacemaker has quorum here; null if it could not be asked.
    pub quorum: Option<bool>,
    /// The host with qnetd, and whether each member here has its vote; null without one, or where corosync could not be asked.
    pub quorum_device: Option<DeviceVote>,
    /// Pacemaker's maintenance mode; null if it could not be asked.
    pub maintenance: Option<bool>,
    /// The administrator's pause.
    pub pause: Option<Pause>,
    /// Why the breaker of this host holds, while it does.
    pub breaker: Option<OpenState>,
    /// The nodes.
    pub nodes: Vec<NodeStatus>,
    /// What else there is to say.
    pub notes: Vec<Note>,
}

/// corosync's quorum device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceVote {
    /// The host with qnetd, or the device's model.
    pub host: String,
    /// Each member of this part of the cluster has its vote.
    pub votes: bool,
}

impl DeviceVote {
    /// As it is now; none where no device is configured.
    #[must_use]
    pub fn of(quorum: &Quorum) -> Option<Self> {
        let device = quorum.device.as_ref()?;
        let votes = quorum.members.iter().all(|member| member.device == Standing::Votes);
        Some(Self { host: device.host.clone().unwrap_or_else(|| device.model.clone()), votes })
    }

    /// In a line; it is no secret where it is as it should be.
    #[must_use]
    pub fn note(&self) -> Note {
        let Self { host, votes } = self;
        let (level, text) = match votes {
            true => (Level::Ok, format!("the quorum device on {host} gives its vote")),
            false => {
                let text = format!(
                    "the quorum device on {host} does not give its vote to each member: the next host that dies may take the \
                     quorum with it (gnt-ha check)"
                );
                (Level::Attention, text)
            }
        };
        Note::new(level, "quorum-device", text)
    }
}

impl Status {
    /// Takes the worst level of all that is said.
    #[must_use]
    pub fn judged(mut self) -> Self {
        let levels = self.nodes.iter().map(|line| line.level).chain(self.notes.iter().map(|note| note.level));
        self.level = levels.max().unwrap_or(Level::Unknown);
        self
    }
}

/// Something that concerns more than a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// How bad it is.
    pub level: Level,
    /// `ganeti`, `pacemaker`, `quorum`, `quorum-device`, `maintenance`, `role`, `pause`, `breaker`, `start-up`, `simulated`, `shun`, `tag`, `record`,
    /// `power`.
    pub about: &'static str,
    /// In words.
    pub text: String,
}

impl Note {
    /// A note.
    #[must_use]
    pub fn new(level: Level, about: &'static str, text: impl Into<String>) -> Self {
        Self { level, about, text: text.into() }
    }
}

/// Ganeti's role of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DisplayedRole {
    /// The master.
    Master,
    /// A master candidate.
    Candidate,
    /// Any other.
    Regular,
}

impl DisplayedRole {
    /// By who is master and who holds the configuration.
    #[must_use]
    pub const fn of(is_master: bool, is_candidate: bool) -> Self {
        match (is_master, is_candidate) {
            (true, _) => Self::Master,
            (false, true) => Self::Candidate,
            (false, false) => Self::Regular,
        }
    }
}

/// What Ganeti's files on this host say of a node; null where they do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Flags {
    /// Its role.
    pub role: DisplayedRole,
    /// Recorded as offline.
    pub offline: bool,
    /// Recorded as drained.
    pub drained: Option<bool>,
    /// Recorded as having power.
    pub powered: Option<bool>,
}

impl Flags {
    /// In one column: `candidate, offline`; the power has its own.
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

/// The last thing that was done to a node from this host.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LastAction {
    /// What was asked for.
    pub action: Action,
    /// How it ended; null if it was interrupted, or still runs.
    pub outcome: Option<Outcome>,
    /// What it proves.
    pub grade: Grade,
    /// When it began, in milliseconds since 1970.
    pub at_ms: u64,
}

impl LastAction {
    /// Of a story.
    #[must_use]
    pub fn of(story: &ActionRecord) -> Self {
        Self {
            action: story.intent.action,
            outcome: story.receipt.as_ref().map(|receipt| receipt.outcome),
            grade: story.receipt.as_ref().map_or(Grade::Unknown, |receipt| receipt.grade),
            at_ms: story.intent.at.wall_ms,
        }
    }

    /// In one column: `reboot 3 min ago: proven off`.
    #[must_use]
    pub fn words(&self, now_ms: u64) -> String {
        let end = match (self.outcome, self.grade) {
            (None, _) => "INTERRUPTED".to_owned(),
            (Some(Outcome::Refused), _) => "REFUSED".to_owned(),
            (Some(Outcome::Unknown), _) => "FAILED".to_owned(),
            (Some(Outcome::OffOnly), grade) => format!("proven {grade}, NOT ON AGAIN"),
            (Some(_), Grade::Unknown) => "done".to_owned(),
            (Some(_), grade) => format!("proven {grade}"),
        };
        format!("{} {}: {end}", self.action, ago(now_ms.saturating_sub(self.at_ms)))
    }
}

/// What is decided of a node's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordChange {
    /// `offline`, `power`, `drain`, `undrain`, `forget-drain`, `nothing`, `refused`.
    pub decision: &'static str,
    /// In words, with the reason.
    pub text: String,
}

impl RecordChange {
    /// Of a decision.
    #[must_use]
    pub fn of(decision: &Decision) -> Self {
        let word = match decision {
            Decision::Offline { .. } => "offline",
            Decision::Powered { .. } => "power",
            Decision::Drain { .. } => "drain",
            Decision::UnDrain => "undrain",
            Decision::ForgetDrain => "forget-drain",
            Decision::Nothing(_) => "nothing",
            Decision::Refused(_) => "refused",
        };
        Self { decision: word, text: decision.to_string() }
    }

    /// In front of a line: `*` is done, `!` is refused.
    #[must_use]
    pub fn mark(&self) -> char {
        match self.decision {
            "nothing" => ' ',
            "refused" => '!',
            _ => '*',
        }
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeStatus {
    /// Its name.
    pub node: NodeName,
    /// How it is.
    pub level: Level,
    /// Pacemaker's word for it; null if it could not be asked.
    pub pacemaker: Option<&'static str>,
    /// Ganeti's; null if it does not know it.
    pub ganeti: Option<Flags>,
    /// The last receipt of this host.
    pub receipt: Option<LastAction>,
    /// What is about to happen to its record; null if that is not decided here.
    pub next: Option<RecordChange>,
    /// `seen`, `shun`, `self-fence`, `grade`.
    #[serde(flatten)]
    pub protection: Protection,
}

impl NodeStatus {
    /// What is known of a node, judged.
    #[must_use]
    pub fn new(
        node: NodeName,
        member: Option<Membership>,
        ganeti: Option<Flags>,
        receipt: Option<LastAction>,
        next: Option<RecordChange>,
    ) -> Self {
        let is_online = ganeti.is_some_and(|flags| !flags.offline);
        let is_drained = ganeti.is_some_and(|flags| flags.drained == Some(true));
        // Gone from the cluster, and Ganeti goes on to use it.
        let is_lost = match member {
            Some(Membership::Unclean) => true,
            Some(Membership::Absent) => is_online && !is_drained,
            _ => false,
        };
        let is_refused = next.as_ref().is_some_and(|next| next.mark() == '!');
        let level = if is_lost || is_refused { Level::Attention } else { Level::Ok };
        let protection = Protection::default();
        Self { node, level, pacemaker: member.map(word), ganeti, receipt, next, protection }
    }

    /// In front of the line: what is about to be done is no more than that.
    #[must_use]
    pub fn mark(&self) -> char {
        let will_be_done = self.next.as_ref().filter(|next| next.mark() == '*');
        will_be_done.map_or_else(|| self.level.mark(), RecordChange::mark)
    }
}

/// Pacemaker's words, as crm_mon has them.
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

/// A time that has passed, in the unit that says enough.
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
mod tests {
    use super::*;
    use crate::core::reconcile::{BlockReason, NoActionReason};

    fn line(member: Membership, offline: bool, next: Option<&Decision>) -> NodeStatus {
        let flags = Flags { role: DisplayedRole::Candidate, offline, drained: Some(false), powered: Some(true) };
        NodeStatus::new(NodeName::new("n3.lab").unwrap(), Some(member), Some(flags), None, next.map(RecordChange::of))
    }

    #[test]
    fn what_is_lost_or_refused_needs_a_look() {
        let quiet = Decision::Nothing(NoActionReason::AsItShould);
        let refused = Decision::Refused(BlockReason::NoQuorum);
        let level = |member, offline, next| line(member, offline, Some(next)).level;
        assert_eq!(level(Membership::Online, false, &quiet), Level::Ok);
        assert_eq!(level(Membership::Standby, false, &quiet), Level::Ok);
        assert_eq!(level(Membership::Online, false, &refused), Level::Attention);
        assert_eq!(level(Membership::Unclean, true, &quiet), Level::Attention);
        assert_eq!(level(Membership::Absent, false, &quiet), Level::Attention);
        assert_eq!(level(Membership::Absent, true, &quiet), Level::Ok, "recorded offline: all is said");
    }

    #[test]
    fn what_is_about_to_be_done_is_marked_so() {
        assert_eq!(line(Membership::Absent, false, Some(&Decision::Drain { auto_promote: false })).mark(), '*');
        assert_eq!(line(Membership::Absent, false, None).mark(), '!');
        assert_eq!(line(Membership::Online, false, None).mark(), ' ');
    }

    /// A status of nothing is none: an empty answer must not read as "all is well".
    #[test]
    fn the_worst_counts_and_nothing_is_not_well() {
        let empty = Status {
            version: VERSION,
            host: "n1".into(),
            level: Level::Ok,
            master: None,
            quorum: None,
            quorum_device: None,
            maintenance: None,
            pause: None,
            breaker: None,
            nodes: vec![],
            notes: vec![],
        };
        assert_eq!(empty.clone().judged().level.code(), 2);
        let nodes = vec![line(Membership::Online, false, None)];
        assert_eq!(Status { nodes: nodes.clone(), ..empty.clone() }.judged().level.code(), 0);
        let notes = vec![Note::new(Level::Attention, "pause", "x")];
        let worse = Status { nodes, notes, ..empty }.judged();
        assert_eq!(worse.level.code(), 1);
        let json = serde_json::to_value(&worse).unwrap();
        assert_eq!(json["level"], "attention");
        assert_eq!(json["nodes"][0]["ganeti"]["role"], "candidate");
        assert_eq!((&json["nodes"][0]["pacemaker"], &json["quorum"]), (&"online".into(), &serde_json::Value::Null));
    }

    /// One member without the vote is enough: it may be the one that is left.
    #[test]
    fn a_quorum_device_that_does_not_vote_is_told() {
        use crate::core::quorum::tests::{CMAP, TOOL};
        let of = |cmap: &str, tool: &str| DeviceVote::of(&Quorum::parse(cmap, tool).unwrap());
        assert_eq!(of(CMAP, TOOL).unwrap().note().level, Level::Ok);
        let silent = of(CMAP, &TOOL.replace("A,V,NMW n2", "A,NV,NMW n2")).unwrap().note();
        assert!(
            silent.level == Level::Attention && silent.text.contains("on 192.0.2.200 does not give its vote"),
            "{silent:?}"
        );
        assert_eq!(of("quorum.provider (str) = corosync_votequorum\n", TOOL), None);
    }

    #[test]
    fn columns_are_short() {
        let flags = Flags { role: DisplayedRole::Regular, offline: true, drained: None, powered: Some(false) };
        assert_eq!(flags.words(), "regular, offline");
        let mut last =
            LastAction { action: Action::Reboot, outcome: Some(Outcome::Done), grade: Grade::Off, at_ms: 1_000 };
        assert_eq!(last.words(241_000), "reboot 4 min ago: proven off");
        last.outcome = Some(Outcome::Unknown);
        assert_eq!(last.words(0), "reboot 0 s ago: FAILED");
        last.outcome = None;
        assert_eq!(last.words(8_000_000), "reboot 2 h ago: INTERRUPTED");
    }
}
