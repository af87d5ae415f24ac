//! The plan of recovery: one pure function from the state of the cluster to which instance starts where, and which does
//! not and why.
//!
//! The state is the only memory: Ganeti's record and job queue decide, so that a new master goes on where the
//! last one died. An instance is to be started if it is marked up, its primary node is recorded offline on a proof, and
//! no node runs it; or if a start by gnt-ha has moved it and failed. A second plan on the same state is the same plan.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::allocator::AllocatorState;
use super::down_instance::{DownInstance, InstanceJudge};
use super::instance::{AdminState, Instance, InstanceName};
use super::instance_breaker::InstanceBreaker;
use super::not_recovered::NotRecovered;
use super::priority::{BadPriority, Priority, priority};
use super::queue::{InstanceJob, JobKind, JobStatus};
use super::start_node::{AllocatorRequest, StartNode, allocator_requests};
use super::state::{NodeRecord, RecoveryInput, RecoverySettings};
use crate::core::ganeti::record_version::RecordVersion;
use crate::core::node::NodeName;

/// The next steps of recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryPlan {
    /// The instances to start, in their order.
    pub starts: Vec<Start>,
    /// The instances whose start is submitted and has not ended.
    pub under_way: Vec<UnderWay>,
    /// The instances that are to run and are not started, each with the reason.
    pub not_recovered: Vec<(InstanceName, NotRecovered)>,
    /// The jobs of gnt-ha that have not begun and are not wanted any more.
    pub cancel: Vec<Cancel>,
    /// The instances whose priority cannot be read. They are started as if they had none.
    pub bad_priorities: Vec<(InstanceName, BadPriority)>,
    /// The breaker of the instances, for the next plan. The caller stores it before it carries out any part of the plan.
    pub breaker: InstanceBreaker,
}

/// One instance that is to be started elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The instance's full name in Ganeti.
    pub instance: InstanceName,
    /// Its recorded primary node.
    pub off: NodeName,
    /// The node on which it starts, or that the allocator is to choose one.
    pub on: StartNode,
    /// Instances with a higher priority start earlier.
    pub priority: Priority,
    /// Whether the start has to wait for the job that records `off` offline.
    pub after_record: bool,
    /// Whether `off` is online: a start by gnt-ha that failed has moved the instance there.
    pub moves_again: bool,
    /// How many instances may start at once on the same host.
    pub starts_per_host: u32,
    /// The nodes on which it was started in this incident and failed.
    pub failed_on: BTreeSet<NodeName>,
    /// The version of the record of `off`; `None` if it is unknown.
    pub off_version: Option<RecordVersion>,
}

/// A start that is submitted and has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// The instance that the job starts.
    pub instance: InstanceName,
    /// The number of the job in Ganeti's queue.
    pub job: u64,
    /// The node on which it starts, if the job names it.
    pub on: Option<NodeName>,
}

/// A job of gnt-ha that is not wanted any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// The number of the job in Ganeti's queue.
    pub job: u64,
    /// The instance that the job would start.
    pub instance: InstanceName,
    /// The reason, as the log and `gnt-ha recover` print it.
    pub why: CancelReason,
}

/// The reason why a submitted start is not wanted any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// The instance does not exist any more.
    NoSuchInstance,
    /// The administrator has stopped the instance.
    Stopped,
    /// Another job of gnt-ha starts the instance already.
    Duplicate,
    /// The primary node is recorded online: the host was readmitted, or the instance was moved.
    PrimaryOnline,
    /// It would not be started now, for this reason.
    NotRecovered(NotRecovered),
}

impl RecoveryPlan {
    /// Returns what the allocator is to be asked, in this order; empty if no start needs it. Instances with DRBD are among
    /// them, so that the room they need is counted. What one answer places is in `being_started` of the next request.
    #[must_use]
    pub fn to_allocate(&self) -> Vec<AllocatorRequest> {
        let is_asked = |start: &&Start| match start.on {
            StartNode::Primary(_) => false,
            // There is no other place for it.
            StartNode::Secondary(_) => start.failed_on.is_empty(),
            StartNode::Allocated(_) | StartNode::AskAllocator => true,
        };
        if !self.starts.iter().any(|start| start.on == StartNode::AskAllocator) {
            return Vec::new();
        }
        allocator_requests(self.starts.iter().filter(is_asked).map(|start| (&start.instance, &start.failed_on)))
    }

    /// Returns the new primary node of each instance whose start is submitted, for the allocator.
    #[must_use]
    pub fn being_started(&self) -> BTreeMap<InstanceName, NodeName> {
        let named = |under_way: &UnderWay| Some((under_way.instance.clone(), under_way.on.clone()?));
        self.under_way.iter().filter_map(named).collect()
    }
}

/// Decides which instances to start, and where.
///
/// Without an answer of the allocator, starts that need one have [`StartNode::AskAllocator`]. The caller then runs it for
/// [`RecoveryPlan::to_allocate`] and calls this function again with the answer in `input.allocator`.
///
/// # Examples
/// ```
/// use std::collections::{BTreeMap, BTreeSet};
///
/// use gnt_ha::core::grade::Grade;
/// use gnt_ha::core::node::NodeName;
/// use gnt_ha::core::recovery::allocator::AllocatorState;
/// use gnt_ha::core::recovery::instance::{AdminState, Instance, InstanceName};
/// use gnt_ha::core::recovery::instance_breaker::InstanceBreaker;
/// use gnt_ha::core::recovery::plan::plan;
/// use gnt_ha::core::recovery::report::RunningReport;
/// use gnt_ha::core::recovery::start_node::StartNode;
/// use gnt_ha::core::recovery::state::{DeathProof, NodeRecord, RecoveryInput, RecoveryNode, RecoverySettings};
/// use gnt_ha::core::recovery::template::DiskTemplate;
///
/// const NOW: u64 = 1_700_000_000_000;
/// let (n1, n3) = (NodeName::new("n1.lab")?, NodeName::new("n3.lab")?);
/// let alive = RecoveryNode {
///     name: n1,
///     group: "default".to_owned(),
///     record: NodeRecord::Online,
///     recorded_ms: None,
///     version: None,
///     drained: false,
///     vm_capable: true,
///     proof: None,
///     runs_again: false,
///     suspicion: None,
///     running: BTreeSet::new().into(),
/// };
/// let proof = DeathProof { grade: Grade::Off, at_ms: NOW - 5_000, lost_ms: Some(NOW - 9_000), is_of_record: true };
/// let dead = RecoveryNode {
///     name: n3.clone(),
///     record: NodeRecord::Offline,
///     proof: Some(proof),
///     running: RunningReport::default(),
///     ..alive.clone()
/// };
/// let web = Instance {
///     name: InstanceName::new("web")?,
///     admin_state: AdminState::Up,
///     primary: n3,
///     secondaries: Vec::new(),
///     template: DiskTemplate::parse("rbd"),
///     tags: Vec::new(),
/// };
/// let mut input = RecoveryInput {
///     now_ms: NOW,
///     stack_started_ms: NOW - 10_000_000,
///     is_master: true,
///     quorum: true,
///     maintenance: false,
///     pause: None,
///     node_breaker: None,
///     instance_breaker: InstanceBreaker::default(),
///     is_on: true,
///     cluster_tags: vec!["ganeti:watcher:autorepair:failover".to_owned()],
///     group_tags: BTreeMap::new(),
///     nodes: vec![alive, dead],
///     instances: vec![web],
///     unreadable: Vec::new(),
///     jobs: Vec::new(),
///     unconfirmed: BTreeSet::new(),
///     drbd: BTreeMap::new(),
///     allocator: AllocatorState::NotAsked,
/// };
/// let settings = RecoverySettings::default();
/// assert_eq!(plan(&input, &settings).starts[0].on, StartNode::AskAllocator);
///
/// // Without a proof that the host is dead, its instance stays down.
/// input.nodes[1].proof = None;
/// assert!(plan(&input, &settings).starts.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn plan(input: &RecoveryInput, settings: &RecoverySettings) -> RecoveryPlan {
    let judge = InstanceJudge::new(input, settings);
    let general = general_reason(input);
    let may_cancel = input.is_master && input.quorum;
    let mut plan = RecoveryPlan {
        starts: Vec::new(),
        under_way: Vec::new(),
        not_recovered: Vec::new(),
        cancel: Vec::new(),
        bad_priorities: Vec::new(),
        breaker: input.instance_breaker.clone(),
    };
    let mut counted = BTreeSet::new();
    for instance in &input.instances {
        let Some(down) = judge.down_instance(instance) else { continue };
        let name = || instance.name.clone();
        let mut outcome = if input.is_on { judge.judge(&down) } else { Err(NotRecovered::Off) };
        if outcome.is_ok() {
            counted.insert(name());
            if let Some(general) = &general {
                outcome = Err(general.clone());
            }
        }
        if input.unconfirmed.contains(&instance.name) && down.own_job().is_none() {
            counted.insert(name());
            outcome = outcome.and(Err(NotRecovered::Unconfirmed));
        }
        if let Some(job) = down.own_job() {
            counted.insert(name());
            let unwanted = judge.new_primary_unfit(job).or_else(|| outcome.err().filter(stops_submitted));
            match unwanted.filter(|_| may_cancel && job.status == JobStatus::NotBegun) {
                Some(why) => {
                    plan.cancel.push(Cancel { job: job.id, instance: name(), why: CancelReason::NotRecovered(why) });
                }
                None => {
                    plan.under_way.push(UnderWay { instance: name(), job: job.id, on: job.new_primary.clone() });
                }
            }
            continue;
        }
        match outcome {
            Ok(on) => {
                let priority = priority(&instance.tags).unwrap_or_else(|error| {
                    plan.bad_priorities.push((name(), error));
                    Priority::default()
                });
                plan.starts.push(start(&down, on, priority, settings));
            }
            // Without recovery, an instance that is down is nothing to report.
            Err(NotRecovered::Off) => {}
            Err(reason) => plan.not_recovered.push((name(), reason)),
        }
    }
    if input.is_on {
        plan.not_recovered.extend(judge.unreadable());
    }
    plan.starts.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.instance.cmp(&b.instance)));
    let total = input.instances.iter().filter(|instance| instance.admin_state == AdminState::Up).count();
    plan.breaker = std::mem::take(&mut plan.breaker).pass(&counted, settings.limits, total);
    block_all(&mut plan);
    if may_cancel {
        cancel_the_rest(&mut plan, input);
    }
    choose_nodes(&mut plan, &judge, &input.allocator);
    plan.not_recovered.sort_by(|a, b| a.0.cmp(&b.0));
    plan
}

fn start(down: &DownInstance<'_>, on: StartNode, priority: Priority, settings: &RecoverySettings) -> Start {
    Start {
        instance: down.instance.name.clone(),
        off: down.instance.primary.clone(),
        on,
        priority,
        after_record: down.record == NodeRecord::BeingRecorded,
        moves_again: down.record == NodeRecord::Online,
        starts_per_host: settings.starts_per_host.max(1),
        failed_on: down.failed.iter().filter_map(|job| job.new_primary.clone()).collect(),
        off_version: down.node.and_then(|node| node.version.clone()),
    }
}

/// Returns the reason that blocks every start, if there is one.
fn general_reason(input: &RecoveryInput) -> Option<NotRecovered> {
    if !input.is_master {
        return Some(NotRecovered::NotMaster);
    }
    if !input.quorum {
        return Some(NotRecovered::NoQuorum);
    }
    if input.maintenance {
        return Some(NotRecovered::Maintenance);
    }
    if let Some(pause) = &input.pause {
        return Some(NotRecovered::Paused(pause.clone()));
    }
    input.node_breaker.clone().map(NotRecovered::NodeBreaker)
}

/// Returns whether a start that was submitted is to be cancelled for this reason, if it has not begun. A host that is not
/// the master, or has no quorum, has too little information to cancel; and what waits for a job does not harm.
fn stops_submitted(reason: &NotRecovered) -> bool {
    match reason {
        NotRecovered::NotMaster
        | NotRecovered::NoQuorum
        | NotRecovered::StartUp { .. }
        | NotRecovered::OtherJob { .. }
        | NotRecovered::MovedToSilent(_)
        | NotRecovered::Refused { .. }
        | NotRecovered::Unconfirmed
        // It was gone when the start was submitted, and nothing starts there while it is recorded offline.
        | NotRecovered::HostRunsAgain
        // The plan that submitted the start knew more: a host has not answered this time, or this one is a new master.
        | NotRecovered::NoProof
        | NotRecovered::OnlineSince
        | NotRecovered::Grade { .. }
        | NotRecovered::Migrated { .. }
        | NotRecovered::NotFresh(_)
        | NotRecovered::InstanceBreaker { .. }
        | NotRecovered::NoRoom(_)
        | NotRecovered::NotAllocated(_)
        | NotRecovered::Failed { .. } => false,
        NotRecovered::Maintenance
        | NotRecovered::Paused(_)
        | NotRecovered::Off
        | NotRecovered::NodeBreaker(_)
        | NotRecovered::HostSuspect(_)
        | NotRecovered::Runs(_)
        | NotRecovered::Unreadable(_)
        | NotRecovered::NotPermitted(_)
        | NotRecovered::Harep(_)
        | NotRecovered::NotMovable(_)
        | NotRecovered::UnknownTemplate(_)
        | NotRecovered::Secondaries(_)
        | NotRecovered::Unfit { .. } => true,
    }
}

/// Blocks the starts for which the breaker is open.
fn block_all(plan: &mut RecoveryPlan) {
    let Some((blocked, limit)) = plan.breaker.open() else { return };
    let reason = NotRecovered::InstanceBreaker { blocked: blocked.len(), limit };
    let (blocked, rest): (Vec<Start>, Vec<Start>) =
        std::mem::take(&mut plan.starts).into_iter().partition(|start| blocked.contains(&start.instance));
    plan.starts = rest;
    plan.not_recovered.extend(blocked.into_iter().map(|start| (start.instance, reason.clone())));
}

/// Cancels the starts that have not begun of instances that are not to be started any more.
fn cancel_the_rest(plan: &mut RecoveryPlan, input: &RecoveryInput) {
    let known: BTreeMap<&InstanceName, &Instance> = input.instances.iter().map(|known| (&known.name, known)).collect();
    let handled: BTreeSet<u64> = plan
        .cancel
        .iter()
        .map(|cancel| cancel.job)
        .chain(plan.under_way.iter().map(|under_way| under_way.job))
        .collect();
    let started: BTreeSet<InstanceName> = plan.under_way.iter().map(|under_way| under_way.instance.clone()).collect();
    let is_open = |job: &&InstanceJob| {
        job.kind == JobKind::OwnStart && job.status == JobStatus::NotBegun && !handled.contains(&job.id)
    };
    for job in input.jobs.iter().filter(is_open) {
        let Some(instance) = job.instances.first() else { continue };
        let why = match known.get(instance) {
            None => match input.unreadable.iter().find(|bad| bad.name == *instance) {
                Some(bad) if bad.may_be_up() => CancelReason::NotRecovered(NotRecovered::Unreadable(bad.why.clone())),
                Some(_) => CancelReason::Stopped,
                None => CancelReason::NoSuchInstance,
            },
            Some(known) if known.admin_state != AdminState::Up => CancelReason::Stopped,
            Some(_) if started.contains(instance) => CancelReason::Duplicate,
            // It has moved the instance, and waits for the locks of the start.
            Some(known) if job.new_primary.as_ref() == Some(&known.primary) => continue,
            Some(_) => CancelReason::PrimaryOnline,
        };
        plan.cancel.push(Cancel { job: job.id, instance: instance.clone(), why });
    }
}

/// Fills in the allocator's answer.
fn choose_nodes(plan: &mut RecoveryPlan, judge: &InstanceJudge<'_>, allocator: &AllocatorState) {
    let starts = std::mem::take(&mut plan.starts);
    for mut start in starts {
        let placed = match (allocator, &start.on) {
            (AllocatorState::NotAsked, _) | (_, StartNode::Primary(_)) => Ok(start.on.clone()),
            // Ganeti checks the memory of the secondary itself.
            (AllocatorState::Failed(_), StartNode::Secondary(_)) => Ok(start.on.clone()),
            (AllocatorState::Failed(error), _) => Err(NotRecovered::NotAllocated(error.clone())),
            (AllocatorState::Answered(answer), on) => {
                match (answer.moved.get(&start.instance), answer.failed.get(&start.instance), on) {
                    (_, Some(why), _) => Err(NotRecovered::NoRoom(why.clone())),
                    (_, None, StartNode::Secondary(_)) => Ok(on.clone()),
                    (Some(node), None, _) => judge.allocated(node, &start.failed_on),
                    // It was not in the request: the allocator is asked again.
                    (None, None, _) => Ok(StartNode::AskAllocator),
                }
            }
        };
        match placed {
            Ok(on) => {
                start.on = on;
                plan.starts.push(start);
            }
            Err(reason) => plan.not_recovered.push((start.instance, reason)),
        }
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchInstance => f.write_str("it does not exist any more"),
            Self::Stopped => f.write_str("the administrator has stopped it"),
            Self::Duplicate => f.write_str("another job starts it already"),
            Self::PrimaryOnline => f.write_str("its primary node is online"),
            Self::NotRecovered(why) => why.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
