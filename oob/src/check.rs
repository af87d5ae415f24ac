//! `ganeti-oob check`: reads the configuration, logs in, reads the state; changes nothing.

use std::path::Path;

use gnt_ha::config::{Config, Device, Driver};
use gnt_ha::core::budget::share;
use gnt_ha::core::node::NodeName;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::ganeti::files;

use crate::device;
use crate::shun::survivors::Survivors;

/// One device of one node.
#[derive(Debug)]
pub struct Checked {
    /// The node.
    pub node: NodeName,
    /// The level, from 1.
    pub level: usize,
    /// The device.
    pub device: String,
    /// What it said, or why it said nothing.
    pub result: Result<String, String>,
}

fn read(device: &Device, node: &NodeName, config: &Config, until: Deadline) -> Result<String, String> {
    device::open(std::slice::from_ref(device), node, config)
        .and_then(|mut opened| opened.iter_mut().map(|named| named.device.read(until)).next().transpose())
        .map(|reading| reading.map_or_else(String::new, |reading| reading.detail))
        .map_err(|error| error.why)
}

/// Asks every device of every level, of `node` or of every node that the configuration names.
///
/// # Errors
/// When the configuration names no node, or is wrong for one.
pub fn check(config: &Config, node: Option<&NodeName>) -> Result<Vec<Checked>, String> {
    let nodes = node.map_or_else(|| config.named_nodes(), |node| vec![node.clone()]);
    if nodes.is_empty() {
        return Err(format!(
            "{} names no node by its name: give one, as in ganeti-oob check NODE",
            config.path.display()
        ));
    }
    let mut checked = Vec::new();
    for node in nodes {
        let levels = config.levels_of(&node).map_err(|error| error.to_string())?;
        let deadline = Deadline::after(config.deadline);
        let count: usize = levels.iter().map(Vec::len).sum();
        for (index, level) in levels.iter().enumerate() {
            for configured in level {
                let until = deadline.at_most(share(deadline.left(), count));
                let result = if matches!(configured.driver, Driver::Shun) {
                    // What it would read is only whether the node is shunned.
                    Survivors::of(&node, config, Path::new(files::DATA_DIR)).and_then(|all| all.rehearse(until))
                } else {
                    read(configured, &node, config, until)
                };
                checked.push(Checked { node: node.clone(), level: index + 1, device: configured.name.clone(), result });
            }
        }
    }
    Ok(checked)
}
