//! What became of each instance of the last incidents, for `gnt-ha history --incident` and for metrics. Nothing that is
//! decided rests on it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::instance::InstanceName;
use super::plan::RecoveryPlan;
use super::state::{NodeRecord, RecoveryInput, RecoveryNode};
use crate::core::node::NodeName;
use crate::core::receipt::ActionStep;
use crate::core::text::one_line;

/// The most instances of which the course is kept; those of the oldest incidents are left out first.
const LIMIT: usize = 2_000;

/// The most starts that are kept of one instance: the first, and the last ones.
const STARTS: usize = 6;

/// The greatest length of a reason, in characters.
const REASON_LIMIT: usize = 300;

/// How long after its last start an instance is waited for, in milliseconds.
const AWAITED_MS: u64 = 600_000;

/// Who did the steps, in a history.
const ACTOR: &str = "recovery";

/// The instances of the last incidents, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryLog {
    /// One entry for each instance of an incident.
    pub instances: Vec<InstanceCourse>,
}

/// What became of one instance after the death of its host. All times are in milliseconds since 1970 (wall clock of the
/// master).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceCourse {
    /// The instance's full name in Ganeti.
    pub instance: InstanceName,
    /// The host that died.
    pub off: NodeName,
    /// When that host was lost, at the latest; when its end was proven if that is unknown; null if both are unknown.
    pub lost_ms: Option<u64>,
    /// When a plan had the instance for the first time.
    pub since_ms: u64,
    /// The starts that were submitted.
    pub starts: Vec<SubmittedStart>,
    /// Where the instance was seen running; null if it was not.
    pub runs: Option<SeenRunning>,
    /// The last reason why it was not started; null if there was none.
    pub not_started: Option<NotStarted>,
    /// Whether no plan has the instance any more.
    pub is_over: bool,
}

/// A start that luxid has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmittedStart {
    /// When luxid accepted the job, by the clock of the master.
    pub at_ms: u64,
    /// The number of the job in Ganeti's queue.
    pub job: u64,
    /// The node on which it starts; null if the job does not name it.
    pub on: Option<NodeName>,
}

/// The first report of a node that it runs the instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenRunning {
    /// When the node reported it.
    pub at_ms: u64,
    /// The node that runs the instance.
    pub on: NodeName,
}

/// The reason why an instance was not started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotStarted {
    /// When this reason was found for the first time, figures in it aside.
    pub at_ms: u64,
    /// The reason in one line.
    pub why: String,
}

impl RecoveryLog {
    /// Adds what `plan`, made of `input`, and the starts that were submitted then have shown. `submitted` are the numbers
    /// of their jobs. Returns whether anything is new.
    pub fn note(
        &mut self,
        input: &RecoveryInput,
        plan: &RecoveryPlan,
        submitted: &BTreeMap<InstanceName, u64>,
        now_ms: u64,
    ) -> bool {
        let before = self.clone();
        let mut named = BTreeSet::new();
        for start in &plan.starts {
            named.insert(start.instance.clone());
            let course = self.course(input, &start.instance, Some(&start.off), now_ms);
            if let (Some(course), Some(job)) = (course, submitted.get(&start.instance)) {
                course.add_start(SubmittedStart { at_ms: now_ms, job: *job, on: start.on.node().cloned() });
            }
        }
        for under_way in &plan.under_way {
            named.insert(under_way.instance.clone());
            let received = input.jobs.iter().find(|job| job.id == under_way.job).map(|job| job.received_ms);
            let at_ms = received.unwrap_or(now_ms);
            if let Some(course) = self.course(input, &under_way.instance, None, now_ms) {
                course.add_start(SubmittedStart { at_ms, job: under_way.job, on: under_way.on.clone() });
            }
        }
        for (instance, why) in &plan.not_recovered {
            named.insert(instance.clone());
            if let Some(course) = self.course(input, instance, None, now_ms) {
                course.set_reason(one_line(&why.to_string(), REASON_LIMIT), now_ms);
            }
        }
        for course in self.instances.iter_mut().filter(|course| !course.is_over) {
            course.see(input, named.contains(&course.instance), now_ms);
        }
        if self.instances.len() > LIMIT {
            self.instances.drain(..self.instances.len() - LIMIT);
        }
        *self != before
    }

    /// Returns the open entry of the instance, or a new one. Returns `None` if its host is not lost.
    fn course(
        &mut self,
        input: &RecoveryInput,
        instance: &InstanceName,
        off: Option<&NodeName>,
        now_ms: u64,
    ) -> Option<&mut InstanceCourse> {
        let known = input.instances.iter().find(|known| known.name == *instance).map(|known| &known.primary);
        let bad = || input.unreadable.iter().find(|bad| bad.name == *instance).and_then(|bad| bad.primary.as_ref());
        let host = input.nodes.iter().find(|node| off.or(known).or_else(bad) == Some(&node.name));
        let proof = host.and_then(|host| host.proof);
        let is_open = |course: &InstanceCourse| {
            // A host that was the master before may have an entry of then.
            let is_older = proof.is_some_and(|proof| proof.at_ms > course.last_ms());
            course.instance == *instance && !course.is_over && !is_older
        };
        if let Some(at) = self.instances.iter().rposition(is_open) {
            return self.instances.get_mut(at);
        }
        let host = host.filter(|host| host.record != NodeRecord::Online)?;
        for course in self.instances.iter_mut().filter(|course| course.instance == *instance) {
            course.is_over = true;
        }
        self.instances.push(InstanceCourse {
            instance: instance.clone(),
            off: host.name.clone(),
            lost_ms: proof.map(|proof| proof.lost_ms.unwrap_or(proof.at_ms)),
            since_ms: now_ms,
            starts: Vec::new(),
            runs: None,
            not_started: None,
            is_over: false,
        });
        self.instances.last_mut()
    }

    /// Returns how long the last recovery of each host took, in milliseconds: from when the host was lost until the last of
    /// its instances was seen running. Hosts of which no instance runs again are left out.
    #[must_use]
    pub fn recovery_ms(&self) -> BTreeMap<NodeName, u64> {
        let mut last: BTreeMap<NodeName, (u64, u64)> = BTreeMap::new();
        for course in &self.instances {
            let (Some(lost_ms), Some(runs)) = (course.lost_ms, &course.runs) else { continue };
            let entry = last.entry(course.off.clone()).or_insert((lost_ms, runs.at_ms));
            // The same incident has the same time; another one is a later one.
            *entry = if entry.0 == lost_ms { (lost_ms, entry.1.max(runs.at_ms)) } else { (lost_ms, runs.at_ms) };
        }
        last.into_iter().map(|(node, (lost_ms, runs_ms))| (node, runs_ms.saturating_sub(lost_ms))).collect()
    }
}

impl InstanceCourse {
    /// Returns the steps of the instance on a time line that begins at `zero_ms`, in milliseconds since 1970.
    #[must_use]
    pub fn steps(&self, zero_ms: u64) -> Vec<ActionStep> {
        let step = |at_ms: u64, request: String, response: String| ActionStep {
            at_ms: at_ms.saturating_sub(zero_ms),
            actor: ACTOR.to_owned(),
            request,
            response,
        };
        let on = |node: &Option<NodeName>| node.as_ref().map_or_else(String::new, |node| format!(" on {node}"));
        let name = &self.instance;
        let mut steps: Vec<ActionStep> = self
            .starts
            .iter()
            .map(|start| {
                step(start.at_ms, format!("{name}: start{}", on(&start.on)), format!("job {} is submitted", start.job))
            })
            .collect();
        match (&self.runs, &self.not_started) {
            (Some(runs), _) => steps.push(step(runs.at_ms, name.to_string(), format!("seen running on {}", runs.on))),
            (None, Some(why)) => steps.push(step(why.at_ms, name.to_string(), format!("not started: {}", why.why))),
            (None, None) if self.is_over => {
                steps.push(step(self.last_ms(), name.to_string(), "was not seen running".to_owned()));
            }
            (None, None) if steps.is_empty() => {
                steps.push(step(self.since_ms, name.to_string(), "not started yet".to_owned()))
            }
            (None, None) => {}
        }
        steps
    }

    /// Returns until when something of this incident may come at least.
    fn last_ms(&self) -> u64 {
        self.starts.last().map_or(self.since_ms, |start| start.at_ms.saturating_add(AWAITED_MS)).max(self.since_ms)
    }

    fn add_start(&mut self, start: SubmittedStart) {
        if self.starts.iter().any(|known| known.job == start.job) {
            return;
        }
        (self.not_started, self.runs) = (None, None);
        if self.starts.len() >= STARTS {
            self.starts.remove(1);
        }
        self.starts.push(start);
    }

    fn set_reason(&mut self, why: String, at_ms: u64) {
        let figureless = |text: &str| text.chars().filter(|letter| !letter.is_ascii_digit()).collect::<String>();
        let is_same = |known: &NotStarted| figureless(&known.why) == figureless(&why);
        if !self.not_started.as_ref().is_some_and(is_same) {
            self.not_started = Some(NotStarted { at_ms, why });
        }
    }

    /// Notes whether a node reports that it runs the instance. `is_named`: the plan has it still.
    fn see(&mut self, input: &RecoveryInput, is_named: bool, now_ms: u64) {
        let last = self.starts.last();
        let is_awaited = last.is_some() && now_ms < self.last_ms();
        let runs = |node: &&RecoveryNode| node.running.complete().is_some_and(|all| all.contains(&self.instance));
        let seen = input.nodes.iter().find(runs).map(|node| &node.name);
        // Before the job ends, only the node on which it starts counts.
        let is_there = !is_named || last.is_some_and(|start| start.on.as_ref() == seen);
        match seen.filter(|_| is_there) {
            Some(on) if self.runs.as_ref().is_none_or(|runs| runs.on != *on) => {
                self.runs = Some(SeenRunning { at_ms: now_ms, on: on.clone() });
            }
            _ => {}
        }
        self.is_over = !is_named && (self.runs.is_some() || !is_awaited);
    }
}

#[cfg(test)]
mod tests;
