//! The answer to `health`: reads the items of every device of every level, each with its device's name. Changes
//! nothing.

use crate::core::budget::share;
use crate::core::config::Config;
use crate::core::ganeti::oob::{Health, HealthItem};
use crate::core::node::NodeName;
use crate::sys::clock::Deadline;

use crate::power::device::{self, OpenShun, Use};

/// The items that were read, and the failures of the other devices.
#[derive(Debug)]
pub struct HealthAnswer {
    /// The items, for stdout.
    pub items: Vec<HealthItem>,
    /// The failures, for stderr, one line each.
    pub failures: Vec<String>,
}

/// Reads the health from every device. A device that fails becomes one item, `UNKNOWN`.
///
/// # Errors
/// If every device failed, or the configuration is not valid.
pub fn health(config: &Config, node: &NodeName, deadline: Deadline, shun: OpenShun) -> Result<HealthAnswer, String> {
    let levels = config.levels_of(node).map_err(|error| error.to_string())?;
    let devices: Vec<_> = levels.into_iter().flatten().collect();
    let mut answer = HealthAnswer { items: Vec::new(), failures: Vec::new() };
    let mut told = false;
    for (index, configured) in devices.iter().enumerate() {
        let until = deadline.at_most(share(deadline.left(), devices.len() - index));
        let mut opened = device::open(std::slice::from_ref(configured), node, config, Use::Read, shun);
        let result = opened.iter_mut().map(|named| named.device.health(until)).next().transpose();
        match result {
            Ok(items) => {
                told = true;
                let items = items.unwrap_or_default().into_iter();
                answer.items.extend(
                    items.map(|HealthItem(item, health)| HealthItem(format!("{} {item}", configured.name), health)),
                );
            }
            Err(error) => {
                answer.items.push(HealthItem(format!("{} answers", configured.name), Health::Unknown));
                answer.failures.push(format!("{}: {}", configured.name, error.why));
            }
        }
    }
    if told { Ok(answer) } else { Err(answer.failures.join("; ")) }
}
