//! What `fence_ganeti` keeps back of its time, and what a caller of an OOB program does.

use std::time::Duration;

use crate::core::ganeti::oob::{GANETI_LINGER, GANETI_TIMEOUT};
use crate::core::pacemaker::duration::milliseconds;
use crate::core::pacemaker::resources::Resources;

/// `fence_ganeti`'s time for a whole action, unless its parameter `deadline` says another.
pub const DEADLINE: Duration = Duration::from_secs(55);

/// Beyond its deadline: it is started, it tells Ganeti what it can be told, it ends; and the host may be busy.
pub const OVERHEAD: Duration = Duration::from_secs(5);

/// The most that one look at the power may take: a slow device must leave time to act.
pub const READ_LIMIT: Duration = Duration::from_secs(15);

/// Kept back from a power command, so that its effect can still be read.
const READ_BACK: Duration = Duration::from_secs(5);

/// Kept back from the work for the record and the receipt.
const RECEIPT: Duration = Duration::from_secs(2);

/// How much earlier than its caller a program is to be done: it says why it failed before it is killed.
const EXIT_MARGIN: Duration = Duration::from_millis(500);

/// What is kept back of `left` for the record and the receipt.
#[must_use]
pub fn receipt(left: Duration) -> Duration {
    RECEIPT.min(left / 10)
}

/// What a look may take of `left`.
#[must_use]
pub fn look(left: Duration) -> Duration {
    READ_LIMIT.min(left / 3)
}

/// What is kept back of `left`, so that the effect of a command can still be read.
#[must_use]
pub fn read_back(left: Duration) -> Duration {
    READ_BACK.min(left / 3)
}

/// What an OOB program gets of the time that its caller has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildLimits {
    /// Until SIGTERM.
    pub runs: Duration,
    /// Between SIGTERM and SIGKILL.
    pub linger: Duration,
    /// What it is told that it has.
    pub told: Duration,
}

/// The limits are Ganeti's (60 s, SIGTERM, 5 s, SIGKILL), or what is left, if that is less: the program is gone when that
/// has passed.
#[must_use]
pub fn grant(left: Duration) -> ChildLimits {
    let linger = GANETI_LINGER.min(left / 10);
    let runs = left.saturating_sub(linger).min(GANETI_TIMEOUT);
    ChildLimits { runs, linger, told: runs.saturating_sub(EXIT_MARGIN) }
}

/// The deadline of the `fence_ganeti` devices, and where it is from; of several the shortest.
#[must_use]
pub fn deadline(resources: &Resources) -> (Duration, String) {
    let devices = resources.devices().filter(|device| device.kind == "fence_ganeti");
    let set = devices.filter_map(|device| {
        let ms = milliseconds(device.parameters.get("deadline")?)?;
        Some((Duration::from_millis(ms), format!("deadline of {}", device.id)))
    });
    // The others have the default.
    let default = || (DEADLINE, "its default".to_owned());
    set.min_by_key(|(time, _)| *time).unwrap_or_else(default)
}
