//! The record for those who only look: a status, a report, a check, a rehearsal, a dry run.
//!
//! Nothing that it offers writes a file, changes a rule of the kernel or hands over a job, so none of them can.

use super::run::{ReconcileError, Reconciler};
use crate::core::node::NodeName;
use crate::core::pacemaker::crm_mon::CrmMon;
use crate::core::reconcile::{Decision, Memory, Pause, Plan, Settings};
use crate::sys::clock::Deadline;

/// What can be seen of the record.
#[derive(Clone, Debug)]
pub struct View(Reconciler);

impl View {
    /// Of what this one records.
    #[must_use]
    pub const fn of(recorder: Reconciler) -> Self {
        Self(recorder)
    }

    /// What the administrator has set.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Looks and decides. `seen` is what Pacemaker has just answered to the caller: `crm_mon` takes half of the time of a look, and
    /// is not started again then.
    ///
    /// # Errors
    /// [`ReconcileError`].
    pub fn plan(&self, seen: Option<&CrmMon>, deadline: Deadline) -> Result<Plan, ReconcileError> {
        self.0.plan(seen, deadline)
    }

    /// What would be decided of `died` had it been fenced just now, with no more proof than Pacemaker's devices promise;
    /// none of a node that is not Ganeti's.
    ///
    /// # Errors
    /// [`ReconcileError`].
    pub fn rehearse(&self, died: &NodeName, deadline: Deadline) -> Result<Option<Decision>, ReconcileError> {
        self.0.rehearse(died, deadline)
    }

    /// The administrator's pause, if there is one: of this host, else of the cluster.
    ///
    /// # Errors
    /// [`ReconcileError`].
    pub fn pause(&self) -> Result<Option<Pause>, ReconcileError> {
        self.0.pause()
    }

    /// What is remembered.
    ///
    /// # Errors
    /// [`ReconcileError::State`].
    pub fn memory(&self) -> Result<Memory, ReconcileError> {
        self.0.memory()
    }
}
