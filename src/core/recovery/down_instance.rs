//! The decision about one instance, before the guards of the whole cluster. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::freshness::age_before_death;
use super::harep::repair_in_tags;
use super::instance::{AdminState, Instance, InstanceName};
use super::not_recovered::{NodeObjection, NotRecovered};
use super::permission::{RepairTags, permission};
use super::queue::{InstanceJob, JobKind, JobStatus};
use super::start_node::StartNode;
use super::state::{NodeRecord, RecoveryInput, RecoveryNode, RecoverySettings, Suspicion};
use super::template::Mobility;
use crate::core::clocks::CLOCKS_DIFFER_MS;
use crate::core::grade::Grade;
use crate::core::node::{self, NodeName};

/// For how long before the last sign of life a migration or another move counts, in milliseconds: its job may have ended
/// with an error while the instance had begun to run elsewhere.
const MIGRATION_MS: u64 = 600_000;

/// How long an instance waits after a start that was refused before it began, in milliseconds. It doubles with each, up to
/// [`REFUSED_MOST_MS`].
const REFUSED_MS: u64 = 10_000;
const REFUSED_MOST_MS: u64 = 120_000;

/// An instance that is marked up and does not run where it should.
pub(super) struct DownInstance<'a> {
    pub(super) instance: &'a Instance,
    pub(super) node: Option<&'a RecoveryNode>,
    pub(super) record: NodeRecord,
    /// The jobs that name the instance or evacuate its node.
    jobs: Vec<&'a InstanceJob>,
    /// The starts by gnt-ha in this incident that failed.
    pub(super) failed: Vec<&'a InstanceJob>,
    /// The starts by gnt-ha since then that were refused before they began.
    refused: Vec<&'a InstanceJob>,
    /// The starts by gnt-ha whose process ended.
    interrupted: Vec<&'a InstanceJob>,
}

/// Returns since when a job belongs to the death of this node, in milliseconds since 1970; 0 if the node is not known to
/// be dead. Jobs and the record have the clock of the master, and the proof may have that of another host, which may
/// be ahead by more than is assumed.
fn begun_ms(node: &RecoveryNode) -> u64 {
    let Some(proof) = node.proof else { return 0 };
    node.recorded_ms.map_or(proof.at_ms, |recorded_ms| recorded_ms.min(proof.at_ms)).saturating_sub(CLOCKS_DIFFER_MS)
}

impl<'a> DownInstance<'a> {
    /// Returns the start by gnt-ha that has not ended: of several, one that runs, or else the oldest.
    pub(super) fn own_job(&self) -> Option<&'a InstanceJob> {
        let unfinished = |job: &&InstanceJob| job.kind == JobKind::OwnStart && job.status.is_unfinished();
        let first = |job: &&InstanceJob| (job.status != JobStatus::Running, job.id);
        self.jobs.iter().copied().filter(unfinished).min_by_key(first)
    }

    /// Returns whether a start by gnt-ha has moved the instance to a primary node that is online.
    fn is_moved(&self) -> bool {
        self.record == NodeRecord::Online
    }
}

/// Returns the full name of an instance that a job names. An administrator may have typed the beginning of the name up to
/// a dot, and a job that has not begun still has that (`MatchNameComponent` in `lib/utils/text.py`).
fn full_name<'a>(named: &'a InstanceName, known: &BTreeMap<&str, &'a InstanceName>) -> &'a InstanceName {
    if known.contains_key(named.as_str()) {
        return named;
    }
    let beginning = format!("{named}.");
    let mut alike = known.range(beginning.as_str()..).take_while(|(name, _)| name.starts_with(&beginning));
    match (alike.next(), alike.next()) {
        (Some((_, full)), None) => full,
        _ => named,
    }
}

/// The decisions about all instances on one state.
pub(super) struct InstanceJudge<'a> {
    input: &'a RecoveryInput,
    settings: &'a RecoverySettings,
    nodes: BTreeMap<&'a NodeName, &'a RecoveryNode>,
    jobs_of: BTreeMap<&'a InstanceName, Vec<&'a InstanceJob>>,
    jobs_of_nodes: BTreeMap<&'a NodeName, Vec<&'a InstanceJob>>,
    running_on: BTreeMap<&'a InstanceName, Vec<&'a NodeName>>,
}

impl<'a> InstanceJudge<'a> {
    pub(super) fn new(input: &'a RecoveryInput, settings: &'a RecoverySettings) -> Self {
        let mut jobs_of: BTreeMap<&InstanceName, Vec<&InstanceJob>> = BTreeMap::new();
        let mut jobs_of_nodes: BTreeMap<&NodeName, Vec<&InstanceJob>> = BTreeMap::new();
        let instances: BTreeMap<&str, &InstanceName> = input
            .instances
            .iter()
            .map(|instance| &instance.name)
            .chain(input.unreadable.iter().map(|bad| &bad.name))
            .map(|name| (name.as_str(), name))
            .collect();
        for job in &input.jobs {
            for instance in &job.instances {
                jobs_of.entry(full_name(instance, &instances)).or_default().push(job);
            }
            if let Some(node) = &job.of_node {
                let named = node::find(node, input.nodes.iter().map(|node| &node.name));
                jobs_of_nodes.entry(named.unwrap_or(node)).or_default().push(job);
            }
        }
        let mut running_on: BTreeMap<&InstanceName, Vec<&NodeName>> = BTreeMap::new();
        for node in &input.nodes {
            for instance in node.running.named() {
                running_on.entry(instance).or_default().push(&node.name);
            }
        }
        let nodes = input.nodes.iter().map(|node| (&node.name, node)).collect();
        Self { input, settings, nodes, jobs_of, jobs_of_nodes, running_on }
    }

    /// Returns the instance as a candidate; `None` if it is not to be started by gnt-ha: the administrator has stopped
    /// it, or its primary node is online and no start by gnt-ha that failed has moved it there.
    pub(super) fn down_instance(&self, instance: &'a Instance) -> Option<DownInstance<'a>> {
        if instance.admin_state != AdminState::Up {
            return None;
        }
        let node = self.nodes.get(&instance.primary).copied();
        let record = node.map_or(NodeRecord::Online, |node| node.record);
        let mut jobs: Vec<&InstanceJob> = self.jobs_of.get(&instance.name).cloned().unwrap_or_default();
        jobs.extend(self.jobs_of_nodes.get(&instance.primary).into_iter().flatten());
        let since_ms = node.map_or(0, begun_ms);
        let own = || jobs.iter().copied().filter(|job| job.kind == JobKind::OwnStart);
        // What failed before a start that succeeded belongs to an earlier incident.
        let succeeded = own().filter(|job| job.status == JobStatus::Success).map(|job| job.id).max();
        let is_of_now = |job: &&InstanceJob| job.received_ms >= since_ms && Some(job.id) > succeeded;
        // That the new node has died since shows nothing about the instance.
        let is_lost = |node: &&RecoveryNode| node.record != NodeRecord::Online || node.suspicion.is_some();
        let target_is_lost = |job: &InstanceJob| {
            job.new_primary
                .as_ref()
                .and_then(|target| self.nodes.get(target))
                .copied()
                .is_some_and(|node| is_lost(&node))
        };
        let is_attempt = |job: &&InstanceJob| job.is_failed_attempt() && !target_is_lost(job);
        let mut failed: Vec<&InstanceJob> = own().filter(is_attempt).filter(is_of_now).collect();
        failed.sort_by_key(|job| job.id);
        let last_failed = failed.last().map(|job| job.id);
        let later = || own().filter(|job| Some(job.id) > last_failed).filter(is_of_now);
        let refused: Vec<&InstanceJob> = later().filter(|job| job.is_refused()).collect();
        let interrupted: Vec<&InstanceJob> = later().filter(|job| job.interrupted).collect();
        let down = DownInstance { instance, node, record, jobs, failed, refused, interrupted };
        let is_down = match record {
            NodeRecord::Offline | NodeRecord::BeingRecorded => true,
            NodeRecord::Online => self.is_moved_in_vain(&down),
        };
        is_down.then_some(down)
    }

    /// Returns whether a start by gnt-ha has moved the instance to its primary node and has not ended well, nor has a later
    /// one, and the node is not known to run it. After a later job of another program or person, the instance is theirs.
    fn is_moved_in_vain(&self, down: &DownInstance<'_>) -> bool {
        let Instance { name, primary, .. } = down.instance;
        let own = || down.jobs.iter().filter(|job| job.kind == JobKind::OwnStart);
        let newest = |job: Option<&&InstanceJob>| job.map(|job| job.id);
        let theirs = newest(down.jobs.iter().filter(|job| job.takes_over()).max_by_key(|job| job.id));
        let well = newest(own().filter(|job| job.status == JobStatus::Success).max_by_key(|job| job.id));
        let moved = newest(own().filter(|job| job.new_primary.as_ref() == Some(primary)).max_by_key(|job| job.id));
        let in_vain = moved.is_some() && well < moved && theirs < newest(own().max_by_key(|job| job.id));
        let runs = |node: &RecoveryNode| node.running.complete().is_some_and(|running| running.contains(name));
        in_vain && down.node.is_some_and(|node| !runs(node))
    }

    /// Returns the instances that cannot be read and that may be down because their node is lost, each with its reason. One
    /// of an unknown primary node is left out if a node that is online runs it.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = (InstanceName, NotRecovered)> {
        let is_lost = |node: &NodeName| self.nodes.get(node).is_none_or(|node| node.record != NodeRecord::Online);
        let any_is_lost = self.input.nodes.iter().any(|node| node.record != NodeRecord::Online);
        self.input.unreadable.iter().filter(|bad| bad.may_be_up()).filter_map(move |bad| {
            let may_be_down = bad.primary.as_ref().map_or(any_is_lost, is_lost);
            let runs_on = self.running_on.get(&bad.name).and_then(|nodes| nodes.first());
            let why = match runs_on {
                Some(_) if bad.primary.is_none() => return None,
                Some(node) => NotRecovered::Runs((*node).clone()),
                None => NotRecovered::Unreadable(bad.why.clone()),
            };
            may_be_down.then(|| (bad.name.clone(), why))
        })
    }

    /// Decides where the instance starts.
    pub(super) fn judge(&self, down: &DownInstance<'_>) -> Result<StartNode, NotRecovered> {
        let instance = down.instance;
        if let Some(node) = self.running_on.get(&instance.name).and_then(|nodes| nodes.first()) {
            return Err(NotRecovered::Runs((*node).clone()));
        }
        let group = down.node.and_then(|node| self.input.group_tags.get(&node.group));
        let tags = RepairTags {
            instance: &instance.tags,
            group: group.map(Vec::as_slice).unwrap_or_default(),
            cluster: &self.input.cluster_tags,
        };
        permission(tags, self.input.now_ms / 1_000).map_err(NotRecovered::NotPermitted)?;
        if let Some(repair) = repair_in_tags(&instance.tags) {
            return Err(NotRecovered::Harep(repair));
        }
        let mobility = instance.template.mobility();
        match mobility {
            Mobility::Fixed => return Err(NotRecovered::NotMovable(instance.template.clone())),
            Mobility::Unknown => return Err(NotRecovered::UnknownTemplate(instance.template.clone())),
            Mobility::Secondary | Mobility::Anywhere => {}
        }
        if down.is_moved() {
            // It may have come up there since its node was asked.
            let suspicion = down.node.and_then(|node| node.suspicion);
            if let Some(suspicion) = suspicion {
                let why = NodeObjection::Suspect(suspicion);
                return Err(NotRecovered::Unfit { node: instance.primary.clone(), why });
            }
            if down.node.is_none_or(|node| node.running.complete().is_none()) {
                return Err(NotRecovered::MovedToSilent(instance.primary.clone()));
            }
        } else {
            self.host_is_gone(down, mobility)?;
        }
        self.no_other_job(down)?;
        if let Some(last) = down.failed.last().filter(|_| down.failed.len() >= self.settings.attempts) {
            let error = last.error.clone().unwrap_or_default();
            let host_is_offline = !down.is_moved();
            return Err(NotRecovered::Failed { attempts: down.failed.len(), job: last.id, error, host_is_offline });
        }
        self.has_waited(down)?;
        if down.is_moved() && down.failed.is_empty() {
            let node = &instance.primary;
            return self.fit(node).map(|()| StartNode::Primary(node.clone()));
        }
        match mobility {
            Mobility::Secondary => self.secondary(down),
            _ => Ok(StartNode::AskAllocator),
        }
    }

    /// Checks the proof that the host of the primary node can do no more harm.
    fn host_is_gone(&self, down: &DownInstance<'_>, mobility: Mobility) -> Result<(), NotRecovered> {
        let Some(node) = down.node else { return Err(NotRecovered::NoProof) };
        let Some(proof) = node.proof else { return Err(NotRecovered::NoProof) };
        if !proof.is_of_record {
            return Err(NotRecovered::OnlineSince);
        }
        let least = match mobility {
            // Nothing keeps an isolated node from storage outside the cluster.
            Mobility::Anywhere => self.settings.least_grade.max(Grade::Bounded),
            _ => self.settings.least_grade.max(Grade::Isolated),
        };
        if proof.grade < least {
            return Err(NotRecovered::Grade { grade: proof.grade, least });
        }
        let age_ms = self.input.now_ms.saturating_sub(self.input.stack_started_ms);
        let left_ms = self.settings.start_up_grace_ms.saturating_sub(age_ms);
        if left_ms > 0 && proof.at_ms < self.input.stack_started_ms {
            return Err(NotRecovered::StartUp { left_ms });
        }
        // Pacemaker wants it fenced, again or still: it may run.
        if let Some(why @ (Suspicion::Unclean | Suspicion::FencingPending)) = node.suspicion {
            return Err(NotRecovered::HostSuspect(why));
        }
        // A node that names it is found before. One that runs again may run it, unless its complete report shows that it does not.
        if node.runs_again && node.running.complete().is_none() {
            return Err(NotRecovered::HostRunsAgain);
        }
        Ok(())
    }

    /// Checks that no other program or person has the instance, and that no job of theirs or of gnt-ha's has left it
    /// running elsewhere. Ganeti sends a changed record to the other candidates after the operation, and the master's host
    /// may die in between.
    fn no_other_job(&self, down: &DownInstance<'_>) -> Result<(), NotRecovered> {
        let others = || down.jobs.iter().filter(|job| job.kind != JobKind::OwnStart);
        if let Some(job) = others().find(|job| job.status.is_unfinished()) {
            return Err(NotRecovered::OtherJob { job: job.id, operation: job.operation.clone() });
        }
        let proof = down.node.and_then(|node| node.proof);
        let lost_ms = proof.map_or(self.input.now_ms, |proof| proof.lost_ms.unwrap_or(proof.at_ms));
        let is_recent = |job: &&&InstanceJob| {
            job.may_have_moved() && job.ended_ms.is_none_or(|ended| ended.saturating_add(MIGRATION_MS) >= lost_ms)
        };
        let is_silent = |node: &&RecoveryNode| {
            let is_gone = node.proof.is_some_and(|proof| proof.grade >= Grade::Bounded) && !node.runs_again;
            node.running.complete().is_none() && node.vm_capable && !is_gone
        };
        for job in down.jobs.iter().filter(is_recent) {
            // A migration may end on either of its nodes; and which node a job without a target has chosen is unknown.
            let target = job.new_primary.as_ref().filter(|_| job.kind != JobKind::Migration);
            let is_target = |node: &RecoveryNode| target.is_some_and(|target| node::same(target, &node.name, []));
            let is_named = self.input.nodes.iter().any(is_target);
            let silent = self.input.nodes.iter().filter(is_silent).filter(|node| !is_named || is_target(node));
            let silent: Vec<NodeName> = silent.map(|node| node.name.clone()).collect();
            if !silent.is_empty() {
                return Err(NotRecovered::Migrated { job: job.id, silent });
            }
        }
        Ok(())
    }

    /// Checks that the last start which was refused is long enough ago: its reason may last, a record that fails for
    /// example, and then each start is refused again.
    fn has_waited(&self, down: &DownInstance<'_>) -> Result<(), NotRecovered> {
        let DownInstance { refused, interrupted, .. } = down;
        // One start may have ended with the last master.
        let count = refused.len() + interrupted.len().saturating_sub(1);
        let last = refused.iter().chain(interrupted).max_by_key(|job| job.id).filter(|_| count > 0);
        let Some(last) = last else { return Ok(()) };
        let doubled = u32::try_from(count - 1).unwrap_or(u32::MAX);
        let wait_ms = REFUSED_MS.saturating_mul(2_u64.saturating_pow(doubled)).min(REFUSED_MOST_MS);
        let since_ms = last.ended_ms.unwrap_or(last.received_ms);
        // The clock of an earlier master may be ahead.
        let waited_ms = self.input.now_ms.checked_sub(since_ms).unwrap_or(wait_ms);
        let left_ms = wait_ms.saturating_sub(waited_ms);
        let error = last.error.clone().unwrap_or_default();
        if left_ms == 0 { Ok(()) } else { Err(NotRecovered::Refused { job: last.id, error, left_ms }) }
    }

    /// Decides about an instance with DRBD: only its secondary can take it, and only with fresh disks.
    fn secondary(&self, down: &DownInstance<'_>) -> Result<StartNode, NotRecovered> {
        let instance = down.instance;
        let [secondary] = instance.secondaries.as_slice() else {
            return Err(NotRecovered::Secondaries(instance.secondaries.len()));
        };
        if down.is_moved() {
            // The other half of its disks is on the host that is gone: there is no other place.
            return self.fit(&instance.primary).map(|()| StartNode::Primary(instance.primary.clone()));
        }
        let lost_ms = down.node.and_then(|node| node.proof).and_then(|proof| proof.lost_ms);
        let sightings = self.input.drbd.get(&instance.name).copied().unwrap_or_default();
        age_before_death(sightings, lost_ms, self.settings.drbd_age_ms).map_err(NotRecovered::NotFresh)?;
        self.fit(secondary).map(|()| StartNode::Secondary(secondary.clone()))
    }

    /// Checks that something may be started on the node.
    fn fit(&self, name: &NodeName) -> Result<(), NotRecovered> {
        let unfit = |why| Err(NotRecovered::Unfit { node: name.clone(), why });
        let Some(node) = self.nodes.get(name) else { return unfit(NodeObjection::NoSuchNode) };
        if node.record != NodeRecord::Online {
            return unfit(NodeObjection::Offline);
        }
        if let Some(suspicion) = node.suspicion {
            return unfit(NodeObjection::Suspect(suspicion));
        }
        if node.drained {
            return unfit(NodeObjection::Drained);
        }
        if !node.vm_capable {
            return unfit(NodeObjection::NotVmCapable);
        }
        Ok(())
    }

    /// Returns the reason why a submitted start must not happen on its node, if there is one.
    pub(super) fn new_primary_unfit(&self, job: &InstanceJob) -> Option<NotRecovered> {
        self.fit(job.new_primary.as_ref()?).err()
    }

    /// Checks the allocator's choice for an instance whose start has failed on the nodes `failed_on`.
    pub(super) fn allocated(&self, node: &NodeName, failed_on: &BTreeSet<NodeName>) -> Result<StartNode, NotRecovered> {
        self.fit(node)?;
        if failed_on.contains(node) {
            return Err(NotRecovered::Unfit { node: node.clone(), why: NodeObjection::FailedThere });
        }
        Ok(StartNode::Allocated(node.clone()))
    }
}
