//! Evaluates what rounds prove over time: the first round of an epoch is kept, and the wait time counts from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::shun::evaluation::{ProofInput, ProofResult, Round, evaluate_proof, first_of};
use crate::core::shun::last_state::KeptReports;
use crate::core::shun::list::Epoch;
use crate::core::shun::messages::DatedSelfFenceReport;
use crate::sys::clock::{Deadline, now};
use crate::sys::lock::Lock;
use crate::sys::state_file;

use super::coordinator::ShunCoordinator;
use super::order_error::OrderError;
use super::round_result::RoundResult;

/// The pause between two rounds while a node has not confirmed yet.
const ROUND_INTERVAL: Duration = Duration::from_secs(1);

/// The first round of an epoch, and what was known of the target's self-fencing then.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct FirstRound {
    round: Round,
    self_fence: KeptReports,
}

/// The most that the lock of another evaluation is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// Returns the path of the kept rounds. They count only in this boot, so they are in memory, where no disk can fail.
fn rounds_file(run: &Path) -> PathBuf {
    run.join("shun-rounds.json")
}

impl ShunCoordinator<'_> {
    /// Evaluates a round together with the first one of this epoch. The first round is kept: an attempt after one that
    /// was killed goes on where that was. `None` if not every node confirmed.
    #[must_use]
    pub fn judge(&self, seen: &RoundResult) -> Option<ProofResult> {
        let last = seen.round.as_ref().ok()?;
        let path = rounds_file(&self.config.run);
        // Two evaluations at the same time must not lose each other's first round; without the lock the later one
        // starts its wait again.
        let take = || Lock::take(&self.config.run.join("shun-rounds.lock"), Deadline::after(LOCK_WAIT)).ok();
        let _lock = if self.is_reading { None } else { take() };
        let mut kept: BTreeMap<NodeName, FirstRound> = state_file::read(&path).ok().flatten().unwrap_or_default();
        let before = kept.get(self.target());
        let first = first_of(before.map(|kept| &kept.round), last);
        let first = match before.filter(|kept| kept.round == *first) {
            Some(kept) => kept.clone(),
            None => {
                let new = FirstRound { round: last.clone(), self_fence: seen.self_fence.clone() };
                if !self.is_reading {
                    kept.insert(self.target().clone(), new.clone());
                    // If the round cannot be kept, a later attempt starts its wait again.
                    let _ = state_file::write_unflushed(&path, &kept);
                }
                new
            }
        };
        // All that is known by now, with its age at the first round: a denial that is received later counts as well.
        let since = u64::try_from(last.at.saturating_sub(first.round.at).as_millis()).unwrap_or(u64::MAX);
        let kept = first.self_fence.later(since).and(&seen.self_fence);
        let self_fence =
            kept.newest().map(|newest| DatedSelfFenceReport { age_ms: newest.age_ms.saturating_sub(since), ..newest });
        let entry = self.entry().ok().flatten();
        // If this host has never asked the target, a node that has asked it knows its boot as well as this host would.
        let reported_boot = self_fence.as_ref().ok().map(|report| report.self_fence.boot_id.clone());
        let lists: Vec<_> =
            reported_boot.iter().flat_map(|boot| kept.lists(boot)).filter(|list| !list.is_empty()).collect();
        let boot_id = entry.as_ref().and_then(|entry| entry.boot_id.clone()).or(reported_boot);
        let addresses = entry.map_or_else(|| self.member.addresses.clone(), |entry| entry.addresses);
        Some(evaluate_proof(
            &first.round,
            last,
            ProofInput {
                target: self.member.primary,
                addresses: &addresses,
                candidates: &seen.network.candidates(),
                lists: &lists,
                master: seen.network.master.as_ref(),
                self_fence: self_fence.as_ref().map_err(|error| *error),
                boot_id: boot_id.as_deref(),
                accepted: self.config.shun.accepted(),
            },
        ))
    }

    /// Repeats the round until every node confirms and, if `least` requires it, the target has reset itself; or until
    /// the deadline.
    ///
    /// # Errors
    /// [`OrderError`] if this host itself does not shun the target.
    pub fn wait(
        &self,
        mut seen: RoundResult,
        least: Grade,
        deadline: Deadline,
    ) -> Result<(RoundResult, Option<ProofResult>), OrderError> {
        loop {
            let result = self.judge(&seen);
            let pause = match &result {
                Some(ProofResult::Waiting { until }) if least > Grade::Isolated => {
                    until.saturating_sub(Duration::from_millis(now().boottime_ms)) + Duration::from_millis(20)
                }
                Some(_) => return Ok((seen, result)),
                None => ROUND_INTERVAL,
            };
            if deadline.left() <= pause {
                return Ok((seen, result));
            }
            deadline.sleep(pause);
            seen = self.round(deadline)?;
        }
    }

    /// Records on this host and on all other nodes that the target has reset itself, as rounds in `epoch` have proven.
    ///
    /// # Errors
    /// [`OrderError`] if it is not recorded here: the target is in another epoch since, or is not shunned any more.
    pub fn keep_bounded(&self, epoch: Epoch, deadline: Deadline) -> Result<(), OrderError> {
        let mut entry = self.entry()?.ok_or(OrderError::Readmitted)?;
        if entry.epoch != epoch {
            return Err(OrderError::OtherEpoch { now: entry.epoch, checked: epoch });
        }
        entry.grade = entry.grade.max(Grade::Bounded);
        if entry.boot_id.is_none() {
            let kept: BTreeMap<NodeName, FirstRound> =
                state_file::read(&rounds_file(&self.config.run)).ok().flatten().unwrap_or_default();
            let report = kept.get(self.target()).and_then(|kept| kept.self_fence.newest().ok());
            entry.boot_id = report.map(|report| report.self_fence.boot_id);
        }
        self.send(entry, deadline).map(drop)
    }
}
