//! Shuns a node that another device has proven off, so that no node waits for it and it stays out when it returns.
//! Readmits a node that another device has switched on.

use std::path::Path;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::shun::list::ShunScope;
use crate::sys::clock::Deadline;
use crate::sys::identity;
use crate::sys::recorded_action::RecordedAction;

use super::coordinator::{ShunCoordinator, can_shun, remembered};
use super::readmit::{ReadmissionResult, readmit};

/// The most that the shunning may add to a fencing, for which the cluster waits: three times what it takes. A node that
/// has not answered by then was asked, and gets the entry again by the next sync.
const SHUN_TIMEOUT: Duration = Duration::from_millis(500);

/// Has every other node shun `node`, which was proven off with this grade. Best effort, only if the configuration says
/// so, this host can shun, and the grade is at least `bounded`.
pub fn after_off(
    config: &Config,
    node: &NodeName,
    grade: Grade,
    deadline: Deadline,
    data_dir: &Path,
    action: &mut RecordedAction,
) {
    if !config.shun.after_off || grade < Grade::Bounded || !can_shun(data_dir) {
        return;
    }
    let deadline = deadline.at_most(SHUN_TIMEOUT);
    let by = format!("ganeti-oob on {}, receipt {}, proven {grade} by another device", identity::host(), action.id());
    // If the power was read as off, no earlier boot can be left in the cluster stack; otherwise one can.
    let scope = if grade == Grade::Off { ShunScope::Tcp } else { ShunScope::All };
    let shunned = ShunCoordinator::of(node, config, data_dir).and_then(|all| all.shun(grade, scope, &by, deadline));
    let response = match shunned {
        Ok(seen) => {
            let by = match &seen.round {
                Ok(round) => format!("shunned by {} nodes in epoch {}", round.ruleset_ids.len(), seen.epoch),
                Err(missing) => format!(
                    "shunned in epoch {}, but for {}",
                    seen.epoch,
                    missing.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join("; ")
                ),
            };
            by + &seen.until_boot()
        }
        Err(why) => format!("not shunned: {why}"),
    };
    action.step("shun", "shun it on all other nodes", &response);
}

/// Has every other node readmit `node`, which another device has switched on for an administrator or for Ganeti. Best
/// effort. Does nothing in a fencing: a node that a fencing reboots stays shunned until it is readmitted.
pub fn after_on(config: &Config, node: &NodeName, deadline: Deadline, data_dir: &Path, action: &mut RecordedAction) {
    let is_shunned = || remembered(config, node).ok().flatten().is_some_and(|entry| entry.epoch.is_shunned());
    if identity::request().is_some() || !can_shun(data_dir) || !is_shunned() {
        return;
    }
    let readmitted = ShunCoordinator::of(node, config, data_dir).and_then(|all| readmit(&all, None, deadline));
    let response = match readmitted {
        Ok(ReadmissionResult::Unchanged) => "it was not shunned".to_owned(),
        Ok(ReadmissionResult::Done(answers)) => {
            format!(
                "readmitted by {} of {} nodes",
                answers.values().filter(|answer| answer.is_ok()).count(),
                answers.len()
            )
        }
        Err(why) => format!("not readmitted: {why}"),
    };
    action.step("shun", "readmit it on all other nodes", &response);
}
