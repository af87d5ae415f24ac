//! The power commands: reads the state, sends the command, and proves the new state.

use std::cell::RefCell;
use std::path::Path;

use crate::core::budget::share;
use crate::core::config::{Config, Level};
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::power::Power;
use crate::core::power::walk::Task;
use crate::core::receipt::Outcome;
use crate::sys::clock::Deadline;
use crate::sys::ganeti::files;
use crate::sys::recorded_action::{ActionResult, RecordedAction};
use serde::Serialize;

use crate::core::budget::levels::has_shun;
use crate::power::device::OpenShun;
use crate::power::error::{PowerError, joined};
use crate::power::level::{DeviceReading, LevelProof, change_power_all, read_all, restore_power};
use crate::power::owner::refuse_shared;
use crate::power::reading_memory::Watch;
use crate::power::topology::{Levels, Work};

/// The answer to `power-status`: the key that Ganeti needs, and what else is known. Ganeti 3.0.2 ignores the other
/// keys.
#[derive(Debug, Serialize)]
pub struct StatusAnswer {
    /// Whether the host has power.
    pub powered: bool,
    /// The grade of an off; null for a host that is on.
    pub grade: Option<Grade>,
    /// The number of the level whose reading counts, from 1.
    pub level: usize,
    /// The readings of that level's devices.
    pub devices: Vec<DeviceReading>,
    /// Whether the off may be an old state of a BMC that has accepted a power-on: it counts only after a power-off.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub may_lag: bool,
    /// The failures of the levels before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
}

/// Reads the power state; changes nothing.
///
/// # Errors
/// [`PowerError`] if the state is unknown.
pub fn status(
    config: &Config,
    node: &NodeName,
    deadline: Deadline,
    shun: OpenShun,
) -> Result<StatusAnswer, PowerError> {
    let levels = own_levels(config, node, deadline)?;
    let least = config.minimum_grade;
    let all = Levels { levels: &levels, node, config, deadline, shun };
    let found = all.walk(
        Task::Read,
        |mut devices, until, watch| {
            let reading = read_all(&mut devices, least, until, watch)?;
            Ok(match reading.power {
                Power::Off => Work::Off { grade: reading.grade, may_lag: reading.may_lag, value: reading },
                Power::On => Work::On { already: true, value: reading },
            })
        },
        |_, _| (),
    )?;
    Ok(StatusAnswer {
        powered: found.value.power.is_on(),
        grade: (found.value.power == Power::Off).then_some(found.value.grade),
        level: found.level,
        may_lag: found.value.power == Power::Off && found.value.may_lag,
        devices: found.value.devices,
        failed: found.failed.iter().map(ToString::to_string).collect(),
    })
}

/// Returns the levels of a node; fails if one of its machines is also another node's.
fn own_levels(config: &Config, node: &NodeName, deadline: Deadline) -> Result<Vec<Level>, PowerError> {
    let levels = config.levels_of(node)?;
    refuse_shared(config, node, &levels, Path::new(files::DATA_DIR), deadline)?;
    Ok(levels)
}

/// The result of a power command, for the receipt and for the caller.
pub struct CommandResult {
    /// The result for the receipt.
    pub finish: ActionResult,
    /// The error for stderr, without the node's name; `None` for a success.
    pub error: Option<String>,
}

/// A proven state after a power command.
pub struct ProvenSwitch {
    /// The result for the receipt.
    pub finish: ActionResult,
    /// Whether the level that proves the state shuns the node.
    pub is_shun: bool,
}

/// Switches the node on or off and proves the state.
///
/// # Errors
/// The result with the reason why the state is not proven.
pub fn switch(
    config: &Config,
    node: &NodeName,
    want: Power,
    deadline: Deadline,
    action: &mut RecordedAction,
    shun: OpenShun,
) -> Result<ProvenSwitch, CommandResult> {
    let levels = own_levels(config, node, deadline).map_err(|error| failed(Outcome::Refused, error.to_string()))?;
    let least = config.minimum_grade;
    let all = Levels { levels: &levels, node, config, deadline, shun };
    let task = if want == Power::Off { Task::Off } else { Task::On };
    let done = all.walk(
        task,
        |mut devices, until, watch| {
            let done = change_power_all(&mut devices, want, least, until, action, watch)?;
            Ok(match want {
                Power::Off => Work::Off { grade: done.grade, may_lag: false, value: done },
                Power::On => Work::On { already: done.already, value: done },
            })
        },
        |_, _| (),
    );
    let done = done.map_err(|error| failed(Outcome::Unknown, error.to_string()))?;
    let is_shun = levels.get(done.level - 1).is_some_and(has_shun);
    Ok(ProvenSwitch { finish: proven(want, done.value, &done.failed), is_shun })
}

/// Switches off, proves it, waits for the power cycle interval, switches on and proves it; all on the same level. Never
/// uses the device's own cycle, which does not show when the host was off and for how long.
pub fn cycle(
    config: &Config,
    node: &NodeName,
    deadline: Deadline,
    action: &mut RecordedAction,
    shun: OpenShun,
) -> CommandResult {
    let levels = match own_levels(config, node, deadline) {
        Ok(levels) => levels,
        Err(error) => return failed(Outcome::Refused, error.to_string()),
    };
    let least = config.minimum_grade;
    let powers: Vec<Level> = levels.iter().filter(|level| !has_shun(level)).cloned().collect();
    if powers.is_empty() {
        return failed(
            Outcome::Refused,
            "its levels only shun it, which switches no power: run power-off, reboot it by hand, then run power-on"
                .to_owned(),
        );
    }
    // A shunning is not a power cycle interval, and a readmission is not a boot.
    let all = Levels { levels: &powers, node, config, deadline, shun };
    // The work and the function that undoes it share the action.
    let shared = RefCell::new(&mut *action);
    let done = all.walk(
        Task::Off,
        |mut devices, until, watch| {
            let action = &mut shared.borrow_mut();
            // The on half keeps the power cycle interval and a third of the time beyond it.
            let kept = config.power_cycle_interval + share(until.left().saturating_sub(config.power_cycle_interval), 3);
            match change_power_all(&mut devices, Power::Off, least, until.earlier(kept), action, watch) {
                Ok(off) => Ok(Work::Off { grade: off.grade, may_lag: false, value: (off, devices, until) }),
                Err(why) => {
                    restore_power(&mut devices, until, action, watch);
                    Err(why)
                }
            }
        },
        |(_, mut devices, until), watch| restore_power(&mut devices, until, &mut shared.borrow_mut(), watch),
    );
    match done {
        Ok(done) => {
            let (off, mut devices, until) = done.value;
            action.step(
                "ganeti-oob",
                "power cycle interval",
                &format!("{:.1} s", config.power_cycle_interval.as_secs_f64()),
            );
            until.sleep(config.power_cycle_interval);
            // If a level was proven off and does not come on, the next level's off is not tried.
            let mut watch = Watch::none();
            let on = change_power_all(&mut devices, Power::On, least, until, action, &mut watch);
            let mut ended = CommandResult { finish: proven(Power::Off, off, &done.failed), error: None };
            ended.finish.outcome = Outcome::Done;
            match on {
                Ok(_) => {}
                Err(why) => {
                    ended.finish.outcome = Outcome::OffOnly;
                    ended.finish.reason = Some(format!("power-on failed: {why}"));
                    ended.error = Some(format!("was off, proven, and it is unknown whether it is on again: {why}"));
                }
            }
            ended
        }
        Err(error) => failed(Outcome::Unknown, error.to_string()),
    }
}

fn proven(want: Power, proven: LevelProof, failed_before: &[PowerError]) -> ActionResult {
    ActionResult {
        outcome: if proven.already { Outcome::Unchanged } else { Outcome::Done },
        grade: if want == Power::Off { proven.grade } else { Grade::Unknown },
        proven_by: proven.devices.join(", "),
        reason: reason(&proven.cautions, failed_before),
        record: None,
    }
}

/// Returns the notes for the administrator about a success.
fn reason(cautions: &[String], failed_before: &[PowerError]) -> Option<String> {
    let failed = (!failed_before.is_empty()).then(|| joined(failed_before));
    let parts: Vec<String> = cautions.iter().cloned().chain(failed).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn failed(outcome: Outcome, why: String) -> CommandResult {
    CommandResult {
        finish: ActionResult {
            outcome,
            grade: Grade::Unknown,
            proven_by: "nothing".to_owned(),
            reason: Some(why.clone()),
            record: None,
        },
        error: Some(why),
    }
}
