//! Decides when the next reconciliation is due and which of its lines are new, by the last one. Keeps the last one in the
//! state directory.

use serde::{Deserialize, Serialize};

use super::run::{Decisions, ReconcileError, Reconciler};
use crate::core::receipt::Timestamp;
use crate::sys::clock::{Deadline, now};
use crate::sys::lock::LockError;

/// How old the last reconciliation may be, in milliseconds since boot, before a monitor runs the next. One
/// reconciliation costs as much as ten monitors, and what cannot wait comes with a notification.
const QUIET_MS: u64 = 30_000;

/// The same limit if the last reconciliation left something undone, or was needed at once and failed.
const OPEN_MS: u64 = 2_000;

/// For how long, in milliseconds, the same error of a reconciliation is not reported again.
const REPORT_AGAIN_MS: u64 = 600_000;

/// The file of the last reconciliation, in the state directory.
const LAST_RUN_FILE: &str = "reconcile-last-run.json";

/// The last reconciliation: its time, what it left undone, and its error.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct LastRun {
    at: Timestamp,
    open: Vec<String>,
    failed: Option<String>,
    /// When the error was reported last, in milliseconds since boot.
    #[serde(default)]
    reported_ms: u64,
    /// Whether it failed and was needed at once.
    #[serde(default)]
    soon: bool,
}

impl LastRun {
    fn is_due(&self, now: Timestamp) -> bool {
        let patience = if self.open.is_empty() && !self.soon { QUIET_MS } else { OPEN_MS };
        // The time since boot goes back at a boot.
        now.boottime_ms.checked_sub(self.at.boottime_ms).is_none_or(|age_ms| age_ms >= patience)
    }
}

impl Reconciler {
    /// Runs as [`Reconciler::run`] for a caller that repeats it: only if the last run is some time ago, or left
    /// something undone. Returns the lines that the last run did not have.
    ///
    /// # Errors
    /// [`ReconcileError`] if it differs from the last error, or was last reported 10 minutes ago.
    pub fn run_if_due(&self, deadline: Deadline) -> Result<Vec<String>, ReconcileError> {
        let last = self.last_run();
        if last.as_ref().is_some_and(|last| !last.is_due(now())) && !self.is_recovery_due() {
            return Ok(Vec::new());
        }
        self.run_and_report(last, false, deadline)
    }

    /// Runs as [`Reconciler::run`] for a caller that has a reason to run it now. Returns the lines that the last run
    /// did not have.
    ///
    /// # Errors
    /// [`ReconcileError`] as for [`Reconciler::run`].
    pub fn run_now(&self, deadline: Deadline) -> Result<Vec<String>, ReconcileError> {
        self.run_and_report(self.last_run(), true, deadline)
    }

    fn run_and_report(
        &self,
        last: Option<LastRun>,
        has_reason: bool,
        deadline: Deadline,
    ) -> Result<Vec<String>, ReconcileError> {
        let last = last.unwrap_or_default();
        let error = match self.reconcile(deadline) {
            Ok((Decisions { state, plan, addresses }, _)) => {
                let open = self.last_run().map(|run| run.open).unwrap_or_default();
                let is_new = |line: &String| !last.open.iter().any(|before| is_same_line(before, line));
                let recovered = self.recover(state, &plan, &addresses, deadline);
                return Ok(open.into_iter().filter(is_new).chain(recovered.news).collect());
            }
            Err(error) => error,
        };
        let (at, failed) = (now(), error.to_string());
        let is_reported = last.failed.as_ref().is_some_and(|before| is_same_line(before, &failed))
            && at.boottime_ms.checked_sub(last.reported_ms).is_some_and(|age_ms| age_ms < REPORT_AGAIN_MS);
        let reports = has_reason || !is_reported;
        // The process that holds the lock may have read its input before the event that this one was called for.
        let soon = has_reason || matches!(error, ReconcileError::Lock(LockError::Busy { .. }));
        let reported_ms = if reports { at.boottime_ms } else { last.reported_ms };
        // Best effort: an entry that cannot be kept is only tried and reported again.
        let _ = self.keep_last_run(&LastRun { at, open: last.open, failed: Some(failed), reported_ms, soon });
        if reports { Err(error) } else { Ok(Vec::new()) }
    }

    /// Keeps a reconciliation that ended now without an error, with the lines about what it left undone.
    pub(super) fn keep_open_lines(&self, open: Vec<String>) -> Result<(), ReconcileError> {
        self.keep_last_run(&LastRun { at: now(), open, ..LastRun::default() })
    }

    /// Keeps the result of a reconciliation. If it is lost, the next one only runs earlier.
    fn keep_last_run(&self, run: &LastRun) -> Result<(), ReconcileError> {
        let path = self.state_dir.join(LAST_RUN_FILE);
        let kept = self.store().write_unflushed(LAST_RUN_FILE, run);
        kept.map(drop).map_err(|error| ReconcileError::State { path, error })
    }

    /// Reads the last reconciliation; `None` if there was none, or it cannot be read: then one is due.
    fn last_run(&self) -> Option<LastRun> {
        self.read(LAST_RUN_FILE).ok().flatten()
    }
}

/// Returns whether two lines are the same, except for numbers of seconds.
pub(super) fn is_same_line(one: &str, other: &str) -> bool {
    fn timeless(line: &str) -> impl Iterator<Item = &str> {
        let next = line.split(' ').skip(1).chain([""]);
        let is_time = |(word, next): &(&str, &str)| *next == "s" && word.parse::<f64>().is_ok();
        line.split(' ').zip(next).map(move |pair| if is_time(&pair) { "" } else { pair.0 })
    }
    timeless(one).eq(timeless(other))
}

#[cfg(test)]
mod tests;
