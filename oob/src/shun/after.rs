//! Shunning what another device has proven off: so that nobody waits for it, and that it stays out when it returns; and
//! readmitting what somebody has it switch on.

use std::path::Path;
use std::time::Duration;

use gnt_ha::core::config::Config;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::shun::list::ShunScope;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::identity;
use gnt_ha::sys::recorded_action::RecordedAction;

use super::readmit::{Readmitted, readmit};
use super::survivors::{Survivors, can_shun, remembered};

/// The most that it may add to a fencing, which everybody waits for; it is three times what it takes. Whoever has not answered
/// by then was asked, and is told again by `ganeti-oob sync`.
const LIMIT: Duration = Duration::from_millis(500);

/// Has everybody refuse `node`, which is off with this grade; best effort, and only where this host can.
pub fn after_off(
    config: &Config,
    node: &NodeName,
    grade: Grade,
    deadline: Deadline,
    data_dir: &Path,
    road: &mut RecordedAction,
) {
    if !config.shun.after_off || grade < Grade::Bounded || !can_shun(data_dir) {
        return;
    }
    let deadline = deadline.at_most(LIMIT);
    let by = format!("ganeti-oob on {}, receipt {}, proven {grade} by another device", identity::host(), road.id());
    // Only of one whose power was seen off nothing of before can be left in the cluster stack.
    let reach = if grade == Grade::Off { ShunScope::Tcp } else { ShunScope::Everything };
    let told = Survivors::of(node, config, data_dir).and_then(|all| all.shun(grade, reach, &by, deadline));
    let saw = match told {
        Ok(seen) => {
            let by = match &seen.look {
                Ok(look) => format!("refused by {} nodes in epoch {}", look.ruleset_ids.len(), seen.epoch),
                Err(missing) => format!(
                    "refused in epoch {}, but for {}",
                    seen.epoch,
                    missing.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join("; ")
                ),
            };
            by + &seen.until_boot()
        }
        Err(why) => format!("left: {why}"),
    };
    road.step("shun", "have the others refuse it", &saw);
}

/// Has everybody let `node` in again, which another device has switched on for a person or for Ganeti; best effort. Not for
/// a fencing: what it reboots stays out until somebody has it back.
pub fn after_on(config: &Config, node: &NodeName, deadline: Deadline, data_dir: &Path, road: &mut RecordedAction) {
    let is_shunned = || remembered(config, node).ok().flatten().is_some_and(|entry| entry.epoch.is_shunned());
    if identity::request().is_some() || !can_shun(data_dir) || !is_shunned() {
        return;
    }
    let told = Survivors::of(node, config, data_dir).and_then(|all| readmit(&all, None, deadline));
    let saw = match told {
        Ok(Readmitted::AlreadySo) => "it was not shunned".to_owned(),
        Ok(Readmitted::Done(answers)) => {
            format!(
                "readmitted by {} of {} nodes",
                answers.values().filter(|answer| answer.is_ok()).count(),
                answers.len()
            )
        }
        Err(why) => format!("left: {why}"),
    };
    road.step("shun", "have the others readmit it", &saw);
}
