//! Carries out the steps of a hook.

use std::path::Path;

use super::error::HookError;
use super::fencing::fence;
use super::limits::STEP_TIMEOUT;
use super::reconcile::reconcile;
use super::standby;
use crate::core::config::Config;
use crate::core::hook::HookStep;
use crate::core::shun::list::ShunScope;
use crate::service::reconciler::run::Reconciler;
use crate::service::shun::applier::ShunApplier;
use crate::service::shun::manual::shun_by_hand;
use crate::service::shun::sync::sync;
use crate::sys::clock::Deadline;
use crate::sys::config_file;

/// A step whose output Ganeti shows: the caller carries it out and prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrintingStep {
    /// Run `gnt-ha check`, whose findings Ganeti prints.
    Check,
    /// Run `gnt-ha setup --update`, and print the changes.
    UpdateSetup,
}

/// The result of the steps for an event.
#[derive(Debug)]
pub struct StepsDone<E> {
    /// The failures, in the order of the steps, then the notes of the plan.
    pub failed: Vec<E>,
    /// Whether no step has found a problem that Ganeti is to show.
    pub is_well: bool,
    /// The steps for which Ganeti's job must not wait.
    pub later: Vec<HookStep>,
}

impl<E> StepsDone<E> {
    /// The result without a step.
    pub(super) const fn nothing() -> Self {
        Self { failed: Vec::new(), is_well: true, later: Vec::new() }
    }
}

/// Carries out all steps one after the other; a step that fails does not stop the others. `printing` carries out the
/// steps with output, and returns whether they found no problem.
///
/// # Errors
/// [`HookError::Config`] if the configuration cannot be used; then no step is done.
pub fn do_all<E: From<HookError>>(
    steps: &[HookStep],
    reconciler: &Reconciler,
    config_path: &Path,
    printing: impl Fn(PrintingStep) -> Result<bool, E>,
) -> Result<StepsDone<E>, HookError> {
    let config = config_file::load_or_default(config_path)?;
    let mut done = StepsDone::nothing();
    for step in steps {
        let one = match step {
            HookStep::Check => printing(PrintingStep::Check),
            HookStep::UpdateSetup => printing(PrintingStep::UpdateSetup),
            step => carry_out(step, reconciler, &config).map(|()| true).map_err(E::from),
        };
        match one {
            Ok(is_well) => done.is_well &= is_well,
            Err(error) => done.failed.push(error),
        }
    }
    Ok(done)
}

fn carry_out(step: &HookStep, reconciler: &Reconciler, config: &Config) -> Result<(), HookError> {
    let soon = Deadline::after(STEP_TIMEOUT);
    let data_dir = &reconciler.data_dir;
    match step {
        HookStep::Check | HookStep::UpdateSetup => {}
        HookStep::ApplyRules => {
            ShunApplier::new(config, data_dir)?.apply(soon)?;
        }
        HookStep::Sync => {
            let synced = sync(config, data_dir, soon.at_most(config.deadline))?;
            if let Some(failure) = synced.failure() {
                // Ganeti prints the output of a hook only if the hook fails: then the notes belong to the reason.
                return Err(HookError::Sync { failure, notes: synced.notes });
            }
        }
        HookStep::Shun(node) => {
            let (reason, until) = ("recorded offline in Ganeti", soon.at_most(config.deadline));
            shun_by_hand(config, data_dir, node, reason, ShunScope::Tcp, until)?;
        }
        HookStep::Standby(node) => standby::set(node, reconciler, soon)?,
        HookStep::ClearStandby(node) => standby::end(node, reconciler, soon)?,
        HookStep::Fence(node) => fence(node, reconciler)
            .map_err(|error| HookError::NotFenced { node: node.clone(), error: Box::new(error) })?,
        HookStep::Reconcile => reconcile(reconciler)?,
    }
    Ok(())
}
