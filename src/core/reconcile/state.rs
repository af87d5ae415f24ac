//! The input of a reconciliation and its settings: plain data, without input or output.

use std::fmt;

use crate::core::breaker::Limits;
use crate::core::ganeti::config::Node;
use crate::core::ganeti::record_version::RecordVersion;
use crate::core::ganeti::tags::Tags;
use crate::core::grade::Grade;
use crate::core::history::ActionRecord;
use crate::core::node::{self, NodeName};
use crate::core::pacemaker::fencing::FencingOptions;
use crate::core::pacemaker::state::{Delegate, Fence, FenceAction, FenceStatus, MasterRoleState, Membership};
use crate::core::pause::Pause;
pub use crate::core::power_receipt::PowerReceipt;
use crate::core::receipt::{Outcome, Timestamp};

/// The settings of a reconciliation, from the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The weakest grade of proof that is enough to record a node offline.
    pub least_grade: Grade,
    /// The grace after the start of this host's cluster stack, in milliseconds. During it only a fencing since that
    /// start counts, and nothing is drained, because other nodes may still be joining.
    pub start_up_grace_ms: u64,
    /// Whether a node that leaves gracefully is drained, and un-drained when it returns.
    pub drain: bool,
    /// How many nodes gnt-ha may have recorded offline at once.
    pub limits: Limits,
    /// The greatest age of a proof, in milliseconds. An older one records no node offline: too much may have happened
    /// since.
    pub oldest_proof_ms: u64,
    /// What is done to the power of a node that is recorded offline.
    pub power_too: PowerAction,
}

/// The change of a node's power when it is recorded offline (tags `ocf:node-offline:...`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PowerAction {
    /// Whether Ganeti power cycles the node through the node's noded, before the record.
    pub cycle: bool,
    /// Whether the node's OOB program switches the node off, after the record.
    pub off: bool,
}

impl fmt::Display for PowerAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |on: bool, word| if on { word } else { "" };
        write!(f, "{}{}", word(self.cycle, ", powercycle"), word(self.off, ", power off"))
    }
}

impl Settings {
    /// The grade of a `fence_ganeti` device that does not set `minimum_grade`.
    pub const DEVICE_GRADE: Grade = Grade::Bounded;

    /// Returns the defaults, changed by the tags of the cluster.
    #[must_use]
    pub fn of_tags(tags: &Tags) -> Self {
        let power_too = PowerAction { cycle: tags.use_powercycle, off: tags.use_poweroff };
        Self { drain: tags.drain_node, power_too, ..Self::default() }
    }

    /// Returns the settings with `least_grade` lowered to the weakest grade that a `fence_ganeti` device accepts.
    ///
    /// Where a device is set to accept a weaker grade than these settings, Pacemaker recovers on that grade, and
    /// Ganeti's record has to follow. Otherwise Pacemaker would recover from a node that Ganeti has online. The grades
    /// of other agents change nothing here.
    #[must_use]
    pub fn promised(self, least_of_ours: Option<Grade>) -> Self {
        let least_grade = least_of_ours.map_or(self.least_grade, |least| self.least_grade.min(least));
        Self { least_grade, ..self }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            least_grade: Grade::Bounded,
            start_up_grace_ms: 300_000,
            drain: true,
            limits: Limits::default(),
            oldest_proof_ms: 86_400_000,
            power_too: PowerAction::default(),
        }
    }
}

/// The cluster as the reconciling host sees it. An unknown value is replaced by the one that allows least, which each
/// field names.
#[derive(Clone, Debug)]
pub struct ReconcileInput {
    /// The time of the reconciliation, on both clocks.
    pub now: Timestamp,
    /// When the cluster stack of this host started, in milliseconds since 1970 (wall clock). Unknown: now.
    pub stack_started_ms: u64,
    /// Whether Pacemaker has quorum on this host. Unknown: false.
    pub quorum: bool,
    /// Pacemaker's `maintenance-mode`. Unknown: true.
    pub maintenance: bool,
    /// The name of this host's node.
    pub here: NodeName,
    /// Ganeti's master, by this host's own configuration.
    pub master: Option<NodeName>,
    /// Where Pacemaker has the master role. Unknown: [`MasterRoleState::Inactive`].
    pub role: MasterRoleState,
    /// The administrator's pause, if there is one.
    pub pause: Option<Pause>,
    /// Ganeti's `candidate_pool_size`: how many master candidates it is to have.
    pub candidate_pool_size: usize,
    /// The state of each of Ganeti's nodes.
    pub nodes: Vec<NodeState>,
}

impl ReconcileInput {
    /// Returns the state as it would be right after a fencing of `died` by the devices that Pacemaker has for it.
    ///
    /// The input is then that of Ganeti's master: the present one or, if `died` is the master, the first candidate that
    /// is online.
    #[must_use]
    pub fn after_death(mut self, died: &NodeName) -> Self {
        let completed_ms = Some(self.now.wall_ms);
        let lives = |node: &&NodeState| {
            let ganeti = &node.ganeti;
            ganeti.name != *died && ganeti.master_candidate && !ganeti.offline && node.member == Membership::Online
        };
        let new_master = self.nodes.iter().find(lives).map(|node| node.ganeti.name.clone());
        let here = self.master.take().filter(|master| master != died).or(new_master);
        self.here = here.unwrap_or(self.here);
        self.master = Some(self.here.clone());
        if self.role != MasterRoleState::Unmanaged {
            self.role = MasterRoleState::ActiveOn(self.here.clone());
        }
        for node in self.nodes.iter_mut().filter(|node| node.ganeti.name == *died) {
            node.member = Membership::Absent;
            node.member_since_ms = None;
            node.answers = Some(false);
            let (action, status) = (FenceAction::Off, FenceStatus::Success);
            node.fences.push(Fence { action, status, completed_ms, delegate: Delegate::Unnamed });
        }
        self
    }
}

/// One of Ganeti's nodes, with what Pacemaker and this host report of it.
#[derive(Clone, Debug)]
pub struct NodeState {
    /// The node's name and flags in Ganeti's configuration.
    pub ganeti: Node,
    /// When Ganeti last wrote this node's record (`mtime`), in milliseconds since 1970: no readmission is later.
    pub changed_ms: Option<u64>,
    /// The version of this node's record, if Ganeti's configuration has it.
    pub version: Option<RecordVersion>,
    /// Whether the node has gnt-ha's drain tag ([`DRAINED_BY_US`](super::jobs::DRAINED_BY_US)). The tag is set after
    /// the drain, in the same job.
    pub drained_by_us: bool,
    /// The node's state in Pacemaker.
    pub member: Membership,
    /// Whether Pacemaker reaches the node by a connection alone (a remote node).
    pub is_remote: bool,
    /// Since when the node is a member, in milliseconds since 1970 (`in_ccm`, from Pacemaker 2.1.7 on).
    pub member_since_ms: Option<u64>,
    /// Whether the node's noded answered just now; `None` if it was not asked.
    ///
    /// A connection that is accepted or refused is an answer, and shows that the host runs. A missing answer proves
    /// nothing. Asking is needed only where a plan contains [`NotAsked`](super::BlockReason::NotAsked).
    pub answers: Option<bool>,
    /// Pacemaker's fence history of the node.
    pub fences: Vec<Fence>,
    /// The actions on the node that receipts report.
    pub receipts: Vec<PowerReceipt>,
    /// The options that Pacemaker has to fence the node.
    pub options: FencingOptions,
}

impl PowerReceipt {
    /// Returns the actions of gnt-ha's programs on `wanted`, one of Ganeti's nodes `all`. An action whose node name may
    /// mean another of these nodes is left out.
    #[must_use]
    pub fn all_of(actions: &[ActionRecord], wanted: &NodeName, all: &[NodeName]) -> Vec<Self> {
        let same = |action: &&ActionRecord| node::means(&action.intent.node, wanted, all);
        actions.iter().filter(same).map(Self::of).collect()
    }

    /// Returns what an action record reports. A record without a receipt reports only that the action began. The parts
    /// of the action report the same again, and are left out.
    #[must_use]
    pub fn of(action: &ActionRecord) -> Self {
        let ActionRecord { intent, receipt, .. } = action;
        let receipt = receipt.as_ref();
        Self {
            id: intent.id.clone(),
            action: intent.action,
            outcome: receipt.map_or(Outcome::Unknown, |receipt| receipt.outcome),
            grade: receipt.map_or(Grade::Unknown, |receipt| receipt.grade),
            proven_by: receipt.map_or_else(|| "nothing".to_owned(), |receipt| receipt.proven_by.clone()),
            ended_ms: receipt.map_or(intent.at.wall_ms, |receipt| receipt.at.wall_ms),
            by_fencer: intent.requested_by.is_fencer(),
            unfinished: receipt.is_none(),
        }
    }
}
