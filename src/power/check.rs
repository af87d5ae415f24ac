//! Reads the configuration, logs in to the devices and reads their state. Changes nothing.

use std::time::Duration;

use crate::core::budget::share;
use crate::core::config::{Config, Device};
use crate::core::node::NodeName;
use crate::core::survey::DeviceAnswer;
use crate::sys::clock::Deadline;

use crate::power::device::{self, Named, OpenShun, Reading, Rehearsed, Use};

/// The result for one device of one node.
#[derive(Debug)]
pub struct Checked {
    /// The node's name.
    pub node: NodeName,
    /// The number of the level, from 1.
    pub level: usize,
    /// The device's name in the configuration.
    pub device: String,
    /// What an off of the device would prove, or the reason why it would prove nothing.
    pub result: Result<Rehearsed, String>,
    /// A stricter configuration that the device would also work with.
    pub advice: Option<&'static str>,
}

impl Checked {
    /// Returns the device and its answer as text, in the form `bmc: on`.
    #[must_use]
    pub fn answer(&self) -> String {
        let answer = self.result.as_ref().map_or_else(|why| why, |rehearsed| &rehearsed.text);
        format!("{}: {answer}", self.device)
    }
}

type Read = Result<(Reading, Option<&'static str>), String>;

fn open(device: &Device, node: &NodeName, config: &Config, shun: OpenShun) -> Result<Named, String> {
    let mut opened = device::open(std::slice::from_ref(device), node, config, Use::Read, shun);
    opened.pop().ok_or_else(|| "there is no such device".to_owned())
}

fn read(device: &Device, node: &NodeName, config: &Config, until: Deadline, shun: OpenShun) -> Read {
    let mut named = open(device, node, config, shun)?;
    let reading = named.device.read(until).map_err(|error| error.why)?;
    Ok((reading, named.device.advice()))
}

/// Reads every device of every level of `node`. The driver `shun` reports only whether the node is shunned; what a
/// shunning could prove is in the survey, for all nodes in one request.
///
/// # Errors
/// If the configuration of the node's levels is not valid.
pub fn devices(
    config: &Config,
    node: &NodeName,
    deadline: Deadline,
    shun: OpenShun,
) -> Result<Vec<DeviceAnswer>, String> {
    let levels = config.levels_of(node).map_err(|error| error.to_string())?;
    let mut left: usize = levels.iter().map(Vec::len).sum();
    let mut asked = Vec::new();
    for (index, level) in levels.iter().enumerate() {
        for configured in level {
            let reading = read(configured, node, config, deadline.at_most(share(deadline.left(), left)), shun);
            left = left.saturating_sub(1);
            let power = reading.as_ref().ok().map(|(reading, _)| reading.power);
            let advice = reading.as_ref().ok().and_then(|(_, advice)| advice.map(str::to_owned));
            let text = reading.map_or_else(|why| why, |(reading, _)| reading.detail);
            asked.push(DeviceAnswer { level: index + 1, device: configured.name.clone(), power, text, advice });
        }
    }
    Ok(asked)
}

/// Reads every device of every level, of `node` or of every node that the configuration names, for at most `limit` for
/// each node. The driver `shun` asks all other nodes what a shunning would prove.
///
/// # Errors
/// If the configuration names no node, or is not valid for a node.
pub fn check(
    config: &Config,
    node: Option<&NodeName>,
    limit: Duration,
    shun: OpenShun,
) -> Result<Vec<Checked>, String> {
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
        let deadline = Deadline::after(limit);
        let count: usize = levels.iter().map(Vec::len).sum();
        for (index, level) in levels.iter().enumerate() {
            for configured in level {
                let until = deadline.at_most(share(deadline.left(), count));
                let mut advice = None;
                let result = open(configured, &node, config, shun).and_then(|mut named| {
                    let proof = named.device.rehearse(until).map_err(|error| error.why)?;
                    advice = named.device.advice();
                    Ok(proof)
                });
                let (node, device) = (node.clone(), configured.name.clone());
                checked.push(Checked { node, level: index + 1, device, result, advice });
            }
        }
    }
    Ok(checked)
}
