//! The devices of one level together: the host has power while any of them feeds it.

use std::time::{Duration, Instant};

use gnt_ha::core::budget::share;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::power::reading::Observed;
use gnt_ha::core::power::{Power, combined};
use gnt_ha::core::power_change::{PowerChange, PowerChangeStep, ReadFailure, Rules};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::recorded_action::RecordedAction;
use serde::Serialize;

use crate::device::{DeviceError, Hope, Named, Reading, observed};
use crate::seen::Watch;

/// Between two readings that are to agree.
const CONFIRM_PAUSE: Duration = Duration::from_millis(200);

/// Between two readings while the power has not changed yet.
const POLL_PAUSE: Duration = Duration::from_millis(500);

/// An off is believed when it was read twice: one reading may fall into the dark moment of somebody's cycle.
const OFF_READINGS: u32 = 2;

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

/// Reads every device, also when one of them tells nothing; an off is read again before it is believed, all of them in the
/// same moment.
///
/// # Errors
/// Why not, when none is on and one tells nothing, or an off that is weaker than `least`.
pub fn read_all(devices: &mut [Named], least: Grade, until: Deadline, watch: &mut Watch) -> Result<Together, String> {
    let first = read_once(devices, least, until, watch)?;
    if first.power == Power::On {
        return Ok(first);
    }
    until.sleep(CONFIRM_PAUSE);
    read_once(devices, least, until, watch)
}

fn read_once(devices: &mut [Named], least: Grade, until: Deadline, watch: &mut Watch) -> Result<Together, String> {
    let mut all = Together { power: Power::Off, grade: Grade::Off, seen: Vec::new() };
    let mut states = Vec::new();
    let mut failed = Vec::new();
    let count = devices.len();
    for (index, named) in devices.iter_mut().enumerate() {
        let until = until.at_most(share(until.left(), count - index));
        let reading = named.device.read(until);
        watch.saw(&named.name, observed(&reading));
        let said = match reading.and_then(|reading| strong_enough(reading, least)) {
            Ok(reading) => {
                states.push(reading.power);
                all.grade = all.grade.min(reading.grade);
                reading.detail
            }
            Err(error) => {
                failed.push(in_device(named, &error.why));
                error.why
            }
        };
        all.seen.push(Seen { device: named.name.clone(), said });
    }
    match combined(states) {
        // One live feed is enough for an on, whatever the others would say.
        Some(Power::On) => all.power = Power::On,
        _ if !failed.is_empty() => return Err(failed.join("; ")),
        Some(Power::Off) => {}
        None => return Err("the level has no device".to_owned()),
    }
    Ok(all)
}

/// Reads the devices of a level that has failed and were not asked yet: one that is on must be able to contradict what a
/// later level says.
fn read_rest(devices: &mut [Named], until: Deadline, road: &mut RecordedAction, watch: &mut Watch) {
    let count = devices.len();
    for (index, named) in devices.iter_mut().enumerate() {
        let reading = named.device.read(until.at_most(share(until.left(), count - index)));
        watch.saw(&named.name, observed(&reading));
        note_reading(road, named, &reading);
    }
}

fn note_reading(road: &mut RecordedAction, named: &Named, reading: &Result<Reading, DeviceError>) {
    let saw = reading.as_ref().map_or_else(|error| error.why.clone(), |reading| reading.detail.clone());
    road.step(&named.name, "read the power", &saw);
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
    road: &mut RecordedAction,
    watch: &mut Watch,
) -> Result<Proven, String> {
    let mut already = true;
    loop {
        let mut grade = Grade::Off;
        let count = devices.len();
        for index in 0..count {
            let Some((named, rest)) = devices.get_mut(index..).and_then(<[Named]>::split_first_mut) else { break };
            let done = pursue(named, want, least, until.at_most(share(until.left(), count - index)), road, watch);
            let done = done.inspect_err(|_| {
                if want == Power::Off {
                    read_rest(rest, until, road, watch);
                }
            })?;
            already &= done.already;
            grade = grade.min(done.grade);
        }
        // While the last was pursued, somebody may have switched the first on again.
        if want == Power::On || count == 1 || read_once(devices, least, until, watch)?.power == Power::Off {
            let devices = devices.iter().map(|named| named.name.clone()).collect();
            return Ok(Proven { already, grade, devices });
        }
        road.step("ganeti-oob", "look at all devices together", "one is on again");
        if until.passed() {
            return Err("the devices were never off in the same moment".to_owned());
        }
    }
}

/// Switches every device on, as far as it goes: what a failed cycle had switched off must not stay off.
pub fn give_back(devices: &mut [Named], until: Deadline, road: &mut RecordedAction, watch: &mut Watch) {
    for named in devices {
        let answer = named.device.switch(Power::On, until);
        let saw = answer.map_or_else(|error| error.why, |()| "accepted".to_owned());
        road.step(&named.name, "power on, to undo what was begun", &saw);
        // It has power now, for all that is known, and is to be read before the next level's off is believed.
        watch.saw(&named.name, Observed::On);
    }
    watch.walk().commanded();
}

struct Done {
    already: bool,
    grade: Grade,
}

fn pursue(
    named: &mut Named,
    want: Power,
    least: Grade,
    until: Deadline,
    road: &mut RecordedAction,
    watch: &mut Watch,
) -> Result<Done, String> {
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
    let mut pursuit = PowerChange::new(want, rules);
    let mut grade = Grade::Unknown;
    let mut sent = false;
    let mut next = PowerChangeStep::Read(Duration::ZERO);
    loop {
        next = match next {
            PowerChangeStep::Read(pause) => {
                until.sleep(pause);
                if until.passed() {
                    return Err(in_device(named, &pursuit.give_up(begun.elapsed())));
                }
                // A device whose status hangs must still be told to switch.
                let until = if sent { until } else { until.at_most(until.left() / 3) };
                let reading = named.device.read(until);
                note_reading(road, named, &reading);
                watch.saw(&named.name, observed(&reading));
                let reading = reading.and_then(|reading| strong_enough(reading, least));
                grade = reading.as_ref().map_or(Grade::Unknown, |reading| reading.grade);
                let seen = reading.map(|reading| reading.power).map_err(|error| unread(&error, sent));
                pursuit.read(seen, begun.elapsed())
            }
            PowerChangeStep::Send => {
                watch.walk().commanded();
                let answer = named.device.switch(want, until);
                sent = true;
                let saw = answer.as_ref().map_or_else(|error| error.why.clone(), |()| "accepted".to_owned());
                road.step(&named.name, &format!("power {want}"), &saw);
                pursuit.sent(answer.map_err(|error| unread(&error, sent)), begun.elapsed())
            }
            PowerChangeStep::Reached { already } => return Ok(Done { already, grade }),
            PowerChangeStep::Failed(why) => return Err(in_device(named, &why)),
        };
    }
}

/// Silence before anything was sent stays silence; after a power change a BMC on a shared port may be back in seconds.
fn unread(error: &DeviceError, sent: bool) -> ReadFailure {
    let is_final = match error.hope {
        Hope::Later => false,
        Hope::AfterSilence => !sent,
        Hope::None => true,
    };
    ReadFailure { why: error.why.clone(), is_final }
}

fn in_device(named: &Named, why: &str) -> String {
    format!("{}: {why}", named.name)
}
