//! Walking a node's levels: all devices of a level must succeed; the next level is tried if one fails.

use gnt_ha::config::{Config, Level};
use gnt_ha::core::budget::share;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::power::Power;
use gnt_ha::sys::clock::Deadline;

use crate::device::{self, Named};
use crate::level::{self, Lost};

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

/// Does `work` with the devices of each level until one succeeds, the time split over those that are left. It is also
/// told which levels before, from 0, had read the host as on and failed.
///
/// # Errors
/// Why each level failed, in one line.
pub fn walk<T>(
    levels: &[Level],
    node: &NodeName,
    config: &Config,
    deadline: Deadline,
    mut work: impl FnMut(&mut [Named], Deadline, &[usize]) -> Result<T, Lost>,
) -> Result<Succeeded<T>, String> {
    let mut failed_before = Vec::new();
    let mut were_on = Vec::new();
    for (index, level) in levels.iter().enumerate() {
        let until = deadline.at_most(share(deadline.left(), levels.len() - index));
        let result = device::open(level, node, config)
            .map_err(Lost::from)
            .and_then(|mut devices| work(&mut devices, until, &were_on));
        match result {
            Ok(value) => return Ok(Succeeded { level: index + 1, value, failed_before }),
            Err(Lost { why, was_on }) => {
                if was_on {
                    were_on.push(index);
                }
                failed_before.push(if levels.len() == 1 { why } else { format!("level {}: {why}", index + 1) });
            }
        }
    }
    Err(failed_before.join("; "))
}

/// Looks again at levels that had read the host as on, after a later one had it off: one that still says on means that
/// the later one switched something else (a wrong outlet). One that says nothing any more has lost its power too.
///
/// # Errors
/// The contradiction, in one line.
pub fn none_is_on(
    levels: &[Level],
    were_on: &[usize],
    node: &NodeName,
    config: &Config,
    deadline: Deadline,
) -> Result<(), Lost> {
    for (done, index) in were_on.iter().enumerate() {
        let until = deadline.at_most(share(deadline.left(), were_on.len() - done));
        let reading = device::open(&levels[*index], node, config)
            .map_err(Lost::from)
            .and_then(|mut devices| level::read_all(&mut devices, config.minimum_grade, until));
        if reading.is_ok_and(|reading| reading.power == Power::On) {
            let why = format!(
                "level {} still says on after this level was off: it switches something else, or another feed is live; \
                 check which outlets feed this host",
                index + 1
            );
            return Err(Lost { why, was_on: true });
        }
    }
    Ok(())
}
