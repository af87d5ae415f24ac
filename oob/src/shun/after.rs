//! Shunning what another device has proven off: so that nobody waits for it, and that it stays out when it returns.

use std::path::Path;
use std::time::Duration;

use gnt_ha::config::Config;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::shun::register::Reach;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::road::Road;

use super::survivors::{Survivors, can_shun};

/// The most that it may add to a fencing: whoever is not reached by then is told by `ganeti-oob tend`.
const LIMIT: Duration = Duration::from_secs(1);

/// Has everybody refuse `node`, which is off with this grade; best effort, and only where this host can.
pub fn after_off(config: &Config, node: &NodeName, grade: Grade, deadline: Deadline, data_dir: &Path, road: &mut Road) {
    if !config.shun.after_off || grade < Grade::Bounded || !can_shun(data_dir) {
        return;
    }
    let deadline = deadline.at_most(LIMIT);
    let by = format!("ganeti-oob on {}, proven {grade} by another device", gnt_ha::sys::identity::host());
    let told = Survivors::of(node, config, data_dir).and_then(|all| all.shun(grade, Reach::Tcp, &by, deadline));
    let saw = match told {
        Ok(seen) => match &seen.look {
            Ok(look) => format!("refused by {} nodes in epoch {}", look.seals.len(), seen.epoch),
            Err(missing) => format!(
                "refused in epoch {}, but for {}",
                seen.epoch,
                missing.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join("; ")
            ),
        },
        Err(why) => format!("left: {why}"),
    };
    road.step("shun", "have the others refuse it", &saw);
}
