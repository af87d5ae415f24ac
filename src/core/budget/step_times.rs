//! When each step after a death is to be expected, counted from the death. Pure.

use std::time::Duration;

use super::detection::Detection;
use super::levels::{SilentLevels, allotted, grade};
use super::{fence, pacemaker, seconds};
use crate::core::config::{Config, Level};
use crate::core::grade::Grade;
use crate::core::pacemaker::duration::milliseconds;
use crate::core::pacemaker::resources::Resources;

/// The timeout of an operation without one, in milliseconds (`default-action-timeout`).
const DEFAULT_OPERATION_TIMEOUT_MS: u64 = 20_000;

/// The times after the death of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepTimes {
    /// When and how the death is seen; `None` if that is unknown, and all times count from then.
    pub seen: Option<Detection>,
    /// How long the fencing is delayed.
    pub delay: Duration,
    /// What delays the fencing, as text; empty without a delay.
    pub put_off: String,
    /// The deadline of `fence_ganeti`.
    pub deadline: Duration,
    /// When each level is done at the latest, from the start of `fence_ganeti`, and the grade of its off.
    pub levels: Vec<(Duration, Grade)>,
}

impl StepTimes {
    /// Returns the times of a host with these levels, by Pacemaker's configuration. `is_precious`: after two nodes have
    /// lost each other, this one is to win.
    #[must_use]
    pub fn of(
        seen: Option<Detection>,
        resources: &Resources,
        levels: Option<(&[Level], &Config)>,
        is_precious: bool,
        is_armed: bool,
    ) -> Self {
        let deadline = fence::deadline(resources);
        let device = resources.devices().find(|device| device.kind == "fence_ganeti");
        let delay = pacemaker::delay(device, resources, is_precious);
        let ms: i64 = delay.iter().map(|term| term.ms).sum();
        let put_off = delay.iter().map(|term| format!("{} {}", term.what, seconds(term.ms))).collect::<Vec<_>>();
        let of_level = |(index, level, levels, config): (usize, &Level, &[Level], &Config)| {
            let allotted = allotted(levels, index, config.deadline, &deadline, SilentLevels::All);
            (allotted.begins + allotted.gets, grade(level, is_armed))
        };
        let levels = levels.map_or_else(Vec::new, |(levels, config)| {
            levels.iter().enumerate().map(|(index, level)| of_level((index, level, levels, config))).collect()
        });
        Self {
            seen,
            delay: Duration::from_millis(u64::try_from(ms).unwrap_or_default()),
            put_off: put_off.join(", "),
            deadline: deadline.0,
            levels,
        }
    }

    /// Returns when the fencing usually begins.
    #[must_use]
    pub fn begins(&self) -> Duration {
        self.seen.as_ref().map_or(Duration::ZERO, |seen| seen.after) + self.delay
    }

    /// Returns when the fencing begins at the latest.
    #[must_use]
    pub fn begun(&self) -> Duration {
        self.seen.as_ref().map_or(Duration::ZERO, |seen| seen.latest) + self.delay
    }

    /// Returns when the node is proven off at the latest, if it is.
    #[must_use]
    pub fn latest_proof(&self) -> Duration {
        self.begun() + self.deadline
    }

    /// Returns the same, counted from the request of the fencing; it may end a little after its deadline.
    #[must_use]
    pub fn fenced_within(&self) -> Duration {
        self.delay + self.deadline + fence::OVERHEAD
    }
}

/// Returns the timeout of an operation of a resource.
#[must_use]
pub fn operation(resource: &str, action: &str, resources: &Resources) -> Duration {
    let id = resource.split(':').next().unwrap_or(resource);
    let primitive = resources.primitives.iter().find(|primitive| primitive.id == id);
    let timeout = primitive.and_then(|primitive| milliseconds(primitive.operation(action)?.settings.get("timeout")?));
    Duration::from_millis(timeout.unwrap_or(DEFAULT_OPERATION_TIMEOUT_MS))
}

/// Returns the shortest interval of a resource's monitors; `None` without a recurring monitor.
#[must_use]
pub fn interval(resource: &str, resources: &Resources) -> Option<Duration> {
    let primitive = resources.primitives.iter().find(|primitive| primitive.id == resource)?;
    let monitors = primitive.operations.iter().filter(|operation| operation.name == "monitor");
    let intervals = monitors.filter_map(|monitor| milliseconds(monitor.settings.get("interval")?));
    intervals.filter(|interval| *interval > 0).min().map(Duration::from_millis)
}
