//! What one plan of recovery leaves for the next on the same host. Pure: the caller stores it.
//!
//! No start depends on it: the cluster's state alone shows what is to be done, so that a new master goes on. The memory
//! delays a start that luxid may be about to accept, and shows when an instance runs again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::instance::{AdminState, InstanceName};
use super::instance_breaker::InstanceBreaker;
use super::not_recovered::NotRecovered;
use super::plan::{RecoveryPlan, Start};
use super::queue::{InstanceJob, JobKind};
use super::state::RecoveryInput;
use crate::core::node::NodeName;
use crate::core::receipt::Timestamp;

/// How long luxid may take to show a start that it has not confirmed, in milliseconds. It asks each master candidate
/// before it accepts a job, and waits 5 s for each dead one, several times.
const UNCONFIRMED_MS: u64 = 90_000;

/// How far the clock of this host may have been set back since a start was submitted, in milliseconds.
const CLOCK_STEP_MS: u64 = 5_000;

/// How old the last plan may be, in milliseconds of the boot clock, if something is under way, before a monitor makes the
/// next; and the most, if all that is waited for may take long.
const OPEN_MS: u64 = 2_000;
const SLOW_MS: u64 = 30_000;

/// After which time it is reported that a started instance was not seen running yet, in milliseconds.
const SILENT_MS: u64 = 30_000;

/// How long a started instance is waited for, in milliseconds.
const STARTED_MS: u64 = 600_000;

/// The memory of a host. The default is that of a host that has never planned a recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryMemory {
    /// When the last plan was made.
    pub at: Timestamp,
    /// The breaker of the instances.
    pub breaker: InstanceBreaker,
    /// What the last plan reported.
    pub lines: Vec<String>,
    /// Whether the last plan waits for something that passes by itself.
    pub waits: bool,
    /// Since when the plans wait only for what may take long ([`NotRecovered::is_slow`]); `None` if something is to come
    /// soon.
    #[serde(default)]
    slow_since: Option<Timestamp>,
    /// Which luxid's queue was read last as the master's, by when it started, in milliseconds since 1970.
    #[serde(default)]
    pub queue_of: Option<u64>,
    /// Whether recovery was on at the last plan of this host, and what was submitted then may still be in the queue. The
    /// tag may be removed, and another host become the master, before the starts that wait there are cancelled.
    #[serde(default)]
    pub was_on: bool,
    /// Whether the queue showed a start of gnt-ha's that had not ended, at the last plan: a second one of an instance that
    /// runs, for example.
    #[serde(default)]
    has_jobs: bool,
    /// The starts that were submitted and that luxid has neither accepted nor rejected yet, with the time.
    unconfirmed: BTreeMap<InstanceName, Timestamp>,
    /// The instances whose starts are submitted, and that were not seen running yet.
    started: BTreeMap<InstanceName, Started>,
}

/// A start that is submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Started {
    on: Option<NodeName>,
    at: Timestamp,
}

impl RecoveryMemory {
    /// Returns whether nothing is left of an earlier plan.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.lines.is_empty() && !self.waits && !self.has_starts()
    }

    /// Returns the instances whose start may still be accepted, by the queue of now: what it shows is known, and what it
    /// has not shown for 90 s was not accepted.
    pub fn unconfirmed(&mut self, jobs: &[InstanceJob], now: Timestamp) -> BTreeSet<InstanceName> {
        self.unconfirmed.retain(|name, at| {
            let is_it = |job: &&InstanceJob| {
                job.kind == JobKind::OwnStart
                    && job.instances.contains(name)
                    && job.received_ms.saturating_add(CLOCK_STEP_MS) >= at.wall_ms
            };
            let age_ms = now.boottime_ms.checked_sub(at.boottime_ms);
            // The boot of this host ended its luxid.
            age_ms.is_some_and(|age_ms| age_ms < UNCONFIRMED_MS) && !jobs.iter().any(|job| is_it(&job))
        });
        self.unconfirmed.keys().cloned().collect()
    }

    /// Notes that the start is about to be submitted. The caller stores that before.
    pub fn hand_over(&mut self, start: &Start, now: Timestamp) {
        self.unconfirmed.insert(start.instance.clone(), now);
    }

    /// Notes that luxid has accepted the start.
    pub fn accepted(&mut self, start: &Start, now: Timestamp) {
        self.unconfirmed.remove(&start.instance);
        self.started.insert(start.instance.clone(), Started { on: start.on.node().cloned(), at: now });
    }

    /// Returns what is left for a host that is not the master; `None` if that is what it has. It remembers only whether
    /// recovery was on.
    #[must_use]
    pub fn of_other_host(&self, is_on: bool) -> Option<Self> {
        let was_on = self.was_on || is_on;
        let is_left = self.waits || self.queue_of.is_some() || was_on != self.was_on;
        is_left.then(|| Self { was_on, ..Self::default() })
    }

    /// Notes whether recovery is on. While it is off, starts that were submitted before may be left.
    pub fn note_on(&mut self, is_on: bool) {
        self.was_on = is_on || self.has_starts();
    }

    /// Notes that luxid has not accepted the start.
    pub fn not_accepted(&mut self, start: &Start) {
        self.unconfirmed.remove(&start.instance);
    }

    /// Returns a line for each started instance that runs again, and forgets it. Starts that another master has submitted
    /// are taken from the plan.
    pub fn arrivals(&mut self, input: &RecoveryInput, plan: &RecoveryPlan, now: Timestamp) -> Vec<String> {
        let is_open = |job: &InstanceJob| job.kind == JobKind::OwnStart && job.status.is_unfinished();
        self.has_jobs = input.jobs.iter().any(is_open);
        for under_way in &plan.under_way {
            let started = Started { on: under_way.on.clone(), at: now };
            self.started.entry(under_way.instance.clone()).or_insert(started);
        }
        let is_wanted = |name: &InstanceName| {
            input.instances.iter().any(|known| known.name == *name && known.admin_state == AdminState::Up)
                || input.unreadable.iter().any(|bad| bad.name == *name && bad.may_be_up())
        };
        let is_named = |name: &InstanceName| {
            let mut reasons = plan.not_recovered.iter().map(|(instance, _)| instance);
            let mut starts = plan.starts.iter().map(|start| &start.instance);
            let mut under_way = plan.under_way.iter().map(|under_way| &under_way.instance);
            reasons.any(|other| other == name)
                || starts.any(|other| other == name)
                || under_way.any(|other| other == name)
        };
        let mut lines = Vec::new();
        self.started.retain(|name, started| {
            let runs_on = |node: &&super::state::RecoveryNode| {
                node.running.complete().is_some_and(|running| running.contains(name))
            };
            let age_ms = now.boottime_ms.checked_sub(started.at.boottime_ms);
            if let Some(node) = input.nodes.iter().find(runs_on) {
                let after =
                    age_ms.map_or_else(String::new, |ms| format!(", {} s after its start was submitted", ms / 1_000));
                lines.push(format!("{name}: runs on {}{after}", node.name));
                return false;
            }
            let is_awaited = is_wanted(name) && age_ms.is_some_and(|age_ms| age_ms < STARTED_MS);
            if is_wanted(name) && !is_named(name) && age_ms.is_some_and(|age_ms| age_ms >= SILENT_MS) {
                let end = if is_awaited { "" } else { ", and gnt-ha does not wait any longer" };
                lines.push(format!(
                    "{name}: no host reports that it runs since its start ended{end} (gnt-instance info {name})"
                ));
            }
            is_awaited
        });
        lines
    }

    /// Notes for what the next plan waits, after `plan` was carried out.
    pub fn note_waits(&mut self, plan: &RecoveryPlan, now: Timestamp) {
        let is_open = self.awaits_instances() || !(plan.starts.is_empty() && plan.under_way.is_empty());
        let reasons = || plan.not_recovered.iter().map(|(_, why)| why).filter(|why| why.may_pass());
        self.waits = is_open || reasons().next().is_some();
        let is_slow = self.waits && !is_open && reasons().all(NotRecovered::is_slow);
        self.slow_since = is_slow.then(|| self.slow_since.unwrap_or(now));
    }

    /// Returns whether a monitor at `now` makes the next plan. The longer the plans wait for the same, the rarer they are.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        let age = |at: Timestamp| now.boottime_ms.checked_sub(at.boottime_ms);
        let waited_ms = self.slow_since.and_then(age).unwrap_or_default();
        let rest_ms = (waited_ms / 4).clamp(OPEN_MS, SLOW_MS);
        self.waits && age(self.at).is_none_or(|age_ms| age_ms >= rest_ms)
    }

    /// Returns whether a start was submitted, and has not ended, or its instance was not seen running yet.
    #[must_use]
    pub fn has_starts(&self) -> bool {
        self.has_jobs || !(self.unconfirmed.is_empty() && self.started.is_empty())
    }

    /// Returns whether a started instance was not seen running yet.
    #[must_use]
    pub fn awaits_instances(&self) -> bool {
        !self.started.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::recovery::priority::Priority;
    use crate::core::recovery::queue::JobStatus;
    use crate::core::recovery::start_node::StartNode;

    fn at(ms: u64) -> Timestamp {
        Timestamp { wall_ms: 1_700_000_000_000 + ms, boottime_ms: ms }
    }

    fn web() -> InstanceName {
        InstanceName::new("web").unwrap()
    }

    fn start() -> Start {
        Start {
            instance: web(),
            off: NodeName::new("n3").unwrap(),
            on: StartNode::Allocated(NodeName::new("n4").unwrap()),
            priority: Priority::default(),
            after_record: false,
            moves_again: false,
            starts_per_host: 4,
            failed_on: BTreeSet::new(),
            off_version: None,
        }
    }

    fn job(received_ms: u64) -> InstanceJob {
        InstanceJob {
            id: 7,
            status: JobStatus::Failed,
            kind: JobKind::OwnStart,
            operation: String::new(),
            instances: [web()].into(),
            of_node: None,
            new_primary: None,
            received_ms,
            ended_ms: None,
            error: None,
            interrupted: false,
        }
    }

    /// luxid may accept a start long after the caller has given up. Until the queue shows it, or it is too late for that,
    /// no other start is submitted.
    #[test]
    fn a_start_is_unconfirmed_until_the_queue_shows_it() {
        let mut memory = RecoveryMemory::default();
        memory.hand_over(&start(), at(1_000));
        assert!(!memory.is_idle() && memory.has_starts());
        let earlier = job(at(0).wall_ms - 60_000);
        assert_eq!(memory.unconfirmed(&[earlier], at(90_999)), [web()].into());
        assert_eq!(memory.clone().unconfirmed(&[], at(91_000)), BTreeSet::new());
        assert_eq!(memory.clone().unconfirmed(&[], at(500)), BTreeSet::new(), "another boot");
        assert_eq!(memory.unconfirmed(&[job(at(1_500).wall_ms)], at(2_000)), BTreeSet::new());
        assert!(memory.is_idle());
    }

    /// A host that is back and hangs, or an instance that runs on another node than Ganeti records, stays so for hours: each plan
    /// asks all nodes.
    #[test]
    fn what_may_take_long_is_planned_for_ever_more_rarely() {
        let waits_for = |why: NotRecovered| RecoveryPlan {
            starts: Vec::new(),
            under_way: Vec::new(),
            not_recovered: vec![(web(), why)],
            cancel: Vec::new(),
            bad_priorities: Vec::new(),
            breaker: InstanceBreaker::default(),
        };
        let slow = waits_for(NotRecovered::Runs(NodeName::new("n4").unwrap()));
        let mut memory = RecoveryMemory::default();
        let mut plan_at = |plan: &RecoveryPlan, ms: u64| {
            memory.note_waits(plan, at(ms));
            memory.at = at(ms);
            (1..100).find(|s| memory.is_due(at(ms + s * 1_000)))
        };
        assert_eq!(plan_at(&slow, 10_000), Some(2));
        assert_eq!(plan_at(&slow, 50_000), Some(14), "a quarter of the time until then");
        assert_eq!(plan_at(&slow, 600_000), Some(30));
        assert_eq!(plan_at(&waits_for(NotRecovered::Unconfirmed), 610_000), Some(2), "it comes soon");
        assert_eq!(plan_at(&slow, 620_000), Some(2));
        assert_eq!(plan_at(&waits_for(NotRecovered::NoProof), 630_000), None);
    }

    /// The tag is removed while starts wait in the queue, and the next master, which has submitted none, finds them.
    #[test]
    fn each_host_remembers_that_recovery_was_on() {
        let idle = RecoveryMemory::default();
        assert_eq!(idle.of_other_host(false), None, "a cluster without the tag has no file");
        let marked = idle.of_other_host(true).unwrap();
        assert!(marked.was_on && marked.is_idle());
        assert_eq!((marked.of_other_host(true), marked.of_other_host(false)), (None, None));
        let mut memory = marked.clone();
        memory.hand_over(&start(), at(1_000));
        memory.note_on(false);
        assert!(memory.was_on, "a start may be left");
        memory.not_accepted(&start());
        memory.note_on(false);
        assert!(!memory.was_on);
    }

    #[test]
    fn what_luxid_refuses_is_not_waited_for() {
        let mut memory = RecoveryMemory::default();
        memory.hand_over(&start(), at(1_000));
        memory.not_accepted(&start());
        assert!(memory.is_idle());
        memory.accepted(&start(), at(1_000));
        assert!(memory.awaits_instances() && memory.unconfirmed(&[], at(1_000)).is_empty());
    }
}
