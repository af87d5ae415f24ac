//! Handles an event of Ganeti's: checks a change before it is made, and carries out the steps after it.

use std::path::Path;

use super::error::HookError;
use super::input::collect;
use super::instance::{check_promise, check_start};
use super::steps::{PrintingStep, StepsDone, do_all};
use crate::core::hook::{Hook, HookEvent, HookPlan, plan};
use crate::core::node::NodeName;
use crate::core::recovery::guard::LockedInstance;
use crate::service::reconciler::run::Reconciler;

/// Handles the event that `variable` describes, by the names of Ganeti's variables. The steps that take long are left to
/// the caller.
///
/// # Errors
/// [`HookError`] if the change must not be made, or if the input of the plan cannot be read after a change.
pub fn handle<E: From<HookError>>(
    variable: impl Fn(&str) -> Option<String>,
    reconciler: &Reconciler,
    config_path: &Path,
    printing: impl Fn(PrintingStep) -> Result<bool, E>,
) -> Result<StepsDone<E>, HookError> {
    let Some(event) = HookEvent::read(&variable) else { return Ok(StepsDone::nothing()) };
    if matches!(event.hook, Hook::Instance | Hook::InstanceModify) {
        if let Some(locked) = LockedInstance::read(&variable).filter(|_| event.is_pre) {
            let master = variable("GANETI_MASTER").and_then(|name| NodeName::new(&name).ok());
            check_start(&locked, master, reconciler)?;
        }
        if event.hook == Hook::Instance {
            check_promise(&event, &reconciler.data_dir, config_path)?;
        }
        return Ok(StepsDone::nothing());
    }
    let collected = collect(&event, reconciler, config_path);
    let Some(state) = (match collected {
        // Input that is unknown is not a reason to stop Ganeti's job.
        Err(_) if event.is_pre => return Ok(StepsDone::nothing()),
        collected => collected?,
    }) else {
        return Ok(StepsDone::nothing());
    };
    let HookPlan { now, later, remarks } = plan(&event, &state)?;
    let mut done = do_all(&now, reconciler, config_path, printing)?;
    done.failed.extend(remarks.into_iter().map(|remark| E::from(HookError::Remark(remark))));
    Ok(StepsDone { later, ..done })
}
