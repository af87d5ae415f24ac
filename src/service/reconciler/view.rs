//! Offers the reconciler to callers that only read: a status, a report, a check, a rehearsal, a dry run.
//!
//! Nothing here writes a file, changes a rule of the kernel or submits a job.

use super::run::{ReconcileError, Reconciler};
use crate::core::node::NodeName;
use crate::core::pacemaker::crm_mon::CrmMon;
use crate::core::reconcile::{Decision, Memory, Pause, Plan, Settings};
use crate::core::recovery::plan::RecoveryPlan;
use crate::service::recovery::RecoveryError;
use crate::sys::clock::Deadline;

/// The read-only part of a reconciler.
#[derive(Clone, Debug)]
pub struct View(Reconciler);

impl View {
    /// Returns the read-only part of `reconciler`.
    #[must_use]
    pub const fn of(reconciler: Reconciler) -> Self {
        Self(reconciler)
    }

    /// Returns the settings of the administrator.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Collects the input and decides; changes nothing. `seen` is a `crm_mon` result that the caller has just read:
    /// `crm_mon` takes half of the time of a reconciliation, and is not started again then.
    ///
    /// # Errors
    /// [`ReconcileError`] if an input cannot be read.
    pub fn plan(&self, seen: Option<&CrmMon>, deadline: Deadline) -> Result<Plan, ReconcileError> {
        self.0.plan(seen, deadline)
    }

    /// Returns the plan of recovery as it would be made now, or right after `died` was proven off and recorded; changes
    /// nothing.
    ///
    /// # Errors
    /// [`ReconcileError`] if an input of the reconciliation cannot be read. The inner error is [`RecoveryError`] if one of
    /// the recovery cannot be read.
    pub fn recovery(
        &self,
        died: Option<&NodeName>,
        deadline: Deadline,
    ) -> Result<Result<RecoveryPlan, RecoveryError>, ReconcileError> {
        self.0.planned_recovery(died, deadline)
    }

    /// Reads what the last recovery on this host reported, one line each; none if it was not a moment ago.
    ///
    /// # Errors
    /// [`ReconcileError::State`] if the file cannot be read.
    pub fn last_recovery(&self) -> Result<Vec<String>, ReconcileError> {
        self.0.last_recovery()
    }

    /// Returns what would be decided of `died` if it had been fenced just now, with no more proof than Pacemaker's
    /// devices promise; `None` if the node is not Ganeti's.
    ///
    /// # Errors
    /// [`ReconcileError`] if an input cannot be read.
    pub fn rehearse(&self, died: &NodeName, deadline: Deadline) -> Result<Option<Decision>, ReconcileError> {
        self.0.rehearse(died, deadline)
    }

    /// Reads the administrator's pause, if there is one: that of this host, else that of the cluster.
    ///
    /// # Errors
    /// [`ReconcileError`] if the pause of the host or Pacemaker's configuration cannot be read.
    pub fn pause(&self) -> Result<Option<Pause>, ReconcileError> {
        self.0.pause()
    }

    /// Reads what the reconciler of this host remembers.
    ///
    /// # Errors
    /// [`ReconcileError::State`] if the file cannot be read.
    pub fn memory(&self) -> Result<Memory, ReconcileError> {
        self.0.memory()
    }
}
