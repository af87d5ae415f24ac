//! Recovery by hand (`gnt-ha recover`): the same steps as at each monitor, when an administrator asks for them.

use super::super::noded_check::OwnUnreachable;
use super::super::run::{Decisions, Reconciler};
use super::{RECOVERY_TIMEOUT, RecoverError, RecoveryResult, Request};
use crate::core::node::NodeName;
use crate::core::recovery::by_hand;
use crate::sys::clock::Deadline;

impl Reconciler {
    /// Checks whether instances may be started by hand now, with `off` those of that host; changes nothing.
    ///
    /// # Errors
    /// [`RecoverError::Objection`] if not; another one if that cannot be read.
    pub fn check_recovery_by_hand(&self, off: Option<&NodeName>, deadline: Deadline) -> Result<(), RecoverError> {
        let Decisions { state, plan, .. } = self.collect_and_decide(OwnUnreachable::Kept, None, deadline)?;
        Ok(by_hand::check(&state, &plan, self.is_recovery_on(), off)?)
    }

    /// Reconciles, and starts the instances of dead hosts elsewhere, with `off` those of that host. The lines also have what
    /// was recorded.
    ///
    /// # Errors
    /// [`RecoverError`] if an input cannot be read, or another recovery of this host does not end.
    pub fn recover_by_hand(&self, off: Option<&NodeName>, deadline: Deadline) -> Result<RecoveryResult, RecoverError> {
        let (Decisions { state, plan, addresses }, mut lines) = self.reconcile(deadline)?;
        let deadline = deadline.at_most(RECOVERY_TIMEOUT);
        let recovered = self.try_recover(state, &plan, &addresses, Request::ByHand(off), deadline)?;
        lines.extend(recovered.lines);
        Ok(RecoveryResult { lines, ..recovered })
    }
}
