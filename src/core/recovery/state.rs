//! The input of recovery and its settings: plain data, without input or output.

use std::collections::{BTreeMap, BTreeSet};

use super::allocator::AllocatorState;
use super::freshness::DrbdSightings;
use super::instance::{Instance, InstanceName};
use super::instance_breaker::{InstanceBreaker, InstanceLimits};
use super::queue::InstanceJob;
use super::report::RunningReport;
use super::unreadable::UnreadableInstance;
use crate::core::breaker::OpenState;
use crate::core::ganeti::record_version::RecordVersion;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::pause::Pause;

/// The limits of recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoverySettings {
    /// The weakest grade of proof that lets an instance start elsewhere. Where the storage is outside the cluster,
    /// [`Grade::Bounded`] is the least in any case.
    pub least_grade: Grade,
    /// How many instances may be started at once on one host.
    pub starts_per_host: u32,
    /// How many instances may be started at once in the cluster, before the breaker stops them all.
    pub limits: InstanceLimits,
    /// How often an instance is started before it is only reported.
    pub attempts: usize,
    /// The greatest time between the last sighting of fresh DRBD disks and the death, in milliseconds.
    pub drbd_age_ms: u64,
    /// The grace after the start of this host's cluster stack, in milliseconds. During it only a proof since that start
    /// counts.
    pub start_up_grace_ms: u64,
}

impl Default for RecoverySettings {
    fn default() -> Self {
        Self {
            least_grade: Grade::Bounded,
            starts_per_host: 4,
            limits: InstanceLimits::default(),
            attempts: 2,
            drbd_age_ms: 60_000,
            start_up_grace_ms: 300_000,
        }
    }
}

/// The proof of a node's death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeathProof {
    /// How much the proof shows about the host.
    pub grade: Grade,
    /// When it was proven, in milliseconds since 1970.
    pub at_ms: u64,
    /// When the host was lost, at the latest, in milliseconds since 1970; `None` if it is unknown.
    pub lost_ms: Option<u64>,
    /// Whether the node was certainly not online in Ganeti since the proof. Otherwise it may have been readmitted, have
    /// started its instances, and have been recorded offline again while it runs.
    pub is_of_record: bool,
}

/// Ganeti's record of a node, read back just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeRecord {
    /// The node is recorded online.
    Online,
    /// The node is recorded online, and a job of gnt-ha that records it offline is submitted, or is submitted now.
    BeingRecorded,
    /// The node is recorded offline.
    Offline,
}

/// The reason why nothing is started on a node that Ganeti has online.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// Pacemaker does not see the node as a member.
    Lost,
    /// Pacemaker wants the node fenced.
    Unclean,
    /// The node is shunned.
    Shunned,
    /// A fencing of the node is pending.
    FencingPending,
}

/// One of Ganeti's nodes.
#[derive(Clone, Debug)]
pub struct RecoveryNode {
    /// The node's name in Ganeti.
    pub name: NodeName,
    /// The name of the node's group.
    pub group: String,
    /// Whether it is recorded offline.
    pub record: NodeRecord,
    /// When Ganeti last wrote the record of a node that is offline, in milliseconds since 1970 (wall clock of the master);
    /// `None` if it is unknown.
    pub recorded_ms: Option<u64>,
    /// The version of the record; `None` if it is unknown.
    pub version: Option<RecordVersion>,
    /// Whether Ganeti puts no new instances on the node.
    pub drained: bool,
    /// Whether the node may run instances.
    pub vm_capable: bool,
    /// The proof that the node can do no more harm, if there is one that was not settled by a readmission.
    pub proof: Option<DeathProof>,
    /// Whether the node was seen running after the proof: as a member, or by an answer of its noded. Unknown: true.
    pub runs_again: bool,
    /// The reason why nothing may be started on the node, if there is one. Unknown: [`Suspicion::Lost`].
    pub suspicion: Option<Suspicion>,
    /// The instances that run on the node, by its own hypervisors.
    pub running: RunningReport,
}

/// The cluster as the master sees it. An unknown value is replaced by the one that allows least.
#[derive(Clone, Debug)]
pub struct RecoveryInput {
    /// The time, in milliseconds since 1970 (wall clock).
    pub now_ms: u64,
    /// When the cluster stack of this host started, in milliseconds since 1970. Unknown: now.
    pub stack_started_ms: u64,
    /// Whether this host is Ganeti's master, also by Pacemaker. Unknown: false.
    pub is_master: bool,
    /// Whether Pacemaker has quorum on this host. Unknown: false.
    pub quorum: bool,
    /// Pacemaker's `maintenance-mode`. Unknown: true.
    pub maintenance: bool,
    /// The administrator's pause, if there is one.
    pub pause: Option<Pause>,
    /// The open breaker of the nodes, if it is open.
    pub node_breaker: Option<OpenState>,
    /// The breaker of the instances, as the last plan left it.
    pub instance_breaker: InstanceBreaker,
    /// Whether recovery is on, by the cluster's tag.
    pub is_on: bool,
    /// The tags of the cluster, those for harep among them.
    pub cluster_tags: Vec<String>,
    /// The tags of each node group, by its name.
    pub group_tags: BTreeMap<String, Vec<String>>,
    /// All nodes of Ganeti's configuration.
    pub nodes: Vec<RecoveryNode>,
    /// All instances of Ganeti's configuration that can be read.
    pub instances: Vec<Instance>,
    /// The others. They are never started.
    pub unreadable: Vec<UnreadableInstance>,
    /// Ganeti's job queue. It is read before the instances, so that a job which ends between both is seen in one of them.
    pub jobs: Vec<InstanceJob>,
    /// The instances whose start was submitted to luxid, which may still accept it, and which the queue does not show.
    pub unconfirmed: BTreeSet<InstanceName>,
    /// What was seen of DRBD disks before the death.
    pub drbd: BTreeMap<InstanceName, DrbdSightings>,
    /// The allocator's answer, if it was asked.
    pub allocator: AllocatorState,
}
