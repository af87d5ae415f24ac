//! Walks over a node's levels: all devices of a level must succeed; the next level is tried if one fails. The decision
//! which level counts is in [`crate::core::power::walk`].

use std::time::Duration;

use crate::core::budget::levels::level_share;
use crate::core::budget::share;
use crate::core::config::{Config, Level};
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::power::reading::{Life, Observation};
use crate::core::power::walk::{Task, Walk, WalkResult, WalkStep};
use crate::sys::clock::Deadline;

use crate::power::device::{self, DevicePurpose, Named, OpenShun, observed};
use crate::power::error::PowerError;
use crate::power::level::confirm_off;
use crate::power::reading_memory::Watch;

/// The time for which a device that reads on after an off is asked again: the charge of a power supply keeps a BMC
/// running for a moment.
const SUPPLY_CHARGE_TIME: Duration = Duration::from_secs(2);

/// The result of the work on one level.
pub enum Work<T> {
    /// All devices of the level are off.
    Off {
        /// The weakest of their grades.
        grade: Grade,
        /// The off may be an old state: the next call of this fencing still needs the readings of this one.
        may_lag: bool,
        /// The value that the work returned.
        value: T,
    },
    /// The level is on.
    On {
        /// The level was on before: no command was sent.
        already: bool,
        /// The value that the work returned.
        value: T,
    },
}

/// The level whose result counts.
#[derive(Debug)]
pub struct LevelSuccess<T> {
    /// The level's number, from 1.
    pub level: usize,
    /// The value that its work returned.
    pub value: T,
    /// The failures of other levels.
    pub failed: Vec<PowerError>,
}

/// The levels of one node, for one walk.
pub struct Levels<'a> {
    /// The node's levels, in the order of the configuration.
    pub levels: &'a [Level],
    /// The node to which the levels belong.
    pub node: &'a NodeName,
    /// The configuration of this host.
    pub config: &'a Config,
    /// The deadline for all levels together.
    pub deadline: Deadline,
    /// Opens the driver `shun`.
    pub shun: OpenShun,
}

const fn used(task: Task) -> DevicePurpose {
    match task {
        Task::Read => DevicePurpose::Read,
        Task::Off | Task::On => DevicePurpose::Switch,
    }
}

impl Levels<'_> {
    /// Runs `work` with the devices of each level until one level counts; the time is split over the levels that
    /// are left. Calls `refuted` with the value of a level whose off does not count.
    ///
    /// # Errors
    /// [`PowerError`] with the failures of all levels.
    pub fn walk<T>(
        &self,
        task: Task,
        mut work: impl FnMut(Vec<Named>, Deadline, &mut Watch) -> Result<Work<T>, PowerError>,
        mut refuted: impl FnMut(T, &mut Watch),
    ) -> Result<LevelSuccess<T>, PowerError> {
        let count = self.levels.len();
        let kinds: Vec<_> =
            self.levels.iter().map(|level| level.iter().map(|device| device.named_kind()).collect()).collect();
        let begin = |known: &_| Walk::new(task, &kinds, known);
        let mut watch = Watch::new(self.config, self.node, count, task != Task::Read, begin);
        let mut values: Vec<(usize, T)> = Vec::new();
        let mut failed = Vec::new();
        let mut until = self.deadline;
        let mut is_old = false;
        let of_level = |level: usize, error: PowerError| match count {
            1 => error,
            _ => PowerError::Level { level: level + 1, error: Box::new(error) },
        };
        loop {
            match watch.next() {
                WalkStep::Level(index) => {
                    let Some(level) = self.levels.get(index) else { continue };
                    let levels = self.levels.get(index..).unwrap_or_default();
                    until = self.deadline.at_most(level_share(self.deadline.left(), levels, task));
                    match work(device::open(level, self.node, self.config, used(task), self.shun), until, &mut watch) {
                        Ok(Work::Off { grade, may_lag, value }) => {
                            is_old = may_lag;
                            values.push((index, value));
                            watch.walk().over(Some(grade));
                        }
                        Ok(Work::On { already, value }) => {
                            values.push((index, value));
                            watch.walk().over_on(already);
                        }
                        Err(error) => {
                            let ends = matches!(error, PowerError::ShortTime { .. });
                            failed.push(of_level(index, error));
                            if ends {
                                return Err(PowerError::All(failed));
                            }
                            watch.walk().over(None);
                        }
                    }
                }
                WalkStep::Ask(_, names) => self.ask_again(&names, task, until, &mut watch),
                WalkStep::Doubt(level, doubt) => {
                    if let Some(at) = values.iter().position(|(index, _)| *index == level) {
                        refuted(values.swap_remove(at).1, &mut watch);
                    }
                    failed.push(of_level(level, PowerError::Doubt(doubt)));
                }
                WalkStep::End(WalkResult::Unknown) => return Err(PowerError::All(failed)),
                WalkStep::End(result @ (WalkResult::Off(level, _) | WalkResult::On(level))) => {
                    let Some(at) = values.iter().position(|(index, _)| *index == level) else {
                        return Err(PowerError::All(failed));
                    };
                    // The end of a boot alone leaves the power as it was.
                    let is_off = matches!(result, WalkResult::Off(_, Grade::Off)) && !is_old;
                    if is_off || matches!((task, result), (Task::On, WalkResult::On(_))) {
                        watch.forget();
                    }
                    let (_, value) = values.swap_remove(at);
                    return Ok(LevelSuccess { level: level + 1, value, failed });
                }
            }
        }
    }

    /// Reads devices that have read on again, after a later level was off. An off is read twice before it counts.
    fn ask_again(&self, names: &[String], task: Task, until: Deadline, watch: &mut Watch) {
        for (done, name) in names.iter().enumerate() {
            let until = until.at_most(share(until.left(), names.len() - done));
            let Some(configured) = self.levels.iter().flatten().find(|device| device.name == *name) else { continue };
            let limit = if task == Task::Read { Duration::ZERO } else { SUPPLY_CHARGE_TIME.min(until.left() / 2) };
            let limit = until.at_most(limit);
            for mut named in
                device::open(std::slice::from_ref(configured), self.node, self.config, used(task), self.shun)
            {
                let mut reading = observed(&named.device.read(until));
                while reading == Observation::On && !limit.passed() {
                    until.sleep(named.device.poll_pause());
                    reading = match observed(&named.device.read(until)) {
                        // The reading was cut short by this host's own deadline.
                        Observation::Failed(Life::Unknown) => reading,
                        other => other,
                    };
                }
                watch.add_reading(name, reading);
                if reading == Observation::Off(Grade::Off) {
                    let confirmed = confirm_off(&mut named, self.deadline);
                    if let Some(confirmed) = confirmed {
                        watch.add_reading(name, confirmed);
                    }
                    if confirmed == Some(reading) {
                        watch.prove_off(name);
                    }
                }
            }
        }
    }
}
