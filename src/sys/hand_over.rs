//! What is handed to Ganeti: the jobs of a plan, each once, and what became of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::{Deadline, now, wall_nanos};
use super::luxi::{JobState, Luxi, LuxiError};
use super::recorder::{Addresses, Recorder, RecorderError};
use super::unreachable::{make_reachable, make_unreachable};
use crate::core::jobs::{self, Job};
use crate::core::node::NodeName;
use crate::core::receipt::When;
use crate::core::reconcile::{Decision, Plan, Verdict};

/// The jobs that were handed over, in the state folder.
const FILE: &str = "submitted.json";

/// For how long a job that was handed over is not handed over again: Ganeti waits 5 s for each dead candidate, several
/// times.
const PATIENCE_MS: u64 = 90_000;

/// How long luxid may take to confirm a job, or to tell of one.
const ANSWER: Duration = Duration::from_secs(2);

/// For how long a node that is being recorded offline is unreachable from here. No host boots faster.
const UNREACHABLE: Duration = Duration::from_secs(20);

/// How often a job that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(200);

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
}

impl Submitted {
    /// A job for `what`, handed over now.
    pub(super) fn new(what: String, at: When, job: Option<u64>) -> Self {
        Self { what, at_ms: at.boottime_ms, job }
    }

    /// Whether it may still do what it was handed over for.
    pub(super) fn is_pending(&self, now: When) -> bool {
        now.boottime_ms.checked_sub(self.at_ms).is_some_and(|age| age < PATIENCE_MS)
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

impl Recorder {
    /// Hands over what a plan wants and was not handed over yet. Returns what became of it, a line each.
    pub(super) fn hand_over(
        &self,
        plan: &Plan,
        addresses: &Addresses,
        deadline: Deadline,
    ) -> Result<Vec<String>, RecorderError> {
        let before = self.submitted()?;
        let mut submitted = Submissions::new();
        let mut lines = Vec::new();
        let at = now();
        for Verdict { node, decision } in &plan.verdicts {
            let jobs = jobs::jobs(node, decision, wall_nanos());
            if jobs.is_empty() {
                continue;
            }
            let what = decision.to_string();
            if let Some(pending) = before.get(node).filter(|job| job.is_pending(at)) {
                let state = self.state_of(pending, deadline);
                // What was wanted before is done, and something else is wanted since: it does not wait.
                if is_same(&pending.what, &what) || !matches!(state, Ok(Some(JobState::Done | JobState::Failed(_)))) {
                    lines.push(format!("{node}: {}", became_of(pending, state)));
                    submitted.insert(node.clone(), pending.clone());
                    continue;
                }
            }
            if let Decision::Offline { power_too, .. } = decision
                && !power_too.cycle
                && let Some(address) = addresses.get(node)
            {
                make_unreachable(&[*address], UNREACHABLE);
            }
            match submit(&self.luxi, &jobs, deadline.at_most(ANSWER)) {
                Ok(number) => {
                    lines.push(match number {
                        Some(number) => format!("{node}: {what}: job {number} is submitted"),
                        None => format!("{node}: {what}: a job is handed over"),
                    });
                    submitted.insert(node.clone(), Submitted::new(what, at, number));
                }
                Err(error) => {
                    lines.push(format!("{node}: {what}: not submitted, the next look tries again: {error}"));
                }
            }
        }
        if submitted != before {
            self.keep_submitted(&submitted)?;
        }
        if submitted.is_empty() && !before.is_empty() {
            // What was submitted is done, or is not wanted any more.
            make_reachable();
        }
        Ok(lines)
    }

    /// Waits for the jobs that were handed over, and returns how each ended, a line each.
    ///
    /// # Errors
    /// [`RecorderError::State`].
    pub fn wait_for_jobs(&self, deadline: Deadline) -> Result<Vec<String>, RecorderError> {
        let pending = self.submitted()?.into_iter().filter(|(_, job)| job.job.is_some() && job.is_pending(now()));
        let ended = |(node, job): (NodeName, Submitted)| {
            while matches!(self.state_of(&job, deadline), Ok(Some(JobState::UnderWay))) && !deadline.passed() {
                deadline.sleep(LOOK);
            }
            format!("{node}: {}", became_of(&job, self.state_of(&job, deadline)))
        };
        Ok(pending.map(ended).collect())
    }

    fn state_of(&self, job: &Submitted, deadline: Deadline) -> Result<Option<JobState>, LuxiError> {
        let Some(number) = job.job else { return Ok(None) };
        Luxi::connect(&self.luxi, deadline.at_most(ANSWER))?.job_state(number).map(Some)
    }

    pub(super) fn submitted(&self) -> Result<Submissions, RecorderError> {
        Ok(self.read(FILE)?.unwrap_or_default())
    }

    pub(super) fn keep_submitted(&self, submitted: &Submissions) -> Result<(), RecorderError> {
        self.write(FILE, submitted)
    }
}

/// Whether two decisions want the same of a node; the reasons do not count.
fn is_same(one: &str, other: &str) -> bool {
    let verb = |text: &str| text.split([':', ',']).next().map(str::to_owned);
    verb(one) == verb(other)
}

fn became_of(job: &Submitted, state: Result<Option<JobState>, LuxiError>) -> String {
    let what = &job.what;
    let number = job.job.unwrap_or_default();
    match state {
        Ok(Some(JobState::Failed(why))) => {
            format!("job {number} failed: {why} ({what}; it is tried again within {} s)", PATIENCE_MS / 1000)
        }
        Ok(Some(JobState::Done)) => format!("job {number} is done: {what}"),
        Ok(Some(JobState::UnderWay)) => format!("job {number} is under way: {what}"),
        Ok(Some(JobState::Gone) | None) => format!("a job is under way: {what}"),
        Err(error) => format!("a job is under way: {what} (not asked how far it is: {error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node that returns a moment after it was drained is not to wait for the patience of its drain's job.
    #[test]
    fn a_reason_makes_no_other_decision() {
        assert!(is_same("drain: it left gracefully", "drain, auto_promote: it left gracefully"));
        assert!(is_same("offline, powered=no: off (a, receipt r1)", "offline: off, fenced just now"));
        assert!(!is_same(&Decision::UnDrain.to_string(), &Decision::Drain { auto_promote: false }.to_string()));
        assert!(!is_same(&Decision::UnDrain.to_string(), &Decision::ForgetDrain.to_string()));
    }
}
