//! Reads the configuration, logs in to the devices and reads their state. Changes nothing.

use std::time::{Duration, Instant};

use crate::core::budget::levels::slow_level;
use crate::core::budget::share;
use crate::core::config::Config;
use crate::core::node::NodeName;
use crate::core::survey::DeviceAnswer;
use crate::sys::clock::Deadline;

use crate::power::device::{self, DeviceError, DevicePurpose, IdentityAnswer, OffPrediction, OpenShun};
use crate::power::error::PowerError;

/// The result for one device of one node.
#[derive(Debug)]
pub struct DeviceCheck {
    /// The name of the node that uses the device.
    pub node: NodeName,
    /// The number of the level, from 1.
    pub level: usize,
    /// The device's name in the configuration.
    pub device: String,
    /// What an off of the device would prove, or the reason why it would prove nothing.
    pub result: Result<OffPrediction, DeviceError>,
    /// A stricter configuration that the device would also work with.
    pub advice: Option<&'static str>,
    /// The time that its reading took.
    pub took: Duration,
}

impl DeviceCheck {
    /// Returns the device and its answer as text, in the form `bmc: on`.
    #[must_use]
    pub fn answer(&self) -> String {
        let answer = self.result.as_ref().map_or_else(|error| &error.why, |rehearsed| &rehearsed.text);
        format!("{}: {answer}", self.device)
    }
}

/// Reads every device of every level of `node`, and its identity if `with_identity`. The driver `shun` reports only whether the node is shunned; what a
/// shunning could prove is in the survey, for all nodes in one request.
///
/// # Errors
/// [`PowerError::Config`] if the configuration of the node's levels is not valid.
pub fn devices(
    config: &Config,
    node: &NodeName,
    deadline: Deadline,
    shun: OpenShun,
    with_identity: bool,
) -> Result<Vec<DeviceAnswer>, PowerError> {
    let levels = config.levels_of(node)?;
    let mut left: usize = levels.iter().map(Vec::len).sum();
    let mut asked = Vec::new();
    for (index, level) in levels.iter().enumerate() {
        for configured in level {
            let mut named = device::open_one(configured, node, config, DevicePurpose::Read, shun);
            let reading = named.device.check(deadline.at_most(share(deadline.left(), left)));
            left = left.saturating_sub(1);
            let power = reading.as_ref().ok().map(|reading| reading.power);
            let advice = power.and_then(|_| named.device.advice().map(str::to_owned));
            let answer = power.filter(|_| with_identity).and_then(|_| named.device.identity(deadline).ok());
            let is_identity_unanswered = answer == Some(IdentityAnswer::NotAnswered);
            let identity = match answer {
                Some(IdentityAnswer::Reported(identity)) => Some(identity),
                Some(IdentityAnswer::NotCompared | IdentityAnswer::NotAnswered) | None => None,
            };
            let text = reading.map_or_else(|error| error.why, |reading| reading.detail);
            let (level, device) = (index + 1, configured.name.clone());
            asked.push(DeviceAnswer { level, device, power, text, advice, identity, is_identity_unanswered });
        }
    }
    Ok(asked)
}

/// Returns a line for each level of a node whose devices were all read, and are too slow for the time of a fencing.
#[must_use]
pub fn slow_levels(config: &Config, checked: &[DeviceCheck]) -> Vec<String> {
    let mut lines = Vec::new();
    for of_level in checked.chunk_by(|one, other| one.node == other.node && one.level == other.level) {
        let Some(DeviceCheck { node, level, .. }) = of_level.first() else { continue };
        let Ok(levels) = config.levels_of(node) else { continue };
        if of_level.iter().any(|device| device.result.is_err()) {
            continue;
        }
        let readings: Vec<Duration> = of_level.iter().map(|device| device.took).collect();
        if let Some(why) = slow_level(&levels, level - 1, config.deadline, &readings) {
            lines.push(format!("{node}  level {level}  {why}"));
        }
    }
    lines
}

/// Reads every device of every level, of `node` or of every node that the configuration names, for at most `limit` for
/// each node. The driver `shun` asks all other nodes what a shunning would prove.
///
/// # Errors
/// [`PowerError`] if the configuration names no node, or is not valid for a node.
pub fn check(
    config: &Config,
    node: Option<&NodeName>,
    limit: Duration,
    shun: OpenShun,
) -> Result<Vec<DeviceCheck>, PowerError> {
    let nodes = node.map_or_else(|| config.named_nodes(), |node| vec![node.clone()]);
    if nodes.is_empty() {
        return Err(PowerError::NoNode(config.path.clone()));
    }
    let mut checked = Vec::new();
    for node in nodes {
        let levels = config.levels_of(&node)?;
        let deadline = Deadline::after(limit);
        let count: usize = levels.iter().map(Vec::len).sum();
        for (index, level) in levels.iter().enumerate() {
            for configured in level {
                let until = deadline.at_most(share(deadline.left(), count));
                let level_of_one = std::slice::from_ref(configured);
                let Some(mut named) = device::open(level_of_one, &node, config, DevicePurpose::Read, shun).pop() else {
                    continue;
                };
                let begun = Instant::now();
                let result = named.device.rehearse(until);
                let took = begun.elapsed();
                let advice = result.as_ref().ok().and_then(|_| named.device.advice());
                let (node, device) = (node.clone(), configured.name.clone());
                checked.push(DeviceCheck { node, level: index + 1, device, result, advice, took });
            }
        }
    }
    Ok(checked)
}
