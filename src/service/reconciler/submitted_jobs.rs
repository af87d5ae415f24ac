//! Submits the jobs of a plan to luxid, each once, and follows them. It keeps them in the state directory, and can make
//! a node's noded unreachable from here for a while.

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

/// The file of the submitted jobs, in the state directory.
const FILE: &str = "submitted-jobs.json";

/// For how long a submitted job is not submitted again, in milliseconds: Ganeti waits 5 s for each dead candidate,
/// several times.
const RESUBMIT_AFTER_MS: u64 = 90_000;

/// How long a submitted job may be under way, in milliseconds: it may have to wait for its locks.
const UNDER_WAY_MS: u64 = 600_000;

/// The time after which a failed job is submitted again for the first time, in milliseconds. It doubles each time, up
/// to [`RESUBMIT_AFTER_MS`]. Ganeti gives up after 30 s if another job waits, with its configuration locked, for a node that
/// has just died.
const RETRY_MS: u64 = 5_000;

/// How long luxid may take to confirm a job, or to report the state of one.
const LUXI_TIMEOUT: Duration = Duration::from_secs(2);

/// For how long the noded of a node that is being recorded offline is unreachable from here.
const UNREACHABLE_TIME: Duration = Duration::from_secs(20);

/// How old a fencing may be, in milliseconds, for that. Together with [`UNREACHABLE_TIME`] it is at most the minute in which
/// no host boots. After that noded is asked whether it runs again, and our own rules would cause a missing answer.
const UNREACHABLE_UNTIL_MS: u64 = 40_000;

/// The interval in which a job that is waited for is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The submitted job of each node.
pub(super) type Submissions = BTreeMap<NodeName, SubmittedJob>;

/// A job that was submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SubmittedJob {
    what: String,
    /// When it was submitted, in milliseconds since boot.
    at_ms: u64,
    /// The number of the job, if luxid confirmed it in time.
    #[serde(default)]
    job: Option<u64>,
    /// Whether the node's noded was made unreachable for it.
    #[serde(default)]
    unreachable: bool,
    /// Whether it was cancelled: then it is submitted again at once.
    #[serde(default)]
    cancelled: bool,
    /// How often the same was submitted before and failed.
    #[serde(default)]
    failures: u32,
}

impl SubmittedJob {
    /// Returns the entry of a job for `what` that is submitted now.
    pub(super) fn new(what: String, at: Timestamp, job: Option<u64>) -> Self {
        Self { what, at_ms: at.boottime_ms, job, unreachable: false, cancelled: false, failures: 0 }
    }

    /// Returns whether the job may still do what it was submitted for.
    pub(super) fn is_pending(&self, now: Timestamp) -> bool {
        self.is_younger(RESUBMIT_AFTER_MS, now)
    }

    /// Returns the time from the submission of this job until it is submitted again if it fails, in milliseconds.
    fn again_ms(&self) -> u64 {
        1_u64
            .checked_shl(self.failures)
            .map_or(RESUBMIT_AFTER_MS, |times| RETRY_MS.saturating_mul(times).min(RESUBMIT_AFTER_MS))
    }

    /// Returns how often `what` was submitted without success, including this job.
    fn failures_of(&self, what: &str) -> u32 {
        if is_same(&self.what, what) && !self.cancelled { self.failures.saturating_add(1) } else { 0 }
    }

    fn is_younger(&self, age_ms: u64, now: Timestamp) -> bool {
        now.boottime_ms.checked_sub(self.at_ms).is_some_and(|age| age < age_ms)
    }

    /// Returns whether no other job is to be submitted, by the state that Ganeti reports. A job that waits for its
    /// locks may wait for long, and still does what it was submitted for. `decision` is what is wanted now.
    fn stays(&self, state: &Result<Option<JobState>, LuxiError>, decision: &Decision, now: Timestamp) -> bool {
        let same = is_same(&self.what, &decision.to_string());
        match state {
            Ok(Some(JobState::UnderWay)) => true,
            Ok(Some(JobState::Done)) => same && self.is_pending(now) && !self.cancelled,
            Ok(Some(JobState::Failed(_))) => same && self.is_younger(self.again_ms(), now) && !self.cancelled,
            // luxid does not run, or does not answer in time: the state of the job is unknown.
            Err(LuxiError::Connect { .. } | LuxiError::Unconfirmed | LuxiError::Exchange(_)) => true,
            Ok(Some(JobState::Gone) | None) | Err(_) if same || may_spoil(verb(&self.what), decision) => {
                self.is_pending(now)
            }
            Ok(Some(JobState::Gone) | None) | Err(_) => self.is_younger(RETRY_MS, now),
        }
    }
}

/// Submits jobs that belong together to luxid. Returns the number of the last; `None` if it was not confirmed in time.
pub(super) fn submit(luxi: &Path, jobs: &[Job], deadline: Deadline) -> Result<Option<u64>, LuxiError> {
    match Luxi::connect(luxi, deadline).and_then(|mut luxi| luxi.submit_jobs(jobs)) {
        Ok(number) => Ok(Some(number)),
        Err(LuxiError::Unconfirmed) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Reconciler {
    /// Submits the jobs of a plan that were not submitted yet, and cancels those that are not wanted any more. Returns
    /// one line for each.
    pub(super) fn submit_plan(
        &self,
        plan: &Plan,
        addresses: &Addresses,
        deadline: Deadline,
    ) -> Result<Vec<String>, ReconcileError> {
        let before = self.submitted()?;
        let mut submitted = Submissions::new();
        let mut lines = Vec::new();
        let at = now();
        for NodeDecision { node, decision } in &plan.decisions {
            if let Some(pending) = before.get(node) {
                let is_recorded = plan.memory.is_offline(node);
                let (stays, line) = self.follow_job(pending, decision, is_recorded, at, deadline);
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
                make_unreachable(&[*address], UNREACHABLE_TIME);
            }
            match submit(&self.luxi, &jobs, deadline.at_most(LUXI_TIMEOUT)) {
                Ok(number) => {
                    lines.push(match number {
                        Some(number) => format!("{node}: {what}: job {number} is submitted"),
                        None => format!("{node}: {what}: a job is submitted, its number is unknown"),
                    });
                    let unreachable = unreachable.is_some();
                    let failures = before.get(node).map_or(0, |last| last.failures_of(&what));
                    submitted.insert(
                        node.clone(),
                        SubmittedJob { unreachable, failures, ..SubmittedJob::new(what, at, number) },
                    );
                }
                Err(error) => {
                    if unreachable.is_some() {
                        make_reachable();
                    }
                    lines.push(format!("{node}: {what}: not submitted, the next reconciliation tries again: {error}"));
                }
            }
        }
        let is_unreachable = |of: &Submissions| of.values().any(|job| job.unreachable);
        if is_unreachable(&before) && !is_unreachable(&submitted) {
            // The submitted jobs are done, or are not wanted any more.
            make_reachable();
        }
        if submitted != before {
            self.keep_submitted(&submitted)?;
        }
        Ok(lines)
    }

    /// Decides about a submitted job of a node, for which `decision` holds now. Returns the entry that is kept, so that
    /// no other job is submitted for the node, and the line to report.
    fn follow_job(
        &self,
        pending: &SubmittedJob,
        decision: &Decision,
        is_recorded: bool,
        at: Timestamp,
        deadline: Deadline,
    ) -> (Option<SubmittedJob>, Option<String>) {
        if *decision == Decision::Nothing(NoActionReason::NotMaster) {
            // The number of the job is the cluster's. This host asks for its state when it is the master again.
            return (Some(pending.clone()), None);
        }
        let state = self.state_of(pending, deadline);
        if !pending.stays(&state, decision, at) {
            return (None, None);
        }
        let is_same = is_same(&pending.what, &decision.to_string());
        let is_waited_for = !matches!(decision, Decision::Nothing(_) | Decision::Blocked(_));
        if matches!(&state, Err(error) if error.is_absence()) {
            // Where no luxid is there is nothing to cancel, and nothing that a noded could delay: this host is not
            // the master, or not for the moment.
            let pending = SubmittedJob { unreachable: false, ..pending.clone() };
            return (Some(pending.clone()), is_waited_for.then(|| became_of(&pending, state)));
        }
        if !is_same && is_to_be_cancelled(verb(&pending.what), decision, is_recorded) {
            let (is_cancelled, line) = self.cancel(pending, deadline);
            let cancelled = pending.cancelled || is_cancelled;
            let line = format!("{line}; it is not wanted any more ({decision})");
            return (Some(SubmittedJob { unreachable: false, cancelled, ..pending.clone() }), Some(line));
        }
        (Some(pending.clone()), is_waited_for.then(|| became_of(pending, state)))
    }

    /// Cancels a job, if that is possible. Returns whether it is cancelled, and the line to report.
    fn cancel(&self, job: &SubmittedJob, deadline: Deadline) -> (bool, String) {
        let what = &job.what;
        let Some(number) = job.job else {
            return (false, format!("a job may be under way that cannot be cancelled without its number: {what}"));
        };
        let connection = Luxi::connect(&self.luxi, deadline.at_most(LUXI_TIMEOUT));
        match connection.and_then(|mut luxi| luxi.cancel_job(number)) {
            Ok(_) => (true, format!("job {number} is cancelled: {what}")),
            Err(error) => (false, format!("job {number} cannot be cancelled: {error}: {what}")),
        }
    }

    /// Waits until the submitted jobs have ended or the deadline passes. Returns one line for each.
    ///
    /// # Errors
    /// [`ReconcileError::State`] if the file of the jobs cannot be read.
    pub fn wait_for_jobs(&self, deadline: Deadline) -> Result<Vec<String>, ReconcileError> {
        let is_waited_for = |job: &SubmittedJob| job.job.is_some() && job.is_pending(now()) && !job.cancelled;
        let pending = self.submitted()?.into_iter().filter(|(_, job)| is_waited_for(job));
        let ended = |(node, job): (NodeName, SubmittedJob)| {
            let mut state = self.state_of(&job, deadline);
            while matches!(state, Ok(Some(JobState::UnderWay))) && deadline.left() > POLL_INTERVAL {
                deadline.sleep(POLL_INTERVAL);
                state = self.state_of(&job, deadline);
            }
            format!("{node}: {}", became_of(&job, state))
        };
        Ok(pending.map(ended).collect())
    }

    fn state_of(&self, job: &SubmittedJob, deadline: Deadline) -> Result<Option<JobState>, LuxiError> {
        let Some(number) = job.job else { return Ok(None) };
        Luxi::connect(&self.luxi, deadline.at_most(LUXI_TIMEOUT))?.job_state(number).map(Some)
    }

    /// Returns whether a job of gnt-ha that records this node offline was submitted and may be under way.
    ///
    /// # Errors
    /// [`ReconcileError::State`] if the file of the jobs cannot be read.
    pub fn is_recording(&self, node: &NodeName) -> Result<bool, ReconcileError> {
        let submitted = self.submitted()?;
        Ok(submitted
            .get(node)
            .is_some_and(|job| verb(&job.what) == "offline" && !job.cancelled && job.is_younger(UNDER_WAY_MS, now())))
    }

    pub(super) fn submitted(&self) -> Result<Submissions, ReconcileError> {
        Ok(self.read(FILE)?.unwrap_or_default())
    }

    pub(super) fn keep_submitted(&self, submitted: &Submissions) -> Result<(), ReconcileError> {
        self.write(FILE, submitted)
    }
}

/// Returns whether two decisions want the same for a node; their reasons do not count.
fn is_same(one: &str, other: &str) -> bool {
    verb(one) == verb(other)
}

/// Returns whether a job that waits for its locks must not run any more. `verb` is what it was submitted for,
/// `is_recorded` whether the node is recorded offline now.
fn is_to_be_cancelled(verb: &str, decision: &Decision, is_recorded: bool) -> bool {
    match verb {
        // The node is back, or the administrator does not want the record.
        "offline" => !is_recorded,
        // The node is back, or its power is recorded or not known any more. A receipt that cannot be read at this moment
        // does not cancel the job, nor does a pause.
        "power" => !is_recorded || *decision == Decision::Nothing(NoActionReason::AlreadyOffline),
        // Ganeti would drain the node and set it online. And a node that was fenced since is recorded before that.
        "drain" => is_recorded || matches!(decision, Decision::Offline { .. }),
        "un-drain" | "forget our drain" => matches!(decision, Decision::Offline { .. }),
        _ => false,
    }
}

/// Returns whether a job whose end is not seen could undo what is wanted now. A drain could set a node online that is
/// recorded offline meanwhile. Ganeti runs a drain and an un-drain, which take the same locks, in their order.
fn may_spoil(verb: &str, decision: &Decision) -> bool {
    match verb {
        "drain" => !matches!(decision, Decision::UnDrain | Decision::ForgetDrain),
        "un-drain" | "forget our drain" => false,
        _ => true,
    }
}

fn verb(what: &str) -> &str {
    what.split([':', ',']).next().unwrap_or_default()
}

/// Returns whether the node's noded would delay its own record, and certainly does not answer while it is made
/// unreachable.
fn may_be_unreachable(decision: &Decision, now: Timestamp) -> bool {
    matches!(decision, Decision::Offline { power_too, proof, .. }
        if !power_too.cycle && now.wall_ms.abs_diff(proof.at_ms) <= UNREACHABLE_UNTIL_MS)
}

fn became_of(job: &SubmittedJob, state: Result<Option<JobState>, LuxiError>) -> String {
    let what = &job.what;
    let number = job.job.unwrap_or_default();
    match state {
        Ok(Some(JobState::Failed(why))) => {
            format!("job {number} failed: {why} ({what}; it is tried again within {} s)", job.again_ms() / 1000)
        }
        Ok(Some(JobState::Done)) => format!("job {number} is done: {what}"),
        Ok(Some(JobState::UnderWay)) => format!("job {number} is under way: {what}"),
        Ok(Some(JobState::Gone) | None) => format!("a job is under way: {what}"),
        Err(error) => format!("a job is under way: {what} (its state is unknown: {error})"),
    }
}

#[cfg(test)]
mod tests;
