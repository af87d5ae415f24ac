//! What a reconciliation looks at.

use std::fmt;

use crate::core::breaker::Limits;
use crate::core::ganeti::config::Node;
use crate::core::ganeti::tags::Tags;
use crate::core::grade::Grade;
use crate::core::history::ActionRecord;
use crate::core::node::{self, NodeName};
use crate::core::pacemaker::fencing::Ways;
use crate::core::pacemaker::state::{Delegate, Fence, FenceAction, FenceStatus, MasterRoleState, Membership};
use crate::core::pause::Pause;
pub use crate::core::power_receipt::PowerReceipt;
use crate::core::receipt::{Outcome, Timestamp};

/// What the administrator can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The least grade of proof that offlines a node.
    pub least_grade: Grade,
    /// How long after the start of this host's cluster stack only what was fenced since counts, in milliseconds: others
    /// are still on their way in.
    pub start_up_grace_ms: u64,
    /// Drain a node that leaves gracefully, and un-drain it when it returns.
    pub drain: bool,
    /// How many nodes may be down by our record at once.
    pub limits: Limits,
    /// A proof that is older than this, in milliseconds, offlines nothing: too much may have happened since.
    pub oldest_proof_ms: u64,
    /// What is done to the power of a node that is recorded offline.
    pub power_too: PowerAction,
}

/// What is done to a node's power when it is recorded offline (tags `ocf:node-offline:...`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PowerAction {
    /// Ganeti's own powercycle, by the node's noded.
    pub cycle: bool,
    /// Off, by its OOB program.
    pub off: bool,
}

impl fmt::Display for PowerAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |on: bool, word| if on { word } else { "" };
        write!(f, "{}{}", word(self.cycle, ", powercycle"), word(self.off, ", power off"))
    }
}

impl Settings {
    /// What a `fence_ganeti` device promises that does not say (its `minimum_grade`).
    pub const DEVICE_GRADE: Grade = Grade::Bounded;

    /// The defaults, and what the cluster's tags say.
    #[must_use]
    pub fn of_tags(tags: &Tags) -> Self {
        let power_too = PowerAction { cycle: tags.use_powercycle, off: tags.use_poweroff };
        Self { drain: tags.drain_node, power_too, ..Self::default() }
    }

    /// With the least proof that a `fence_ganeti` device takes. Where one is told by name to take less than is asked for here,
    /// Pacemaker goes on after less, and so does the record: a node that Pacemaker recovers from and Ganeti has online would
    /// be neither. What other agents prove changes nothing here.
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

/// The cluster, as the host that reconciles sees it. What it could not find out is given as the value that allows
/// least, which each field names.
#[derive(Clone, Debug)]
pub struct ReconcileInput {
    /// Now.
    pub now: Timestamp,
    /// When the cluster stack of this host started, in milliseconds since 1970. Not known: now.
    pub stack_started_ms: u64,
    /// Pacemaker has quorum here. Not known: false.
    pub quorum: bool,
    /// Pacemaker's `maintenance-mode`. Not known: true.
    pub maintenance: bool,
    /// This host.
    pub here: NodeName,
    /// Ganeti's master, by this host's own configuration.
    pub master: Option<NodeName>,
    /// Where Pacemaker has the master role. Not known: nowhere.
    pub role: MasterRoleState,
    /// The administrator's pause.
    pub pause: Option<Pause>,
    /// Ganeti's `candidate_pool_size`.
    pub candidate_pool_size: usize,
    /// Ganeti's nodes.
    pub nodes: Vec<NodeState>,
}

impl ReconcileInput {
    /// As it would be found had `died` been fenced just now by the devices that Pacemaker has for it, by a host that would then be Ganeti's
    /// master: the one that is, or, where that is the dead one, some candidate that lives.
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
            self.role = MasterRoleState::On(self.here.clone());
        }
        for node in self.nodes.iter_mut().filter(|node| node.ganeti.name == *died) {
            node.member = Membership::Absent;
            node.member_since_ms = None;
            node.answers = Some(false);
            let (action, status) = (FenceAction::Off, FenceStatus::Success);
            node.fences.push(Fence { action, status, completed_ms, delegate: Delegate::Nobody });
        }
        self
    }
}

/// One of Ganeti's nodes.
#[derive(Clone, Debug)]
pub struct NodeState {
    /// Ganeti's flags.
    pub ganeti: Node,
    /// When Ganeti last wrote this node's record (`mtime`), in milliseconds since 1970: no readmission is later.
    pub changed_ms: Option<u64>,
    /// Our mark that it was us who drained it. Set after the drain, in the same job.
    pub drained_by_us: bool,
    /// Pacemaker's view.
    pub member: Membership,
    /// Pacemaker reaches it by a connection alone (a remote node).
    pub is_remote: bool,
    /// Since when it is a member, in milliseconds since 1970 (`in_ccm`, from Pacemaker 2.1.7 on).
    pub member_since_ms: Option<u64>,
    /// Whether its noded answered just now; none if it was not asked. Silence proves nothing, an answer does: a connection
    /// that is taken or refused is one. Asking is needed only where a plan says [`NotAsked`](super::BlockReason::NotAsked).
    pub answers: Option<bool>,
    /// Pacemaker's fence history of it.
    pub fences: Vec<Fence>,
    /// What the receipts say that was done to it.
    pub receipts: Vec<PowerReceipt>,
    /// The ways in which Pacemaker may fence it.
    pub ways: Ways,
}

impl PowerReceipt {
    /// What was done to `wanted`, one of Ganeti's nodes `all`, by whichever of our programs. What may have been done to another
    /// of them was not done to it.
    #[must_use]
    pub fn all_of(stories: &[ActionRecord], wanted: &NodeName, all: &[NodeName]) -> Vec<Self> {
        let same = |story: &&ActionRecord| node::means(&story.intent.node, wanted, all);
        stories.iter().filter(same).map(Self::of).collect()
    }

    /// What a story tells: of one without a receipt only that it began. Its parts tell the same again, and are left out.
    #[must_use]
    pub fn of(story: &ActionRecord) -> Self {
        let ActionRecord { intent, receipt, .. } = story;
        let receipt = receipt.as_ref();
        Self {
            id: intent.id.clone(),
            action: intent.action,
            outcome: receipt.map_or(Outcome::Unknown, |receipt| receipt.outcome),
            grade: receipt.map_or(Grade::Unknown, |receipt| receipt.grade),
            proven_by: receipt.map_or_else(|| "nobody".to_owned(), |receipt| receipt.proven_by.clone()),
            ended_ms: receipt.map_or(intent.at.wall_ms, |receipt| receipt.at.wall_ms),
            by_fencer: intent.requested_by.is_fencer(),
            unfinished: receipt.is_none(),
        }
    }
}
