//! Which level of devices is believed: the one place where it is decided that an "off" is the host's. Holds no clock and asks
//! nobody: it says what to do next and is told what came of it.
//!
//! Levels mean what Pacemaker's fencing topology means: all devices of a level must succeed, the next level is tried when one
//! fails. On top of that an off is believed only when no device that has said "on" in the same fencing contradicts it
//! ([`Claim::is_contradicted_by`]): such a device is asked once more, after the off. What it says then decides. Only one that
//! loses its power with its host, and shows no sign of life at all, agrees by its silence.

use std::fmt;

use super::reading::{Claim, Kind, Life, Observed, Sees};
use crate::core::grade::Grade;

/// What is to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Know the power; change nothing.
    Read,
    /// Have it off, proven.
    Off,
    /// Have it on.
    On,
}

/// What an earlier call of the same fencing knew of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Its name in the configuration.
    pub device: String,
    /// It was told off, or its level was given up, and it said on.
    pub given_up: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalkStep {
    /// Work on all devices of that level, from 0: tell each reading and command, then [`Walk::over`].
    Level(usize),
    /// That level, from 0, is off; before it is believed, read these again.
    Ask(usize, Vec<String>),
    /// That level's off is not believed; there may be another level.
    Doubt(usize, Doubt),
    /// That is all.
    End(WalkVerdict),
}

/// How it ended. Levels count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkVerdict {
    /// Off, with the level that proves it.
    Off(usize, Grade),
    /// On, by this level.
    On(usize),
    /// Neither.
    Unknown,
}

/// Why an off is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The level of the device that contradicts, from 0.
    pub level: usize,
    /// Its name.
    pub device: String,
    /// What it says now; none: it could not be asked again.
    pub now: Option<Observed>,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (level, device) = (self.level + 1, &self.device);
        match self.now {
            Some(Observed::On) => write!(
                f,
                "level {level} still says on after this level was off ({device}): it switches something else, or another feed \
                 is live; check which outlets feed this host"
            ),
            now => {
                let shows = match now {
                    Some(Observed::Failed(Life::NoSign)) => "is silent, which has a power supply of its own",
                    Some(Observed::Failed(Life::Alive)) => "is alive and does not tell",
                    Some(Observed::Off(_)) => "tells nothing of the power",
                    _ => "could not be read",
                };
                write!(
                    f,
                    "level {level} said on before, and now {device} {shows}: this level may have switched something else; \
                     repair {device}, or confirm that the host is off"
                )
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Device {
    name: String,
    kind: Kind,
    level: usize,
    /// What it last said of the power was "on".
    on: bool,
    given_up: bool,
    /// Since the last command.
    now: Option<Observed>,
}

#[derive(Clone, Copy, Debug)]
enum At {
    Before(usize),
    In(usize),
    Claims(usize, Claim, Asked),
    End(WalkVerdict),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    NotYet,
    Done,
}

/// One walk over the levels of a node.
#[derive(Clone, Debug)]
pub struct Walk {
    task: Task,
    levels: Vec<Vec<usize>>,
    devices: Vec<Device>,
    at: At,
    /// The level that said on, should none know better.
    on: Option<usize>,
    /// A device of power said on, and no off of it has failed in this fencing.
    is_live: bool,
}

impl Walk {
    /// Over these levels, each with the names and kinds of its devices.
    #[must_use]
    pub fn new(task: Task, levels: &[Vec<(String, Kind)>], remembered: &[Remembered]) -> Self {
        let mut devices: Vec<Device> = Vec::new();
        let mut indices = Vec::new();
        for (level, members) in levels.iter().enumerate() {
            let index_of = |(name, kind): &(String, Kind)| {
                devices.iter().position(|device| device.name == *name).unwrap_or_else(|| {
                    let known = remembered.iter().find(|known| known.device == *name);
                    let given_up = known.is_some_and(|known| known.given_up);
                    let (name, on) = (name.clone(), known.is_some());
                    devices.push(Device { name, kind: *kind, level, on, given_up, now: None });
                    devices.len() - 1
                })
            };
            indices.push(members.iter().map(index_of).collect());
        }
        Self { task, levels: indices, devices, at: At::Before(0), on: None, is_live: false }
    }

    /// What to do next. Call it again when that was done and told.
    #[allow(clippy::should_implement_trait, reason = "it is no iterator: it may say the same again")]
    pub fn next(&mut self) -> WalkStep {
        match self.at {
            At::End(verdict) => WalkStep::End(verdict),
            At::Before(level) if level < self.levels.len() => {
                self.at = At::In(level);
                WalkStep::Level(level)
            }
            At::Before(_) => self.end(self.on.map_or(WalkVerdict::Unknown, WalkVerdict::On)),
            // Nobody told how it ended: it has not succeeded.
            At::In(_) => {
                self.over(None);
                self.next()
            }
            At::Claims(level, claim, Asked::NotYet) => {
                self.at = At::Claims(level, claim, Asked::Done);
                let names: Vec<String> = self
                    .against(level, claim)
                    .filter(|device| device.now.is_none())
                    .map(|device| device.name.clone())
                    .collect();
                if names.is_empty() { self.next() } else { WalkStep::Ask(level, names) }
            }
            At::Claims(level, claim, Asked::Done) => match self.doubt(level, claim) {
                None => self.end(WalkVerdict::Off(level, claim.grade)),
                Some(doubt) => {
                    self.at = At::Before(level + 1);
                    WalkStep::Doubt(level, doubt)
                }
            },
        }
    }

    /// Takes in what a device said.
    pub fn saw(&mut self, device: &str, what: Observed) {
        let Some(device) = self.devices.iter_mut().find(|known| known.name == device) else { return };
        device.now = Some(what);
        match what {
            Observed::On => device.on = true,
            Observed::Off(Grade::Off) => (device.on, device.given_up) = (false, false),
            // Less than that says nothing of the power; neither does a failure.
            Observed::Off(_) | Observed::Failed(_) => {}
        }
    }

    /// A device was told to switch: what was read before is no more what is.
    pub fn commanded(&mut self) {
        self.devices.iter_mut().for_each(|device| device.now = None);
    }

    /// The work on a level is over: with the grade of an off that was proven at all of its devices, or not.
    pub fn over(&mut self, off: Option<Grade>) {
        let At::In(level) = self.at else { return };
        let members = self.levels.get(level).cloned().unwrap_or_default();
        if let Some(grade) = off.filter(|_| self.task != Task::On) {
            let kinds: Vec<Kind> = members.iter().filter_map(|index| Some(self.devices.get(*index)?.kind)).collect();
            // That a boot has ended or has no access is no answer to the question for the power.
            let answers = grade == Grade::Off || self.task == Task::Off || !self.is_live;
            self.at = if answers {
                At::Claims(level, Claim::of(&kinds, grade), Asked::NotYet)
            } else {
                At::Before(level + 1)
            };
            return;
        }
        self.at = At::Before(level + 1);
        let mut runs = false;
        for index in members {
            let Some(device) = self.devices.get_mut(index) else { continue };
            if self.task == Task::Off {
                device.given_up |= device.on;
            } else if device.now == Some(Observed::On) {
                self.on = self.on.or(Some(level));
                self.is_live |= device.kind.sees != Sees::Access && !device.given_up;
                // A live feed, or an access, does not tell that the machine runs; nor does one whose off has failed in this
                // fencing: a later level may have ended the boot.
                runs |= matches!(device.kind.sees, Sees::Machine | Sees::Unknown) && !device.given_up;
            }
        }
        if self.task == Task::Read && runs {
            self.at = At::End(WalkVerdict::On(level));
        }
    }

    /// A level is on, and what its devices see was on `already`. The machine may be off behind a live feed: a later level
    /// that sees it is asked, too.
    pub fn over_on(&mut self, already: bool) {
        if self.task != Task::On {
            return self.over(None);
        }
        let At::In(level) = self.at else { return };
        let sees = |level: usize, sees: &[Sees]| {
            self.levels.get(level).is_some_and(|members| {
                members
                    .iter()
                    .filter_map(|index| self.devices.get(*index))
                    .any(|device| sees.contains(&device.kind.sees))
            })
        };
        let machine = [Sees::Machine];
        let next =
            (level + 1..self.levels.len()).find(|later| sees(*later, &machine) && !sees(*later, &[Sees::Access]));
        self.at = match next {
            Some(later) if already && !sees(level, &[Sees::Machine, Sees::Unknown]) => {
                self.on = Some(level);
                At::Before(later)
            }
            _ => At::End(WalkVerdict::On(level)),
        };
    }

    /// The kind of a device.
    #[must_use]
    pub fn kind(&self, device: &str) -> Option<Kind> {
        self.devices.iter().find(|known| known.name == device).map(|known| known.kind)
    }

    /// What the next call of the same fencing must know.
    #[must_use]
    pub fn to_remember(&self) -> Vec<Remembered> {
        let on = self.devices.iter().filter(|device| device.on && device.kind.sees != Sees::Access);
        on.map(|device| Remembered { device: device.name.clone(), given_up: device.given_up }).collect()
    }

    fn end(&mut self, verdict: WalkVerdict) -> WalkStep {
        self.at = At::End(verdict);
        WalkStep::End(verdict)
    }

    /// The devices of other levels whose "on" would make this off untrue.
    fn against(&self, level: usize, claim: Claim) -> impl Iterator<Item = &Device> {
        let own = self.levels.get(level).cloned().unwrap_or_default();
        let others = self.devices.iter().enumerate().filter(move |(index, _)| !own.contains(index));
        others.map(|(_, device)| device).filter(move |device| device.on && claim.is_contradicted_by(device.kind.sees))
    }

    fn doubt(&self, level: usize, claim: Claim) -> Option<Doubt> {
        let agrees = |device: &&Device| device.kind.shares_power && device.now == Some(Observed::Failed(Life::NoSign));
        let against = self.against(level, claim).find(|device| !agrees(device))?;
        Some(Doubt { level: against.level, device: against.name.clone(), now: against.now })
    }
}
