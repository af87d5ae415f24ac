//! The answer to `health`: what every device of every level knows, each item with its device's name.

use gnt_ha::core::budget::share;
use gnt_ha::core::config::Config;
use gnt_ha::core::ganeti::oob::{Health, HealthItem};
use gnt_ha::core::node::NodeName;
use gnt_ha::sys::clock::Deadline;

use crate::device::{self, Use};

/// What was learnt, and why some of it was not.
#[derive(Debug)]
pub struct HealthAnswer {
    /// For stdout.
    pub items: Vec<HealthItem>,
    /// For stderr, a line each.
    pub failures: Vec<String>,
}

/// Asks every device. One that tells nothing is one item, `UNKNOWN`.
///
/// # Errors
/// When none told anything, or the configuration is wrong.
pub fn health(config: &Config, node: &NodeName, deadline: Deadline) -> Result<HealthAnswer, String> {
    let levels = config.levels_of(node).map_err(|error| error.to_string())?;
    let devices: Vec<_> = levels.into_iter().flatten().collect();
    let mut answer = HealthAnswer { items: Vec::new(), failures: Vec::new() };
    let mut told = false;
    for (index, configured) in devices.iter().enumerate() {
        let until = deadline.at_most(share(deadline.left(), devices.len() - index));
        let mut opened = device::open(std::slice::from_ref(configured), node, config, Use::Read);
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
