//! The devices of one level together: the host has power while any of them feeds it.

use std::time::{Duration, Instant};

use gnt_ha::core::budget::share;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::power::{Power, together};
use gnt_ha::core::pursuit::{Next, Pursuit, Rules, Unread};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::road::Road;
use serde::Serialize;

use crate::device::{DeviceError, Hope, Named, Reading};

/// Between two readings that are to agree.
const CONFIRM_PAUSE: Duration = Duration::from_millis(200);

/// Between two readings while the power has not changed yet.
const POLL_PAUSE: Duration = Duration::from_millis(500);

/// An off is believed when it was read twice: one reading may fall into the dark moment of somebody's cycle.
const OFF_READINGS: u32 = 2;

/// Why a level failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// In one line.
    pub why: String,
    /// A device of it said that the host has power.
    pub was_on: bool,
}

impl From<DeviceError> for Lost {
    fn from(error: DeviceError) -> Self {
        Self { why: error.why, was_on: false }
    }
}

/// What the devices of a level say together.
#[derive(Debug)]
pub struct Together {
    /// On while any is.
    pub power: Power,
    /// The weakest of their grades; of no meaning for an on.
    pub grade: Grade,
    /// What each of them said.
    pub seen: Vec<Seen>,
}

/// What one device said.
#[derive(Debug, Serialize)]
pub struct Seen {
    /// Its name in the configuration.
    pub device: String,
    /// What it said.
    pub said: String,
}

/// What the devices of a level proved together.
#[derive(Debug)]
pub struct Proven {
    /// No command was sent.
    pub already: bool,
    /// The weakest of their grades.
    pub grade: Grade,
    /// Their names.
    pub devices: Vec<String>,
}

/// Reads every device; an off is read again before it is believed, all of them in the same moment.
///
/// # Errors
/// When one device tells nothing, or an off that is weaker than `least`.
pub fn read_all(devices: &mut [Named], least: Grade, until: Deadline) -> Result<Together, Lost> {
    let first = read_once(devices, least, until)?;
    if first.power == Power::On {
        return Ok(first);
    }
    until.sleep(CONFIRM_PAUSE);
    read_once(devices, least, until)
}

fn read_once(devices: &mut [Named], least: Grade, until: Deadline) -> Result<Together, Lost> {
    let mut all = Together { power: Power::Off, grade: Grade::Off, seen: Vec::new() };
    let mut states = Vec::new();
    let count = devices.len();
    for (index, named) in devices.iter_mut().enumerate() {
        let until = until.at_most(share(until.left(), count - index));
        let reading = named.device.read(until).and_then(|reading| strong_enough(reading, least));
        let reading =
            reading.map_err(|error| Lost { why: in_device(named, &error.why), was_on: states.contains(&Power::On) })?;
        states.push(reading.power);
        all.grade = all.grade.min(reading.grade);
        all.seen.push(Seen { device: named.name.clone(), said: reading.detail });
    }
    all.power = together(states).ok_or_else(|| Lost { why: "the level has no device".to_owned(), was_on: false })?;
    Ok(all)
}

fn strong_enough(reading: Reading, least: Grade) -> Result<Reading, DeviceError> {
    if reading.power == Power::Off && reading.grade < least {
        let Reading { grade, detail, .. } = reading;
        return Err(DeviceError::hopeless(format!("its off is only {grade}, and minimum_grade is {least} ({detail})")));
    }
    Ok(reading)
}

/// Brings every device to `want` and proves it; for an off, all of them in the same moment.
///
/// # Errors
/// Why not, naming the device.
pub fn pursue_all(
    devices: &mut [Named],
    want: Power,
    least: Grade,
    until: Deadline,
    road: &mut Road,
) -> Result<Proven, Lost> {
    let mut already = true;
    loop {
        let mut grade = Grade::Off;
        let count = devices.len();
        for (index, named) in devices.iter_mut().enumerate() {
            let until = until.at_most(share(until.left(), count - index));
            let done = pursue(named, want, least, until, road)?;
            already &= done.already;
            grade = grade.min(done.grade);
        }
        // While the last was pursued, somebody may have switched the first on again.
        if want == Power::On || count == 1 || read_once(devices, least, until)?.power == Power::Off {
            let devices = devices.iter().map(|named| named.name.clone()).collect();
            return Ok(Proven { already, grade, devices });
        }
        road.step("ganeti-oob", "look at all devices together", "one is on again");
        if until.passed() {
            return Err(Lost { why: "the devices were never off in the same moment".to_owned(), was_on: true });
        }
    }
}

/// Switches every device on, as far as it goes: what a failed cycle had switched off must not stay off.
pub fn give_back(devices: &mut [Named], until: Deadline, road: &mut Road) {
    for named in devices {
        let answer = named.device.switch(Power::On, until);
        let saw = answer.map_or_else(|error| error.why, |()| "accepted".to_owned());
        road.step(&named.name, "power on, to undo what was begun", &saw);
    }
}

struct Done {
    already: bool,
    grade: Grade,
}

fn pursue(named: &mut Named, want: Power, least: Grade, until: Deadline, road: &mut Road) -> Result<Done, Lost> {
    let begun = Instant::now();
    let rules = Rules {
        readings: if want == Power::Off { OFF_READINGS } else { 1 },
        confirm_pause: CONFIRM_PAUSE,
        poll_pause: POLL_PAUSE,
        settle: Duration::ZERO,
        limit: until.left(),
        sends: 2,
        patience: Duration::MAX,
    };
    let mut pursuit = Pursuit::new(want, rules);
    let mut grade = Grade::Unknown;
    let mut sent = false;
    let mut was_on = false;
    let mut next = Next::Read(Duration::ZERO);
    loop {
        next = match next {
            Next::Read(pause) => {
                until.sleep(pause);
                if until.passed() {
                    return Err(Lost { why: in_device(named, &pursuit.give_up(begun.elapsed())), was_on });
                }
                // A device whose status hangs must still be told to switch.
                let until = if sent { until } else { until.at_most(until.left() / 3) };
                let reading = named.device.read(until);
                let saw = reading.as_ref().map_or_else(|error| error.why.clone(), |reading| reading.detail.clone());
                road.step(&named.name, "read the power", &saw);
                was_on = reading.as_ref().map_or(was_on, |reading| reading.power == Power::On);
                let reading = reading.and_then(|reading| strong_enough(reading, least));
                grade = reading.as_ref().map_or(Grade::Unknown, |reading| reading.grade);
                let seen = reading.map(|reading| reading.power).map_err(|error| unread(&error, sent));
                pursuit.read(seen, begun.elapsed())
            }
            Next::Send => {
                let answer = named.device.switch(want, until);
                sent = true;
                let saw = answer.as_ref().map_or_else(|error| error.why.clone(), |()| "accepted".to_owned());
                road.step(&named.name, &format!("power {want}"), &saw);
                pursuit.sent(answer.map_err(|error| unread(&error, sent)), begun.elapsed())
            }
            Next::Reached { already } => return Ok(Done { already, grade }),
            Next::Failed(why) => return Err(Lost { why: in_device(named, &why), was_on }),
        };
    }
}

/// Silence before anything was sent stays silence; after a power change a BMC on a shared port may be back in seconds.
fn unread(error: &DeviceError, sent: bool) -> Unread {
    let is_final = match error.hope {
        Hope::Later => false,
        Hope::AfterSilence => !sent,
        Hope::None => true,
    };
    Unread { why: error.why.clone(), is_final }
}

fn in_device(named: &Named, why: &str) -> String {
    format!("{}: {why}", named.name)
}
