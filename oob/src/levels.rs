//! Walking a node's levels: all devices of a level must succeed; the next level is tried if one fails.

use gnt_ha::config::{Config, Level};
use gnt_ha::core::budget::share;
use gnt_ha::core::node::NodeName;
use gnt_ha::sys::clock::Deadline;

use crate::device::{self, DeviceError, Named};

/// A level that succeeded.
#[derive(Debug)]
pub struct Succeeded<T> {
    /// Its number, from 1.
    pub level: usize,
    /// What its work gave.
    pub value: T,
    /// Why the levels before it failed, a line each.
    pub failed_before: Vec<String>,
}

/// Does `work` with the devices of each level until one succeeds, the time split over those that are left.
///
/// # Errors
/// Why each level failed, in one line.
pub fn walk<T>(
    levels: &[Level],
    node: &NodeName,
    config: &Config,
    deadline: Deadline,
    mut work: impl FnMut(&mut [Named], Deadline) -> Result<T, String>,
) -> Result<Succeeded<T>, String> {
    let mut failed_before = Vec::new();
    for (index, level) in levels.iter().enumerate() {
        let until = deadline.at_most(share(deadline.left(), levels.len() - index));
        let result = device::open(level, node, config)
            .map_err(|DeviceError { why, .. }| why)
            .and_then(|mut devices| work(&mut devices, until));
        match result {
            Ok(value) => return Ok(Succeeded { level: index + 1, value, failed_before }),
            Err(why) if levels.len() == 1 => failed_before.push(why),
            Err(why) => failed_before.push(format!("level {}: {why}", index + 1)),
        }
    }
    Err(failed_before.join("; "))
}
