//! The power commands: state first, then the command, then the proof.

use std::time::{Duration, Instant};

use gnt_ha::config::Config;
use gnt_ha::core::budget::share;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::power::{Power, together};
use gnt_ha::core::pursuit::{Next, Pursuit, Rules, Unread};
use gnt_ha::core::receipt::Outcome;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::road::{Finish, Road};
use serde::Serialize;

use crate::device::{DeviceError, Hope, Named};
use crate::levels::walk;

/// Between two readings that are to agree.
const CONFIRM_PAUSE: Duration = Duration::from_millis(200);

/// Between two readings while the power has not changed yet.
const POLL_PAUSE: Duration = Duration::from_millis(500);

/// An off is believed when it was read twice: one reading may fall into the dark moment of somebody's cycle.
const OFF_READINGS: u32 = 2;

/// The answer to `power-status`: what Ganeti wants, and what else is known. Ganeti 3.0.2 ignores the other keys.
#[derive(Debug, Serialize)]
pub struct StatusAnswer {
    /// Whether the host has power.
    pub powered: bool,
    /// How strongly its off is proven; null for a host that is on.
    pub grade: Option<Grade>,
    /// The level that knew, from 1.
    pub level: usize,
    /// What each of its devices said.
    pub seen: Vec<Seen>,
    /// Why the levels before it knew nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
}

/// What one device said.
#[derive(Debug, Serialize)]
pub struct Seen {
    /// Its name in the configuration.
    pub device: String,
    /// What it said.
    pub said: String,
}

/// Reads the power state; changes nothing.
///
/// # Errors
/// Why it is unknown, in one line.
pub fn status(config: &Config, node: &NodeName, deadline: Deadline) -> Result<StatusAnswer, String> {
    let levels = config.levels_of(node).map_err(|error| error.to_string())?;
    let found = walk(&levels, node, config, deadline, |devices, until| {
        let mut seen = Vec::new();
        let mut grade = Grade::Off;
        let mut states = Vec::new();
        for named in devices.iter_mut() {
            let reading = read_believed(named, until).map_err(|error| in_device(named, &error))?;
            states.push(reading.power);
            grade = grade.min(reading.grade);
            seen.push(Seen { device: named.name.clone(), said: reading.detail });
        }
        let power = together(states).ok_or("the level has no device")?;
        Ok((power, grade, seen))
    })?;
    let (power, grade, seen) = found.value;
    Ok(StatusAnswer {
        powered: power.is_on(),
        grade: (power == Power::Off).then_some(grade),
        level: found.level,
        seen,
        failed: found.failed_before,
    })
}

/// An on is what it is; an off is read again before it is believed.
fn read_believed(named: &mut Named, until: Deadline) -> Result<crate::device::Reading, DeviceError> {
    let first = named.device.read(until)?;
    if first.power == Power::On {
        return Ok(first);
    }
    until.sleep(CONFIRM_PAUSE);
    named.device.read(until)
}

/// How a power command ended, for the receipt and for the caller.
pub struct Ended {
    /// For the receipt.
    pub finish: Finish,
    /// The error for stderr, without the node's name; none for success.
    pub error: Option<String>,
}

/// Switches the node on or off and proves it.
pub fn switch(config: &Config, node: &NodeName, want: Power, deadline: Deadline, road: &mut Road) -> Ended {
    let levels = match config.levels_of(node) {
        Ok(levels) => levels,
        Err(error) => return failed(Outcome::Refused, error.to_string()),
    };
    let result = walk(&levels, node, config, deadline, |devices, until| pursue_all(devices, want, until, road));
    match result {
        Ok(done) => proven(want, done.value, done.failed_before),
        Err(why) => failed(Outcome::Unknown, why),
    }
}

/// Off, proven, dark, on, proven: all on the same level. Never the device's own cycle, which says nothing of when it
/// was off and how long.
pub fn cycle(config: &Config, node: &NodeName, deadline: Deadline, road: &mut Road) -> Ended {
    let levels = match config.levels_of(node) {
        Ok(levels) => levels,
        Err(error) => return failed(Outcome::Refused, error.to_string()),
    };
    let result = walk(&levels, node, config, deadline, |devices, until| {
        // The dark time and as much again are kept for the on half.
        let kept = config.dark_time + share(until.left().saturating_sub(config.dark_time), 3);
        let off = pursue_all(devices, Power::Off, until.earlier(kept), road)?;
        road.step("ganeti-oob", "dark time", &format!("{:.1} s", config.dark_time.as_secs_f64()));
        until.sleep(config.dark_time);
        // A level that was proven off and does not come on is not a reason to try the next one's off.
        Ok((off, pursue_all(devices, Power::On, until, road)))
    });
    match result {
        Ok(done) => {
            let (off, on) = done.value;
            let mut ended = proven(Power::Off, off, done.failed_before);
            ended.finish.outcome = Outcome::Done;
            if let Err(why) = on {
                ended.finish.outcome = Outcome::OffOnly;
                ended.finish.reason = Some(format!("power-on failed: {why}"));
                ended.error = Some(format!("is off, proven, and was not switched on again: {why}"));
            }
            ended
        }
        Err(why) => failed(Outcome::Unknown, why),
    }
}

/// What the devices of a level proved together.
struct Proven {
    already: bool,
    grade: Grade,
    devices: Vec<String>,
}

fn pursue_all(devices: &mut [Named], want: Power, until: Deadline, road: &mut Road) -> Result<Proven, String> {
    let mut proven = Proven { already: true, grade: Grade::Off, devices: Vec::new() };
    let count = devices.len();
    for (index, named) in devices.iter_mut().enumerate() {
        let until = until.at_most(share(until.left(), count - index));
        let (already, grade) = pursue(named, want, until, road)?;
        proven.already &= already;
        proven.grade = proven.grade.min(grade);
        proven.devices.push(named.name.clone());
    }
    Ok(proven)
}

fn pursue(named: &mut Named, want: Power, until: Deadline, road: &mut Road) -> Result<(bool, Grade), String> {
    let begun = Instant::now();
    let rules = Rules {
        readings: if want == Power::Off { OFF_READINGS } else { 1 },
        confirm_pause: CONFIRM_PAUSE,
        poll_pause: POLL_PAUSE,
        settle: Duration::ZERO,
        limit: until.left(),
        sends: 2,
        unread: u32::MAX,
    };
    let mut pursuit = Pursuit::new(want, rules);
    let mut grade = Grade::Unknown;
    let mut sent = false;
    let mut next = Next::Read(Duration::ZERO);
    loop {
        next = match next {
            Next::Read(pause) => {
                until.sleep(pause);
                let reading = named.device.read(until);
                let saw = reading.as_ref().map_or_else(|error| error.why.clone(), |reading| reading.detail.clone());
                road.step(&named.name, "read the power", &saw);
                grade = reading.as_ref().map_or(Grade::Unknown, |reading| reading.grade);
                let seen = reading.map(|reading| reading.power).map_err(|error| unread(named, &error, sent));
                pursuit.read(seen, begun.elapsed())
            }
            Next::Send => {
                let answer = named.device.switch(want, until);
                sent = true;
                let saw = answer.as_ref().map_or_else(|error| error.why.clone(), |()| "accepted".to_owned());
                road.step(&named.name, &format!("power {want}"), &saw);
                pursuit.sent(answer.map_err(|error| unread(named, &error, sent)), begun.elapsed())
            }
            Next::Reached { already } => return Ok((already, grade)),
            Next::Failed(why) => return Err(why),
        };
        if until.passed() && matches!(next, Next::Read(_) | Next::Send) {
            return Err(in_device_why(named, &pursuit.give_up(begun.elapsed())));
        }
    }
}

/// Silence before anything was sent stays silence; after a power change a BMC on a shared port may be back in seconds.
fn unread(named: &Named, error: &DeviceError, sent: bool) -> Unread {
    let is_final = match error.hope {
        Hope::Later => false,
        Hope::AfterSilence => !sent,
        Hope::None => true,
    };
    Unread { why: in_device(named, error), is_final }
}

fn in_device(named: &Named, error: &DeviceError) -> String {
    in_device_why(named, &error.why)
}

fn in_device_why(named: &Named, why: &str) -> String {
    format!("{}: {why}", named.name)
}

fn proven(want: Power, proven: Proven, failed_before: Vec<String>) -> Ended {
    Ended {
        finish: Finish {
            outcome: if proven.already { Outcome::AlreadySo } else { Outcome::Done },
            grade: if want == Power::Off { proven.grade } else { Grade::Unknown },
            word_of: proven.devices.join(", "),
            reason: (!failed_before.is_empty()).then(|| failed_before.join("; ")),
            record: None,
        },
        error: None,
    }
}

fn failed(outcome: Outcome, why: String) -> Ended {
    Ended {
        finish: Finish {
            outcome,
            grade: Grade::Unknown,
            word_of: "nobody".to_owned(),
            reason: Some(why.clone()),
            record: None,
        },
        error: Some(why),
    }
}
