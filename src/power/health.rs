//! The answer to `health`: reads the items of every device of every level, each with its device's name. Changes
//! nothing.

use crate::core::budget::share;
use crate::core::config::Config;
use crate::core::ganeti::oob::{HealthItem, OobHealth};
use crate::core::node::NodeName;
use crate::sys::clock::Deadline;

use crate::power::device::{self, DevicePurpose, OpenShun};
use crate::power::error::PowerError;

/// The items that were read, and the failures of the other devices.
#[derive(Debug)]
pub struct HealthAnswer {
    /// The items, for stdout.
    pub items: Vec<HealthItem>,
    /// The failures, for stderr, one line each.
    pub failures: Vec<PowerError>,
}

/// Reads the health from every device. A device that fails becomes one item, `UNKNOWN`.
///
/// # Errors
/// [`PowerError`] if every device failed, or the configuration is not valid.
pub fn health(
    config: &Config,
    node: &NodeName,
    deadline: Deadline,
    shun: OpenShun,
) -> Result<HealthAnswer, PowerError> {
    let levels = config.levels_of(node)?;
    let devices: Vec<_> = levels.into_iter().flatten().collect();
    let mut answer = HealthAnswer { items: Vec::new(), failures: Vec::new() };
    let mut is_known = false;
    for (index, configured) in devices.iter().enumerate() {
        let until = deadline.at_most(share(deadline.left(), devices.len() - index));
        let level_of_one = std::slice::from_ref(configured);
        let Some(mut named) = device::open(level_of_one, node, config, DevicePurpose::Read, shun).pop() else {
            continue;
        };
        match named.device.health(until) {
            Ok(items) => {
                is_known = true;
                answer.items.extend(
                    items
                        .into_iter()
                        .map(|HealthItem(item, health)| HealthItem(format!("{} {item}", configured.name), health)),
                );
            }
            Err(error) => {
                answer.items.push(HealthItem(format!("{} answers", configured.name), OobHealth::Unknown));
                answer.failures.push(PowerError::Device { device: configured.name.clone(), error });
            }
        }
    }
    if is_known { Ok(answer) } else { Err(PowerError::All(answer.failures)) }
}
