//! Changes the power of a node as one recorded action, then shuns or readmits the node as the configuration has it.

use std::path::Path;

use crate::core::config::Config;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::power::Power;
use crate::core::receipt::Action;
use crate::power::commands::{self, CommandResult, ProvenSwitch};
use crate::service::shun::after_power::{after_off, after_on};
use crate::service::shun::device::open;
use crate::sys::clock::Deadline;
use crate::sys::ganeti::files;
use crate::sys::identity;
use crate::sys::receipt_log::ReceiptLog;
use crate::sys::recorded_action::{ActionResult, RecordedAction};

/// An action whose result is not a success, for the caller's stderr.
#[derive(Debug, thiserror::Error)]
#[error("{node}: power-{action} failed: {why}")]
pub struct ActionError {
    node: NodeName,
    action: Action,
    why: String,
}

/// Runs `work` between an intent and a receipt of `program`. Passes each warning about the receipt log to `warn` at
/// once, as this process may be killed later.
///
/// # Errors
/// [`ActionError`] if the state of the node is not proven, or the proof is not a success for the caller.
pub fn run_recorded(
    config: &Config,
    program: &str,
    action: Action,
    node: &NodeName,
    warn: impl Fn(&str),
    work: impl FnOnce(&mut RecordedAction) -> CommandResult,
) -> Result<(), ActionError> {
    let mut recorded = RecordedAction::begin(ReceiptLog::new(&config.state), program, action, node);
    recorded.take_warnings().iter().for_each(|line| warn(line));
    let CommandResult { finish, error } = work(&mut recorded);
    recorded.finish(finish).iter().for_each(|line| warn(line));
    error.map_or(Ok(()), |why| Err(ActionError { node: node.clone(), action, why }))
}

/// Switches the node on or off and proves the state. Has the other nodes shun a node that a power device has proven
/// off, and readmit one that a power device has switched on.
///
/// An off with a weaker grade than `off` is written to the receipt as it is, and is an error for a caller without a
/// receipt of its own: that caller reads only the exit code and would take the power for off.
pub fn switch(
    config: &Config,
    node: &NodeName,
    want: Power,
    deadline: Deadline,
    recorded: &mut RecordedAction,
) -> CommandResult {
    let ProvenSwitch { finish, is_shun } = match commands::switch(config, node, want, deadline, recorded, open) {
        Ok(switched) => switched,
        Err(ended) => return ended,
    };
    let data_dir = Path::new(files::DATA_DIR);
    match want {
        _ if is_shun => {}
        Power::Off => after_off(config, node, finish.grade, deadline, data_dir, recorded),
        Power::On => after_on(config, node, deadline, data_dir, recorded),
    }
    // A caller with a receipt of its own reads the grade. Ganeti records powered=no at each exit code 0.
    let is_contract = want == Power::Off && identity::request().is_none();
    let error = if is_contract { less_than_off(node, &finish, is_shun) } else { None };
    CommandResult { finish, error }
}

/// Returns the reason why a proven end of `power-off` is not a success in Ganeti's contract (`LUOobCommand.Exec`,
/// `lib/cmdlib/misc.py`). A success means that the power is off, which only the grade `off` proves. `None` if it is a
/// success.
fn less_than_off(node: &NodeName, finish: &ActionResult, is_shun: bool) -> Option<String> {
    let ActionResult { grade, proven_by, .. } = finish;
    if *grade == Grade::Off {
        return None;
    }
    let shunned = if is_shun { "; the other nodes shun it" } else { "" };
    Some(format!(
        "its power was not seen off: it is proven {grade} by {proven_by} ({}){shunned}; when it is certain that it is off: \
         gnt-ha confirm-off {node} --reason TEXT",
        grade.meaning()
    ))
}
