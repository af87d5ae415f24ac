//! Who is to be recorded offline, drained or un-drained in Ganeti: one function from the cluster's state to a plan.
//!
//! Only a fencing offlines, and only while it still proves something: the node was not readmitted, and not seen running,
//! since. A graceful leaving drains. Notifications and alerts only say when to look; what is found depends on the state
//! alone, so that a fencing that nobody was told of is found at the next look. What is not known never becomes a record.

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
use judge::{Intention, Judge};
pub use memory::Memory;
pub use proof::{FencingEvidence, First, Proof, ProofSource, last_on, proofs};
pub use state::{NodeState, PowerAction, PowerReceipt, ReconcileInput, Settings};

/// What to do, and what to remember.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One for each node of Ganeti, in the order in which it is to be done.
    pub verdicts: Vec<NodeDecision>,
    /// To be kept for the next look, before anything of the plan is done.
    pub memory: Memory,
}

/// What is decided of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeDecision {
    /// The node.
    pub node: NodeName,
    /// What is decided.
    pub decision: Decision,
}

/// A decision, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Record it offline.
    Offline {
        /// The job.
        job: OfflineJob,
        /// What proves that it may.
        proof: Proof,
        /// What is done to its power beside.
        power_too: PowerAction,
    },
    /// It is offline already, and a newer fencing tells of its power: correct that.
    Powered {
        /// The job.
        job: OfflineJob,
        /// What tells it.
        proof: Proof,
    },
    /// It left gracefully: drain it, then mark the drain as ours, in one job.
    Drain {
        /// Let Ganeti promote another node to master candidate.
        auto_promote: bool,
    },
    /// It is back: un-drain it and take our mark away, in one job.
    UnDrain,
    /// Our mark is there, and the drain is not ours any more: take the mark away.
    ForgetDrain,
    /// Nothing.
    Nothing(NoActionReason),
    /// Something, but not now.
    Refused(BlockReason),
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
                write!(f, "offline{}{power_too}: {} ({})", flags(job), proof.grade, proof.word)
            }
            Self::Powered { job, proof } => write!(f, "power{}: {} ({})", flags(job), proof.grade, proof.word),
            Self::Drain { auto_promote } => {
                write!(f, "drain{}: it left gracefully", if *auto_promote { ", auto_promote" } else { "" })
            }
            Self::UnDrain => f.write_str("un-drain: it is back, and the drain was ours"),
            Self::ForgetDrain => f.write_str("forget our drain: it was undone or replaced"),
            Self::Nothing(why) => write!(f, "nothing: {why}"),
            Self::Refused(why) => write!(f, "refused: {why}"),
        }
    }
}

/// Decides.
///
/// Whoever is not master gets a plan of nothing, and the memory that it needs once it is. Running it again, with the
/// plan done or not, changes nothing more.
#[must_use]
pub fn reconcile(state: &ReconcileInput, settings: &Settings, memory: Memory) -> Plan {
    let mut judge = Judge::new(state, settings, memory);
    let mut wishes: Vec<(&NodeState, Intention)> = state.nodes.iter().map(|node| (node, judge.judge(node))).collect();
    let mut memory = judge.into_memory();
    memory.breaker.look(is_whole(state, &memory), state.now);

    let is_master = state.master.as_ref() == Some(&state.here);
    let general = general_refusal(state);
    if is_master && general.is_none() {
        hold_back(&mut wishes, state, settings, &mut memory);
    }
    // Those that are no candidates first: with auto_promote, Ganeti would choose among them, dead or not. Then drains.
    wishes.sort_by_key(|(node, wish)| (wish.rank(), node.ganeti.master_candidate));
    let mut pool = Pool::new(state);
    let verdicts = wishes
        .into_iter()
        .map(|(node, wish)| NodeDecision {
            node: node.ganeti.name.clone(),
            decision: match (&general, wish) {
                (_, Intention::Leave(quiet)) => Decision::Nothing(quiet),
                // The master itself is lost: nobody else tells why nothing goes on.
                (_, Intention::Refuse(refusal @ BlockReason::NotFenced { .. }))
                    if state.quorum && state.master.as_ref() == Some(&node.ganeti.name) =>
                {
                    Decision::Refused(refusal)
                }
                _ if !is_master => Decision::Nothing(NoActionReason::NotMaster),
                // What is wrong with this node is the nearer reason.
                (_, Intention::Refuse(refusal)) => Decision::Refused(refusal),
                (Some(refusal), _) => Decision::Refused(refusal.clone()),
                (None, wish) => decide(node, wish, &mut pool, settings.power_too),
            },
        })
        .collect();
    Plan { verdicts, memory }
}

fn decide(node: &NodeState, wish: Intention, pool: &mut Pool<'_>, power_too: PowerAction) -> Decision {
    let job = |proof: &Proof, auto_promote| OfflineJob {
        node: node.ganeti.name.clone(),
        // Ganeti takes no power state of a node without an OOB program (`lib/cmdlib/node.py`).
        powered: proof.powered.filter(|_| node.ganeti.oob_program.is_some()),
        auto_promote,
    };
    match wish {
        Intention::Offline(proof) => Decision::Offline {
            job: job(&proof, pool.leave(&node.ganeti.name)),
            power_too: PowerAction {
                // Not where it is off already, nor where nothing could switch it off.
                off: power_too.off && node.ganeti.oob_program.is_some() && proof.powered != Some(false),
                ..power_too
            },
            proof,
        },
        Intention::Powered(proof) => Decision::Powered { job: job(&proof, false), proof },
        Intention::Drain => Decision::Drain { auto_promote: pool.leave(&node.ganeti.name) },
        Intention::UnDrain => Decision::UnDrain,
        Intention::ForgetDrain => Decision::ForgetDrain,
        Intention::Leave(quiet) => Decision::Nothing(quiet),
        Intention::Refuse(refusal) => Decision::Refused(refusal),
    }
}

/// What keeps this host from doing anything at all.
fn general_refusal(state: &ReconcileInput) -> Option<BlockReason> {
    if !state.quorum {
        return Some(BlockReason::NoQuorum);
    }
    // A returning old master still believes its own configuration.
    match &state.role {
        MasterRoleState::On(host) if node::find(host, names(state)) != Ok(&state.here) => {
            return Some(BlockReason::MasterElsewhere { role_on: Some(host.clone()) });
        }
        MasterRoleState::Nowhere => return Some(BlockReason::MasterElsewhere { role_on: None }),
        MasterRoleState::On(_) | MasterRoleState::Unmanaged => {}
    }
    if state.maintenance {
        return Some(BlockReason::Maintenance);
    }
    state.pause.clone().map(BlockReason::Paused)
}

fn names(state: &ReconcileInput) -> impl Iterator<Item = &NodeName> {
    state.nodes.iter().map(|node| &node.ganeti.name)
}

/// Asks the breaker about those that are to be recorded offline; while it holds, nothing is drained either.
fn hold_back(wishes: &mut [(&NodeState, Intention)], state: &ReconcileInput, settings: &Settings, memory: &mut Memory) {
    let offline: BTreeSet<NodeName> = wishes
        .iter()
        .filter(|(_, wish)| matches!(wish, Intention::Offline(_)))
        .map(|(node, _)| node.ganeti.name.clone())
        .collect();
    let Err(latch) = memory.breaker.pass(&offline, settings.limits, state.nodes.len(), state.now) else {
        return;
    };
    let refusal = BlockReason::from(latch);
    for (_, wish) in wishes.iter_mut().filter(|(_, wish)| matches!(wish, Intention::Offline(_) | Intention::Drain)) {
        *wish = Intention::Refuse(refusal.clone());
    }
}

/// Whether every node is there. Those that the administrator has offline for reasons of his own do not count, nor those
/// that Pacemaker does not know.
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
