//! The reconciler: one pure function from the state of the cluster to a plan of which nodes to record offline, drain or
//! un-drain in Ganeti.
//!
//! Only a fencing leads to a record offline, and only while it still proves something: the node was not readmitted and
//! not seen running since. A node that leaves gracefully is drained. Notifications and alerts only trigger a
//! reconciliation. The plan depends on the state alone, so the next reconciliation finds a fencing that was not
//! notified. An unknown state never leads to a record.

mod block_reason;
mod candidate_pool;
pub mod jobs;
mod judge;
mod memory;
pub mod peer_receipts;
mod proof;
mod state;

use std::collections::BTreeSet;
use std::fmt;

use super::ganeti::offline_job::OfflineJob;
use super::node::{self, NodeName};
pub use super::pacemaker::state::{Delegate, Fence, FenceAction, FenceStatus, MasterRoleState, Membership};
pub use super::pause::Pause;
pub use block_reason::{BlockReason, NoActionReason};
use candidate_pool::Pool;
use judge::{Intention, NodeJudge};
pub use memory::Memory;
pub use proof::{FencingEvidence, First, Proof, ProofSource, last_on, proofs};
pub use state::{NodeState, PowerAction, PowerReceipt, ReconcileInput, Settings};

/// The result of one reconciliation: decisions, and the memory for the next one.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One decision for each node of Ganeti, in the order in which the jobs are to be submitted.
    pub decisions: Vec<NodeDecision>,
    /// The memory for the next reconciliation. The caller stores it before it carries out any part of the plan.
    pub memory: Memory,
}

/// The decision about one node, as `gnt-ha reconcile --dry-run` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeDecision {
    /// The node's name, as Ganeti has it.
    pub node: NodeName,
    /// The decision with its reason.
    pub decision: Decision,
}

/// The decision about one node, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Record the node offline.
    Offline {
        /// The job that sets the node's flags.
        job: OfflineJob,
        /// The proof that allows the record.
        proof: Proof,
        /// What is done to the node's power with the record.
        power_too: PowerAction,
    },
    /// Correct the `powered` flag: the node is offline already, and a newer fencing shows its power state.
    Powered {
        /// The job that sets the node's flags.
        job: OfflineJob,
        /// The proof that shows the power state.
        proof: Proof,
    },
    /// Drain the node, which left gracefully, then set the tag of gnt-ha's drain, in one job.
    Drain {
        /// Whether Ganeti must promote another node to master candidate.
        auto_promote: bool,
    },
    /// Un-drain the node, which is back, and remove the tag of gnt-ha's drain, in one job.
    UnDrain,
    /// Remove the tag of gnt-ha's drain: the drain was undone or replaced.
    ForgetDrain,
    /// No change is needed.
    Nothing(NoActionReason),
    /// A change is needed and blocked.
    Blocked(BlockReason),
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = |job: &OfflineJob| {
            let powered = match job.powered {
                Some(true) => ", powered=yes",
                Some(false) => ", powered=no",
                None => "",
            };
            format!("{powered}{}", if job.auto_promote { ", auto_promote" } else { "" })
        };
        match self {
            Self::Offline { job, proof, power_too } => {
                write!(f, "offline{}{power_too}: {} ({})", flags(job), proof.grade, proof.source)
            }
            Self::Powered { job, proof } => write!(f, "power{}: {} ({})", flags(job), proof.grade, proof.source),
            Self::Drain { auto_promote } => {
                write!(f, "drain{}: it left gracefully", if *auto_promote { ", auto_promote" } else { "" })
            }
            Self::UnDrain => f.write_str("un-drain: it is back, and the drain was ours"),
            Self::ForgetDrain => f.write_str("forget our drain: it was undone or replaced"),
            Self::Nothing(why) => write!(f, "nothing: {why}"),
            Self::Blocked(why) => write!(f, "blocked: {why}"),
        }
    }
}

/// Decides what to do about each node.
///
/// A host that is not master gets decisions without an action, and the memory that it needs when it becomes master. The
/// function is idempotent: a second call decides nothing more, with the plan carried out or not.
///
/// A node that is lost and not fenced stays online in Ganeti:
///
/// ```
/// use gnt_ha::core::reconcile::{Decision, Membership, Memory, NodeState, ReconcileInput, Settings, reconcile};
/// # use gnt_ha::core::{ganeti::config::GanetiConfig, node::NodeName, pacemaker::fencing::FencingOptions};
/// # use gnt_ha::core::{grade::Grade, reconcile::MasterRoleState, receipt::Timestamp};
///
/// # let ganeti = GanetiConfig::parse(
/// #     br#"{"version": 3000000, "serial_no": 17, "cluster": {"master_node": "u1"}, "nodegroups": {"g1": {}},
/// #          "nodes": {"u1": {"name": "n1.lab", "group": "g1"}, "u3": {"name": "n3.lab", "group": "g1"}}}"#,
/// # )?;
/// # let here = NodeName::new("n1.lab")?;
/// let lost = NodeState {
///     member: Membership::Unclean,
///     fences: vec![],
///     receipts: vec![],
///     # ganeti: ganeti.find(&NodeName::new("n3.lab")?)?.clone(),
///     # changed_ms: None,
///     # version: None,
///     # drained_by_us: false,
///     # is_remote: false,
///     # member_since_ms: None,
///     # answers: None,
///     # options: FencingOptions::ours(Grade::Bounded),
///     // ... and what else Pacemaker and Ganeti report of the node
/// };
/// let input = ReconcileInput {
///     nodes: vec![lost],
///     quorum: true,
///     # now: Timestamp { wall_ms: 9_000_000, boottime_ms: 9_000_000 },
///     # stack_started_ms: 0,
///     # maintenance: false,
///     # role: MasterRoleState::ActiveOn(here.clone()),
///     # master: Some(here.clone()),
///     # here,
///     # pause: None,
///     # candidate_pool_size: 10,
///     // ... and the state of the cluster
/// };
/// let plan = reconcile(&input, &Settings::default(), Memory::default());
/// let Decision::Blocked(reason) = &plan.decisions[0].decision else { panic!("{plan:?}") };
/// assert!(reason.to_string().starts_with("lost, and not fenced yet"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn reconcile(state: &ReconcileInput, settings: &Settings, memory: Memory) -> Plan {
    let mut judge = NodeJudge::new(state, settings, memory);
    let mut intentions: Vec<(&NodeState, Intention)> =
        state.nodes.iter().map(|node| (node, judge.judge(node))).collect();
    let mut memory = judge.into_memory();
    memory.breaker.observe(is_whole(state, &memory), state.now);

    let is_master = state.master.as_ref() == Some(&state.here);
    let general = general_block(state);
    if is_master && general.is_none() {
        block_all(&mut intentions, state, settings, &mut memory);
    }
    // Nodes that are not candidates come first: with `auto_promote`, Ganeti would choose among them, dead or not. Then
    // drains.
    intentions.sort_by_key(|(node, intention)| (intention.rank(), node.ganeti.master_candidate));
    let mut pool = Pool::new(state);
    let decisions: Vec<NodeDecision> = intentions
        .into_iter()
        .map(|(node, intention)| NodeDecision {
            node: node.ganeti.name.clone(),
            decision: match (&general, intention) {
                (_, Intention::Leave(quiet)) => Decision::Nothing(quiet),
                (_, Intention::AskPower(_)) if !is_master => Decision::Nothing(NoActionReason::AlreadyOffline),
                (_, Intention::AskPower(proof)) => Decision::Nothing(NoActionReason::PowerUnknown(proof.source)),
                // The master itself is lost and not fenced: no other host reports why nothing happens.
                (_, Intention::Block(reason @ BlockReason::NotFenced { .. }))
                    if state.quorum && state.master.as_ref() == Some(&node.ganeti.name) =>
                {
                    Decision::Blocked(reason)
                }
                _ if !is_master => Decision::Nothing(NoActionReason::NotMaster),
                // The reason that concerns this node alone comes before the general one.
                (_, Intention::Block(reason)) => Decision::Blocked(reason),
                (Some(reason), _) => Decision::Blocked(reason.clone()),
                (None, intention) => decide(node, intention, &mut pool, settings.power_too),
            },
        })
        .collect();
    for NodeDecision { node, decision } in &decisions {
        if *decision == Decision::UnDrain {
            memory.un_drain(node);
        }
        let Decision::Offline { proof, .. } = decision else {
            memory.note_recording(node, None);
            continue;
        };
        memory.note_recording(node, Some(proof));
    }
    Plan { decisions, memory }
}

fn decide(node: &NodeState, intention: Intention, pool: &mut Pool<'_>, power_too: PowerAction) -> Decision {
    let job = |proof: &Proof, auto_promote| OfflineJob {
        node: node.ganeti.name.clone(),
        sets_offline: !node.ganeti.offline,
        // Ganeti accepts no power state for a node without an OOB program (`lib/cmdlib/node.py`).
        powered: proof.powered.filter(|_| node.ganeti.oob_program.is_some()),
        auto_promote,
    };
    match intention {
        Intention::Offline(proof) => Decision::Offline {
            job: job(&proof, pool.leave(&node.ganeti.name)),
            power_too: PowerAction {
                // A power-off is left out for a node that is off already and for one without an OOB program.
                off: power_too.off && node.ganeti.oob_program.is_some() && proof.powered != Some(false),
                ..power_too
            },
            proof,
        },
        Intention::Powered(proof) => Decision::Powered { job: job(&proof, false), proof },
        Intention::Drain => Decision::Drain { auto_promote: pool.leave(&node.ganeti.name) },
        Intention::UnDrain => Decision::UnDrain,
        Intention::ForgetDrain => Decision::ForgetDrain,
        Intention::AskPower(proof) => Decision::Nothing(NoActionReason::PowerUnknown(proof.source)),
        Intention::Leave(quiet) => Decision::Nothing(quiet),
        Intention::Block(reason) => Decision::Blocked(reason),
    }
}

/// Returns the reason that blocks every change by this host, if there is one.
fn general_block(state: &ReconcileInput) -> Option<BlockReason> {
    if !state.quorum {
        return Some(BlockReason::NoQuorum);
    }
    // An old master that returns still has its own configuration, which names it as master.
    match &state.role {
        MasterRoleState::ActiveOn(host) if node::find(host, names(state)) != Ok(&state.here) => {
            return Some(BlockReason::MasterElsewhere { role_on: Some(host.clone()) });
        }
        MasterRoleState::Inactive => return Some(BlockReason::MasterElsewhere { role_on: None }),
        MasterRoleState::ActiveOn(_) | MasterRoleState::Unmanaged => {}
    }
    if state.maintenance {
        return Some(BlockReason::Maintenance);
    }
    state.pause.clone().map(BlockReason::Paused)
}

fn names(state: &ReconcileInput) -> impl Iterator<Item = &NodeName> {
    state.nodes.iter().map(|node| &node.ganeti.name)
}

/// Asks the breaker about the nodes that are to be recorded offline. While it is open, drains are blocked too.
fn block_all(
    intentions: &mut [(&NodeState, Intention)],
    state: &ReconcileInput,
    settings: &Settings,
    memory: &mut Memory,
) {
    let offline: BTreeSet<NodeName> = intentions
        .iter()
        .filter(|(_, intention)| matches!(intention, Intention::Offline(_)))
        .map(|(node, _)| node.ganeti.name.clone())
        .collect();
    let Err(open) = memory.breaker.pass(&offline, settings.limits, state.nodes.len(), state.now) else {
        return;
    };
    let reason = BlockReason::from(open);
    for (_, intention) in
        intentions.iter_mut().filter(|(_, intention)| matches!(intention, Intention::Offline(_) | Intention::Drain))
    {
        *intention = Intention::Block(reason.clone());
    }
}

/// Returns whether every node is online. Nodes that the administrator has recorded offline do not count, nor do nodes
/// that Pacemaker does not have.
fn is_whole(state: &ReconcileInput, memory: &Memory) -> bool {
    state.nodes.iter().all(|node| {
        let name = &node.ganeti.name;
        match node.member {
            Membership::Unknown => true,
            _ if node.ganeti.offline => !memory.breaker.misses(name),
            member => member == Membership::Online,
        }
    })
}
