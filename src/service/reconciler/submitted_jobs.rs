//! What is handed to Ganeti: the jobs of a plan, each once, and what became of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::noded_check::Addresses;
use crate::core::node::NodeName;
use crate::core::receipt::Timestamp;
use crate::core::reconcile::jobs::{self, Job};
use crate::core::reconcile::{Decision, NoActionReason, NodeDecision, Plan};
use crate::service::reconciler::run::{ReconcileError, Reconciler};
use crate::sys::clock::{Deadline, now, wall_nanos};
use crate::sys::ganeti::luxi::{JobState, Luxi, LuxiError};
use crate::sys::nft::unreachable::{make_reachable, make_unreachable};

/// The jobs that were handed over, in the state folder.
const FILE: &str = "submitted-jobs.json";

/// For how long a job that was handed over is not handed over again: Ganeti waits 5 s for each dead candidate, several
/// times.
const PATIENCE_MS: u64 = 90_000;

/// How long a job that was handed over may be under way: it may have to wait for its locks.
const UNDER_WAY_MS: u64 = 600_000;

/// How soon a job that failed is handed over again for the first time; it doubles each time, up to [`PATIENCE_MS`]. Ganeti
/// gives up after 30 s where another job waits, with its configuration locked, for a node that has just died.
const AGAIN_MS: u64 = 5_000;

/// How long luxid may take to confirm a job, or to tell of one.
const ANSWER: Duration = Duration::from_secs(2);

/// For how long the noded of a node that is being recorded offline is unreachable from here.
const UNREACHABLE: Duration = Duration::from_secs(20);

/// How old a fencing may be, in milliseconds, for that: with [`UNREACHABLE`] no more than the minute in which no host boots.
/// After that noded is asked whether it runs again, and our own refusal would look like its silence.
const UNREACHABLE_UNTIL_MS: u64 = 40_000;

/// How often a job that is waited for is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// What was handed over for each node.
pub(super) type Submissions = BTreeMap<NodeName, Submitted>;

/// A job that was handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Submitted {
    what: String,
    /// Milliseconds since boot.
    at_ms: u64,
    /// Its number, if that was confirmed in time.
    #[serde(default)]
    job: Option<u64>,
    /// The node's noded was made unreachable for it.
    #[serde(default)]
    unreachable: bool,
    /// It was cancelled: that it fails is no reason to wait before it is handed over again.
    #[serde(default)]
    called_back: bool,
    /// How often the same was handed over before, in vain.
    #[serde(default)]
    in_vain: u32,
}

impl Submitted {
    /// A job for `what`, handed over now.
    pub(super) fn new(what: String, at: Timestamp, job: Option<u64>) -> Self {
        Self { what, at_ms: at.boottime_ms, job, unreachable: false, called_back: false, in_vain: 0 }
    }

    /// Whether it may still do what it was handed over for.
    pub(super) fn is_pending(&self, now: Timestamp) -> bool {
        self.is_younger(PATIENCE_MS, now)
    }

    /// How long after a job that failed, in milliseconds from when it was handed over, the next is.
    fn again_ms(&self) -> u64 {
        1_u64.checked_shl(self.in_vain).map_or(PATIENCE_MS, |times| AGAIN_MS.saturating_mul(times).min(PATIENCE_MS))
    }

    /// How often `what` was handed over in vain, with this job.
    fn times_in_vain(&self, what: &str) -> u32 {
        if is_same(&self.what, what) && !self.called_back { self.in_vain.saturating_add(1) } else { 0 }
    }

    fn is_younger(&self, age_ms: u64, now: Timestamp) -> bool {
        now.boottime_ms.checked_sub(self.at_ms).is_some_and(|age| age < age_ms)
    }

    /// Whether nothing else is to be handed over, by what Ganeti says of it: a job that waits for its locks may wait for
    /// long, and does what it was handed over for all the same. `same` says that this is still wanted.
    fn stays(&self, state: &Result<Option<JobState>, LuxiError>, same: bool, now: Timestamp) -> bool {
        match state {
            Ok(Some(JobState::UnderWay)) => true,
            Ok(Some(JobState::Done)) => same && self.is_pending(now) && !self.called_back,
            Ok(Some(JobState::Failed(_))) => same && self.is_younger(self.again_ms(), now) && !self.called_back,
            // Nobody there, or nobody who answers in time: it says nothing of the job.
            Err(LuxiError::Connect { .. } | LuxiError::Unconfirmed | LuxiError::Exchange(_)) => true,
            Ok(Some(JobState::Gone) | None) | Err(_) => self.is_pending(now),
        }
    }
}

/// Hands jobs that belong together to Ganeti, and returns the number of the last; none if that was not confirmed in time.
pub(super) fn submit(luxi: &Path, jobs: &[Job], deadline: Deadline) -> Result<Option<u64>, LuxiError> {
    match Luxi::connect(luxi, deadline).and_then(|mut luxi| luxi.submit_jobs(jobs)) {
        Ok(number) => Ok(Some(number)),
        Err(LuxiError::Unconfirmed) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Reconciler {
    /// Hands over what a plan wants and was not handed over yet, and calls back what is not wanted any more. Returns what
    /// became of it, a line each.
    pub(super) fn hand_over(
        &self,
        plan: &Plan,
        addresses: &Addresses,
        deadline: Deadline,
    ) -> Result<Vec<String>, ReconcileError> {
        let before = self.submitted()?;
        let mut submitted = Submissions::new();
        let mut lines = Vec::new();
        let at = now();
        for NodeDecision { node, decision } in &plan.verdicts {
            if let Some(pending) = before.get(node) {
                let is_recorded = plan.memory.is_offline(node);
                let (stays, line) = self.pursue(pending, decision, is_recorded, at, deadline);
                lines.extend(line.map(|line| format!("{node}: {line}")));
                if let Some(pending) = stays {
                    submitted.insert(node.clone(), pending);
                    continue;
                }
            }
            let jobs = jobs::jobs(node, decision, wall_nanos());
            if jobs.is_empty() {
                continue;
            }
            let what = decision.to_string();
            let unreachable = addresses.get(node).filter(|_| may_be_unreachable(decision, at));
            if let Some(address) = unreachable {
                make_unreachable(&[*address], UNREACHABLE);
            }
            match submit(&self.luxi, &jobs, deadline.at_most(ANSWER)) {
                Ok(number) => {
                    lines.push(match number {
                        Some(number) => format!("{node}: {what}: job {number} is submitted"),
                        None => format!("{node}: {what}: a job is handed over"),
                    });
                    let unreachable = unreachable.is_some();
                    let in_vain = before.get(node).map_or(0, |last| last.times_in_vain(&what));
                    submitted
                        .insert(node.clone(), Submitted { unreachable, in_vain, ..Submitted::new(what, at, number) });
                }
                Err(error) => {
                    if unreachable.is_some() {
                        make_reachable();
                    }
                    lines.push(format!("{node}: {what}: not submitted, the next look tries again: {error}"));
                }
            }
        }
        let is_unreachable = |of: &Submissions| of.values().any(|job| job.unreachable);
        if is_unreachable(&before) && !is_unreachable(&submitted) {
            // What was submitted is done, or is not wanted any more.
            make_reachable();
        }
        if submitted != before {
            self.keep_submitted(&submitted)?;
        }
        Ok(lines)
    }

    /// What becomes of a job that was handed over for a node of which `decision` is true now: what stays of it, so that
    /// nothing else is handed over for the node, and what is to be said.
    fn pursue(
        &self,
        pending: &Submitted,
        decision: &Decision,
        is_recorded: bool,
        at: Timestamp,
        deadline: Deadline,
    ) -> (Option<Submitted>, Option<String>) {
        if *decision == Decision::Nothing(NoActionReason::NotMaster) {
            // Its number is the cluster's: whoever is master again here asks.
            return (Some(pending.clone()), None);
        }
        let state = self.state_of(pending, deadline);
        let is_same = is_same(&pending.what, &decision.to_string());
        if !pending.stays(&state, is_same, at) {
            return (None, None);
        }
        if is_offline(&pending.what) && !is_same && !is_recorded {
            // It waits for a lock, and the node is back, or the administrator is against it.
            let (is_cancelled, told) = self.call_back(pending, deadline);
            let called_back = pending.called_back || is_cancelled;
            let line = format!("{told}; it is not wanted any more ({decision})");
            return (Some(Submitted { unreachable: false, called_back, ..pending.clone() }), Some(line));
        }
        let is_waited_for = !matches!(decision, Decision::Nothing(_) | Decision::Refused(_));
        (Some(pending.clone()), is_waited_for.then(|| became_of(pending, state)))
    }

    /// Cancels a job, as far as that is possible. Returns whether it is, and what is to be said.
    fn call_back(&self, job: &Submitted, deadline: Deadline) -> (bool, String) {
        let what = &job.what;
        let Some(number) = job.job else {
            return (false, format!("a job may be under way that cannot be cancelled without its number: {what}"));
        };
        let connection = Luxi::connect(&self.luxi, deadline.at_most(ANSWER));
        match connection.and_then(|mut luxi| luxi.cancel_job(number)) {
            Ok(_) => (true, format!("job {number} is cancelled: {what}")),
            Err(error) => (false, format!("job {number} cannot be cancelled: {error}: {what}")),
        }
    }

    /// Waits for the jobs that were handed over, and returns how each ended, a line each.
    ///
    /// # Errors
    /// [`ReconcileError::State`].
    pub fn wait_for_jobs(&self, deadline: Deadline) -> Result<Vec<String>, ReconcileError> {
        let is_waited_for = |job: &Submitted| job.job.is_some() && job.is_pending(now()) && !job.called_back;
        let pending = self.submitted()?.into_iter().filter(|(_, job)| is_waited_for(job));
        let ended = |(node, job): (NodeName, Submitted)| {
            let mut state = self.state_of(&job, deadline);
            while matches!(state, Ok(Some(JobState::UnderWay))) && deadline.left() > POLL_INTERVAL {
                deadline.sleep(POLL_INTERVAL);
                state = self.state_of(&job, deadline);
            }
            format!("{node}: {}", became_of(&job, state))
        };
        Ok(pending.map(ended).collect())
    }

    fn state_of(&self, job: &Submitted, deadline: Deadline) -> Result<Option<JobState>, LuxiError> {
        let Some(number) = job.job else { return Ok(None) };
        Luxi::connect(&self.luxi, deadline.at_most(ANSWER))?.job_state(number).map(Some)
    }

    /// Whether a job of ours that records this node offline, or its power, was handed over and may be under way.
    ///
    /// # Errors
    /// [`ReconcileError::State`].
    pub fn is_recording(&self, node: &NodeName) -> Result<bool, ReconcileError> {
        let submitted = self.submitted()?;
        Ok(submitted.get(node).is_some_and(|job| {
            let is_record = matches!(verb(&job.what), "offline" | "power") && !job.called_back;
            is_record && job.is_younger(UNDER_WAY_MS, now())
        }))
    }

    pub(super) fn submitted(&self) -> Result<Submissions, ReconcileError> {
        Ok(self.read(FILE)?.unwrap_or_default())
    }

    pub(super) fn keep_submitted(&self, submitted: &Submissions) -> Result<(), ReconcileError> {
        self.write(FILE, submitted)
    }
}

/// Whether two decisions want the same of a node; the reasons do not count.
fn is_same(one: &str, other: &str) -> bool {
    verb(one) == verb(other)
}

fn is_offline(what: &str) -> bool {
    verb(what) == "offline"
}

fn verb(what: &str) -> &str {
    what.split([':', ',']).next().unwrap_or_default()
}

/// Whether the noded of the node is in the way of its own record, and surely silent for as long as it is unreachable.
fn may_be_unreachable(decision: &Decision, now: Timestamp) -> bool {
    matches!(decision, Decision::Offline { power_too, proof, .. }
        if !power_too.cycle && now.wall_ms.abs_diff(proof.at_ms) <= UNREACHABLE_UNTIL_MS)
}

fn became_of(job: &Submitted, state: Result<Option<JobState>, LuxiError>) -> String {
    let what = &job.what;
    let number = job.job.unwrap_or_default();
    match state {
        Ok(Some(JobState::Failed(why))) => {
            format!("job {number} failed: {why} ({what}; it is tried again within {} s)", job.again_ms() / 1000)
        }
        Ok(Some(JobState::Done)) => format!("job {number} is done: {what}"),
        Ok(Some(JobState::UnderWay)) => format!("job {number} is under way: {what}"),
        Ok(Some(JobState::Gone) | None) => format!("a job is under way: {what}"),
        Err(error) => format!("a job is under way: {what} (not asked how far it is: {error})"),
    }
}

#[cfg(test)]
#[path = "submitted_jobs_tests.rs"]
mod tests;
