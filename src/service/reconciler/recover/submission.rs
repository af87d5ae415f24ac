//! Submits the starts of instances to luxid, and cancels those that have not begun.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::run::Reconciler;
use crate::core::recovery::instance::InstanceName;
use crate::core::recovery::memory::RecoveryMemory;
use crate::core::recovery::opcodes::StartJob;
use crate::core::recovery::plan::Cancel;
use crate::sys::clock::{Deadline, now};
use crate::sys::ganeti::luxi::{Luxi, LuxiError};

/// How long luxid may take to confirm the starts.
const LUXI_TIMEOUT: Duration = Duration::from_secs(2);

/// luxid's answer to one job.
enum Submission {
    /// The job has this number.
    Accepted(u64),
    /// luxid has not answered, and may still accept the job.
    Unconfirmed,
    /// luxid does not accept the job, with the reason.
    Rejected(String),
}

impl From<Result<u64, LuxiError>> for Submission {
    fn from(answer: Result<u64, LuxiError>) -> Self {
        answer.map_or_else(|error| Self::Rejected(error.to_string()), Self::Accepted)
    }
}

impl Reconciler {
    pub(super) fn cancel_start(&self, cancel: &Cancel, deadline: Deadline) -> String {
        let Cancel { job, instance, why } = cancel;
        let connection = Luxi::connect(&self.luxi, deadline.at_most(LUXI_TIMEOUT));
        match connection.and_then(|mut luxi| luxi.cancel_job(*job)) {
            Ok(_) => format!("{instance}: job {job} is cancelled: {why}"),
            Err(error) => format!("{instance}: job {job} cannot be cancelled: {error} ({why})"),
        }
    }

    /// Submits the starts in one request. Returns the job of each start that was accepted, and one line for each start.
    pub(super) fn submit_starts(
        &self,
        starts: &[StartJob<'_>],
        remembered: &mut RecoveryMemory,
        deadline: Deadline,
    ) -> (BTreeMap<InstanceName, u64>, Vec<String>) {
        if starts.is_empty() {
            return (BTreeMap::new(), Vec::new());
        }
        let opcodes: Vec<_> = starts.iter().map(|job| job.opcodes.clone()).collect();
        let connection = Luxi::connect(&self.luxi, deadline.at_most(LUXI_TIMEOUT));
        let answers = connection.and_then(|mut luxi| luxi.submit_each(&opcodes));
        let each: Vec<Submission> = match answers {
            Ok(answers) => answers.into_iter().map(Submission::from).collect(),
            Err(error @ (LuxiError::Connect { .. } | LuxiError::Refused(_))) => {
                starts.iter().map(|_| Submission::Rejected(error.to_string())).collect()
            }
            // luxid may still accept them.
            Err(LuxiError::Unconfirmed | LuxiError::NoAnswer | LuxiError::Exchange(_) | LuxiError::Answer(_)) => {
                starts.iter().map(|_| Submission::Unconfirmed).collect()
            }
        };
        let at = now();
        let (mut submitted, mut lines) = (BTreeMap::new(), Vec::new());
        for (StartJob { start, .. }, answer) in starts.iter().zip(each) {
            let on = start.on.node().map_or_else(String::new, |node| format!(" on {node}"));
            let what = format!("{}: starts{on}, off {}", start.instance, start.off);
            lines.push(match answer {
                Submission::Accepted(number) => {
                    remembered.accepted(start, at);
                    submitted.insert(start.instance.clone(), number);
                    format!("{what}: job {number} is submitted")
                }
                Submission::Unconfirmed => format!("{what}: a job is submitted, not confirmed"),
                Submission::Rejected(error) => {
                    remembered.not_accepted(start);
                    format!("{what}: not submitted, the next recovery tries again: {error}")
                }
            });
        }
        (submitted, lines)
    }
}
