//! Decides which level of devices counts: the only place that decides that an "off" is that of the host. It has no
//! clock and asks no device: it returns the next step, and its caller reports the result.
//!
//! Levels are those of Pacemaker's fencing topology: all devices of a level must succeed, and the next level is tried
//! when one fails. Beyond that, an "off" counts only if no device contradicts it that has reported "on" in the same
//! fencing ([`Claim::is_contradicted_by`]). Such a device is read again after the "off", and only its own proven "off" agrees.
//! Only a device that loses its power with its host agrees by not answering at all.

use std::fmt;

use super::reading::{Claim, Life, Observation, PowerDeviceKind, ReadingSubject};
use crate::core::grade::Grade;

/// The aim of a walk over the levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Read the power; change nothing.
    Read,
    /// Switch off, with proof.
    Off,
    /// Switch on, as read back.
    On,
}

/// A device that reported "on" in an earlier call of the same fencing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RememberedDevice {
    /// The device's name in the configuration.
    pub device: String,
    /// Whether it was requested to switch off, or its level was given up, and it still reported "on".
    pub given_up: bool,
}

/// The next step of a walk, which the caller carries out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalkStep {
    /// Work on all devices of that level, counted from 0. Report each reading and command, then call [`Walk::over`].
    Level(usize),
    /// That level, counted from 0, is off. Before that counts, read these devices again.
    Ask(usize, Vec<String>),
    /// The "off" of that level does not count; another level may follow.
    Doubt(usize, Doubt),
    /// The walk has ended, with this result.
    End(WalkResult),
}

/// The result of a walk. Levels count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkResult {
    /// The host is off, with the level that proves it and the grade.
    Off(usize, Grade),
    /// The host is on, by this level.
    On(usize),
    /// The state of the host is unknown.
    Unknown,
}

/// The reason why an "off" does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The level of the device that contradicts, counted from 0.
    pub level: usize,
    /// The name of the device that contradicts.
    pub device: String,
    /// Its reading after the "off"; `None` if it could not be read again.
    pub now: Option<Observation>,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (level, device) = (self.level + 1, &self.device);
        match self.now {
            Some(Observation::On) => write!(
                f,
                "level {level} still reads on after this level was off ({device}): it switches something else, or another feed \
                 is live; check which outlets feed this host"
            ),
            now => {
                let shows = match now {
                    Some(Observation::Failed(Life::NoSign)) => {
                        "does not answer, although it has a power supply of its own"
                    }
                    Some(Observation::Failed(Life::Alive)) => "answers, and does not report the power",
                    Some(Observation::Off(Grade::Off)) => "reports an off that no second reading has confirmed",
                    Some(Observation::Off(_)) => "does not report the power",
                    _ => "could not be read",
                };
                write!(
                    f,
                    "level {level} reported on before, and now {device} {shows}: this level may have switched something else; \
                     repair {device}, or confirm that the host is off"
                )
            }
        }
    }
}

#[derive(Clone, Debug)]
struct LevelDevice {
    name: String,
    kind: PowerDeviceKind,
    level: usize,
    /// Whether the device has reported "on", and was not proven off since ([`Walk::prove_off`]).
    on: bool,
    given_up: bool,
    /// The reading since the last command; `None` if there was none.
    now: Option<Observation>,
}

#[derive(Clone, Copy, Debug)]
enum Position {
    Before(usize),
    In(usize),
    Claims(usize, Claim, ClaimStage),
    End(WalkResult),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClaimStage {
    NotYet,
    Done,
}

/// One walk over the levels of a node.
#[derive(Clone, Debug)]
pub struct Walk {
    task: Task,
    levels: Vec<Vec<usize>>,
    devices: Vec<LevelDevice>,
    at: Position,
    /// The first level that reported "on", which is the result if no other level has a better one.
    on: Option<usize>,
    /// Whether a device that reads the power has reported "on", and none of its attempts to switch off has failed in
    /// this fencing.
    is_live: bool,
}

impl Walk {
    /// Returns a walk over these levels, each with the names and kinds of its devices. `remembered` is from an earlier
    /// call of the same fencing.
    #[must_use]
    pub fn new(task: Task, levels: &[Vec<(String, PowerDeviceKind)>], remembered: &[RememberedDevice]) -> Self {
        let mut devices: Vec<LevelDevice> = Vec::new();
        let mut indices = Vec::new();
        for (level, members) in levels.iter().enumerate() {
            let index_of = |(name, kind): &(String, PowerDeviceKind)| {
                devices.iter().position(|device| device.name == *name).unwrap_or_else(|| {
                    let known = remembered.iter().find(|known| known.device == *name);
                    let given_up = known.is_some_and(|known| known.given_up);
                    let (name, on) = (name.clone(), known.is_some());
                    devices.push(LevelDevice { name, kind: *kind, level, on, given_up, now: None });
                    devices.len() - 1
                })
            };
            indices.push(members.iter().map(index_of).collect());
        }
        Self { task, levels: indices, devices, at: Position::Before(0), on: None, is_live: false }
    }

    /// Returns the next step. Call it again when that step was done and its results were reported.
    #[allow(clippy::should_implement_trait, reason = "it is not an iterator: it may return the same again")]
    pub fn next(&mut self) -> WalkStep {
        match self.at {
            Position::End(result) => WalkStep::End(result),
            Position::Before(level) if level < self.levels.len() => {
                self.at = Position::In(level);
                WalkStep::Level(level)
            }
            Position::Before(_) => self.end(self.on.map_or(WalkResult::Unknown, WalkResult::On)),
            // The caller did not report the end of the level, so the level has not succeeded.
            Position::In(_) => {
                self.over(None);
                self.next()
            }
            Position::Claims(level, claim, ClaimStage::NotYet) => {
                self.at = Position::Claims(level, claim, ClaimStage::Done);
                let names: Vec<String> = self
                    .against(level, claim)
                    .filter(|device| matches!(device.now, None | Some(Observation::Off(Grade::Off))))
                    .map(|device| device.name.clone())
                    .collect();
                if names.is_empty() { self.next() } else { WalkStep::Ask(level, names) }
            }
            Position::Claims(level, claim, ClaimStage::Done) => match self.doubt(level, claim) {
                None => self.end(WalkResult::Off(level, claim.grade)),
                Some(doubt) => {
                    self.at = Position::Before(level + 1);
                    WalkStep::Doubt(level, doubt)
                }
            },
        }
    }

    /// Records the reading of a device.
    pub fn add_reading(&mut self, device: &str, what: Observation) {
        let Some(device) = self.devices.iter_mut().find(|known| known.name == device) else { return };
        device.now = Some(what);
        match what {
            Observation::On => device.on = true,
            // One "off" may be the off phase of another program's power cycle. A weaker grade proves nothing about the
            // power, and neither does a failure.
            Observation::Off(_) | Observation::Failed(_) => {}
        }
    }

    /// Records that the "off" of a device is proven, with the grade `off`, and not only read: its earlier "on" is over.
    pub fn prove_off(&mut self, device: &str) {
        let Some(device) = self.devices.iter_mut().find(|known| known.name == device) else { return };
        (device.on, device.given_up) = (false, false);
    }

    /// Records that a device was requested to switch: earlier readings of all devices are out of date.
    pub fn commanded(&mut self) {
        self.devices.iter_mut().for_each(|device| device.now = None);
    }

    /// Ends the work on a level: `off` is the grade, if "off" was proven at all of its devices.
    pub fn over(&mut self, off: Option<Grade>) {
        let Position::In(level) = self.at else { return };
        let members = self.levels.get(level).cloned().unwrap_or_default();
        if let Some(grade) = off.filter(|_| self.task != Task::On) {
            let kinds: Vec<PowerDeviceKind> =
                members.iter().filter_map(|index| Some(self.devices.get(*index)?.kind)).collect();
            // The end of a boot, or of its access, does not answer the question for the power.
            let answers = grade == Grade::Off || self.task == Task::Off || !self.is_live;
            self.at = if answers {
                Position::Claims(level, Claim::of(&kinds, grade), ClaimStage::NotYet)
            } else {
                Position::Before(level + 1)
            };
            return;
        }
        self.at = Position::Before(level + 1);
        let mut runs = false;
        for index in members {
            let Some(device) = self.devices.get_mut(index) else { continue };
            if self.task == Task::Off {
                device.given_up |= device.on;
            } else if device.now == Some(Observation::On) {
                self.on = self.on.or(Some(level));
                self.is_live |= device.kind.sees != ReadingSubject::Access && !device.given_up;
                // A live feed, or an access, does not prove that the machine runs. Neither does a device that has
                // failed to switch off in this fencing: a later level may have ended the boot.
                runs |=
                    matches!(device.kind.sees, ReadingSubject::Machine | ReadingSubject::Unknown) && !device.given_up;
            }
        }
        if self.task == Task::Read && runs {
            self.at = Position::End(WalkResult::On(level));
        }
    }

    /// Ends the work on a level that is on. `already` is true if it was on before any command. The machine may be off
    /// behind a live feed: then a later level that reads the machine is asked, too.
    pub fn over_on(&mut self, already: bool) {
        if self.task != Task::On {
            return self.over(None);
        }
        let Position::In(level) = self.at else { return };
        let sees = |level: usize, sees: &[ReadingSubject]| {
            self.levels.get(level).is_some_and(|members| {
                members
                    .iter()
                    .filter_map(|index| self.devices.get(*index))
                    .any(|device| sees.contains(&device.kind.sees))
            })
        };
        let machine = [ReadingSubject::Machine];
        let next = (level + 1..self.levels.len())
            .find(|later| sees(*later, &machine) && !sees(*later, &[ReadingSubject::Access]));
        self.at = match next {
            Some(later) if already && !sees(level, &[ReadingSubject::Machine, ReadingSubject::Unknown]) => {
                self.on = Some(level);
                Position::Before(later)
            }
            _ => Position::End(WalkResult::On(level)),
        };
    }

    /// Returns the kind of a device; `None` if the device is unknown.
    #[must_use]
    pub fn kind(&self, device: &str) -> Option<PowerDeviceKind> {
        self.devices.iter().find(|known| known.name == device).map(|known| known.kind)
    }

    /// Returns what the next call of the same fencing needs.
    #[must_use]
    pub fn to_remember(&self) -> Vec<RememberedDevice> {
        let on = self.devices.iter().filter(|device| device.on && device.kind.sees != ReadingSubject::Access);
        on.map(|device| RememberedDevice { device: device.name.clone(), given_up: device.given_up }).collect()
    }

    fn end(&mut self, result: WalkResult) -> WalkStep {
        self.at = Position::End(result);
        WalkStep::End(result)
    }

    /// Returns the devices of other levels whose "on" contradicts this "off".
    fn against(&self, level: usize, claim: Claim) -> impl Iterator<Item = &LevelDevice> {
        let own = self.levels.get(level).cloned().unwrap_or_default();
        let others = self.devices.iter().enumerate().filter(move |(index, _)| !own.contains(index));
        others.map(|(_, device)| device).filter(move |device| device.on && claim.is_contradicted_by(device.kind.sees))
    }

    fn doubt(&self, level: usize, claim: Claim) -> Option<Doubt> {
        let agrees =
            |device: &&LevelDevice| device.kind.shares_power && device.now == Some(Observation::Failed(Life::NoSign));
        let against = self.against(level, claim).find(|device| !agrees(device))?;
        Some(Doubt { level: against.level, device: against.name.clone(), now: against.now })
    }
}

#[cfg(test)]
mod tests;
