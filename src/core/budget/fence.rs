//! The times that `fence_ganeti` and a caller of an OOB program keep back. Pure.

use std::time::Duration;

use crate::core::ganeti::oob::{GANETI_LINGER, GANETI_TIMEOUT};
use crate::core::pacemaker::duration::milliseconds;
use crate::core::pacemaker::resources::Resources;

/// The time of `fence_ganeti` for a whole action, unless its parameter `deadline` sets another.
pub const DEADLINE: Duration = Duration::from_secs(55);

/// The time of `fence_ganeti` beyond its deadline: it starts, changes Ganeti's record if it can, and ends; and the host
/// may be busy.
pub const OVERHEAD: Duration = Duration::from_secs(5);

/// The longest time of one reading of the power: a slow device must leave time to act.
pub const READ_LIMIT: Duration = Duration::from_secs(15);

/// The time that is kept back from a power command, so that its effect can still be read.
const READ_BACK_TIME: Duration = Duration::from_secs(5);

/// The time that is kept back for the record and the receipt.
const RECEIPT_TIME: Duration = Duration::from_secs(2);

/// How much earlier than its caller a program must be done: it reports why it failed before it is killed.
const EXIT_MARGIN: Duration = Duration::from_millis(500);

/// Returns the part of `left` that is kept back for the record and the receipt.
#[must_use]
pub fn receipt(left: Duration) -> Duration {
    RECEIPT_TIME.min(left / 10)
}

/// Returns the part of `left` that one reading may use.
#[must_use]
pub fn reading(left: Duration) -> Duration {
    READ_LIMIT.min(left / 3)
}

/// Returns the part of `left` that is kept back, so that the effect of a command can still be read.
#[must_use]
pub fn read_back(left: Duration) -> Duration {
    READ_BACK_TIME.min(left / 3)
}

/// The limits of an OOB program, from the time of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildLimits {
    /// The time until the child gets SIGTERM, from its start.
    pub runs: Duration,
    /// The time between SIGTERM and SIGKILL, in which the child may write its receipt.
    pub linger: Duration,
    /// The time that the program is given by its environment.
    pub stated: Duration,
}

/// Returns Ganeti's limits (60 s, SIGTERM, 5 s, SIGKILL), or shorter ones if less than that is left. The program is
/// gone when `left` has passed.
#[must_use]
pub fn grant(left: Duration) -> ChildLimits {
    let linger = GANETI_LINGER.min(left / 10);
    let runs = left.saturating_sub(linger).min(GANETI_TIMEOUT);
    ChildLimits { runs, linger, stated: runs.saturating_sub(EXIT_MARGIN) }
}

/// Returns the deadline of the `fence_ganeti` devices, and its source; of several the shortest.
#[must_use]
pub fn deadline(resources: &Resources) -> (Duration, String) {
    let devices = resources.devices().filter(|device| device.kind == "fence_ganeti");
    let set = devices.filter_map(|device| {
        let ms = milliseconds(device.parameters.get("deadline")?)?;
        Some((Duration::from_millis(ms), format!("deadline of {}", device.id)))
    });
    // The devices without the parameter have the default.
    let default = || (DEADLINE, "its default".to_owned());
    set.min_by_key(|(time, _)| *time).unwrap_or_else(default)
}
