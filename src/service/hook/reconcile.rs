//! Reconciles the record on a new master.

use std::time::Duration;

use super::error::HookError;
use crate::core::reconcile::{BlockReason, Decision};
use crate::service::reconciler::run::{ReconcileError, Reconciler};
use crate::sys::clock::Deadline;
use crate::sys::ganeti::luxi::Luxi;
use crate::sys::pacemaker::PacemakerError;

/// The time limit for a new master to accept jobs and to be seen by Pacemaker.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(60);

/// The time limit for one attempt; `RECONCILE_PAUSE` is the interval between two.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(8);
const RECONCILE_PAUSE: Duration = Duration::from_secs(3);

/// Reconciles the record, once the new master accepts jobs and Pacemaker's next monitor has seen its role. The monitors
/// of the master do the rest.
pub(super) fn reconcile(reconciler: &Reconciler) -> Result<(), HookError> {
    let deadline = Deadline::after(TAKEOVER_TIMEOUT);
    loop {
        match try_to_reconcile(reconciler, deadline) {
            Ok(true) => return Ok(()),
            Ok(false) if deadline.passed() => return Ok(()),
            Err(error) if deadline.passed() => return Err(HookError::NothingRecorded(Box::new(error))),
            _ => deadline.sleep(RECONCILE_PAUSE),
        }
    }
}

/// Reconciles once. Returns whether Pacemaker has seen the role of this host, or does not run here.
fn try_to_reconcile(reconciler: &Reconciler, deadline: Deadline) -> Result<bool, HookError> {
    Luxi::connect(&reconciler.luxi, deadline.at_most(RECONCILE_TIMEOUT))?;
    let plan = match reconciler.run(deadline.at_most(RECONCILE_TIMEOUT)) {
        Err(ReconcileError::Pacemaker(PacemakerError::NotHere)) => return Ok(true),
        run => run?.0,
    };
    let is_elsewhere = |decision: &Decision| matches!(decision, Decision::Blocked(BlockReason::MasterElsewhere { .. }));
    Ok(!plan.decisions.iter().any(|entry| is_elsewhere(&entry.decision)))
}
