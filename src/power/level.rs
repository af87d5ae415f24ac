//! Reads and switches the devices of one level together: the host has power while any of them feeds it.

use std::time::{Duration, Instant};

use crate::core::budget::redfish::{LONGEST_LAG, POWER_CHANGE_TIME};
use crate::core::budget::share;
use crate::core::grade::Grade;
use crate::core::power::reading::Observation;
use crate::core::power::{Power, combined};
use crate::core::power_change::{PowerChange, PowerChangeStep, ReadFailure, Rules};
use crate::sys::clock::Deadline;
use crate::sys::recorded_action::RecordedAction;
use serde::Serialize;

use crate::power::device::{Acknowledgement, DeviceError, Named, Reading, Retry, observed};
use crate::power::error::PowerError;
use crate::power::reading_memory::Watch;

/// The longest lag for which an off that was read twice counts without a command, in a status. It is that of the driver
/// `ipmi`: a stricter rule let a host with a dead BMC and a slow power strip fail within the time of Pacemaker.
const SHORT_LAG: Duration = Duration::from_secs(1);

/// The number of readings that an off needs: one reading may fall into the off phase of a power cycle that another
/// program does.
const OFF_READINGS: u32 = 2;

/// The readings of all devices of a level, combined.
#[derive(Debug)]
pub struct LevelReading {
    /// On if any device is on.
    pub power: Power,
    /// The weakest grade of the devices; it has no meaning for an on.
    pub grade: Grade,
    /// The reading or failure of each device.
    pub devices: Vec<DeviceReading>,
    /// Whether an off may be an old state: it counts only after a power-off.
    pub may_lag: bool,
}

/// The reading or failure of one device.
#[derive(Debug, Serialize)]
pub struct DeviceReading {
    /// The device's name in the configuration.
    pub device: String,
    /// The reading as text, or the reason of the failure.
    pub text: String,
}

/// The state that the devices of a level have proven together.
#[derive(Debug)]
pub struct LevelProof {
    /// Each reading showed the state, also those before any command.
    pub already: bool,
    /// The weakest grade of the devices.
    pub grade: Grade,
    /// The names of the devices in the configuration, on which the proof rests.
    pub devices: Vec<String>,
    /// What is less certain than usual, each with the device's name.
    pub cautions: Vec<String>,
}

/// Reads every device, also if another one fails. An off is read a second time before it counts, with all devices.
///
/// # Errors
/// The failures, if no device is on and one of them fails or reads an off that is weaker than `least`.
pub fn read_all(
    devices: &mut [Named],
    least: Grade,
    until: Deadline,
    watch: &mut Watch,
) -> Result<LevelReading, PowerError> {
    let first = read_once(devices, least, until, watch)?;
    if first.power == Power::On {
        return Ok(first);
    }
    until.sleep(devices.iter().map(|named| named.device.confirm_pause()).max().unwrap_or_default());
    let second = read_once(devices, least, until, watch)?;
    if second.power == Power::Off && second.grade == Grade::Off && !second.may_lag {
        devices.iter().for_each(|named| watch.prove_off(&named.name));
    }
    Ok(second)
}

/// Reads a device that has reported "on" in this fencing once more after it reported off: an off that is a moment of
/// another program's power cycle must not clear the "on". Where the state may lag, the second reading comes a lag later.
/// Returns `None` if there is no time for it.
pub(super) fn confirm_off(named: &mut Named, until: Deadline) -> Option<Observation> {
    let lags = named.device.lag().filter(|lag| *lag > SHORT_LAG);
    let lags = lags.or_else(|| named.device.must_be_commanded().then_some(LONGEST_LAG));
    let is_unsure = |named: &Named| lags.is_some() && !named.device.cautions().is_empty();
    if is_unsure(named) {
        return None;
    }
    let pause = lags.unwrap_or_default().max(named.device.confirm_pause());
    if until.left() <= pause {
        return None;
    }
    until.sleep(pause);
    let reading = observed(&named.device.read(until));
    (!is_unsure(named) || reading == Observation::On).then_some(reading)
}

fn read_once(
    devices: &mut [Named],
    least: Grade,
    until: Deadline,
    watch: &mut Watch,
) -> Result<LevelReading, PowerError> {
    let mut all = LevelReading { power: Power::Off, grade: Grade::Off, devices: Vec::new(), may_lag: false };
    let mut states = Vec::new();
    let mut failed = Vec::new();
    let count = devices.len();
    for (index, named) in devices.iter_mut().enumerate() {
        let until = until.at_most(share(until.left(), count - index));
        let reading = named.device.read(until);
        watch.add_reading(&named.name, observed(&reading));
        all.may_lag |= named.device.lag() > Some(SHORT_LAG) || named.device.must_be_commanded();
        let text = match reading.and_then(|reading| strong_enough(reading, least)) {
            Ok(reading) => {
                states.push(reading.power);
                all.grade = all.grade.min(reading.grade);
                let cautions = named.device.cautions().iter().map(|caution| format!("; {caution}"));
                reading.detail + &cautions.collect::<String>()
            }
            Err(error) => {
                let text = error.why.clone();
                failed.push(PowerError::Device { device: named.name.clone(), error });
                text
            }
        };
        all.devices.push(DeviceReading { device: named.name.clone(), text });
    }
    match combined(states) {
        // One feed with power is enough for an on, whatever the other devices read.
        Some(Power::On) => all.power = Power::On,
        _ if !failed.is_empty() => return Err(PowerError::All(failed)),
        Some(Power::Off) => {}
        None => return Err(PowerError::NoDevice),
    }
    Ok(all)
}

/// Reads the devices of a failed level that were not asked yet: a device that is on must be able to contradict a later
/// level.
fn read_rest(devices: &mut [Named], until: Deadline, action: &mut RecordedAction, watch: &mut Watch) {
    let count = devices.len();
    for (index, named) in devices.iter_mut().enumerate() {
        let reading = named.device.read(until.at_most(share(until.left(), count - index)));
        watch.add_reading(&named.name, observed(&reading));
        note_reading(action, named, &reading);
    }
}

fn note_reading(action: &mut RecordedAction, named: &Named, reading: &Result<Reading, DeviceError>) {
    let saw = reading.as_ref().map_or_else(|error| error.why.clone(), |reading| reading.detail.clone());
    action.step(&named.name, "read the power", &saw);
}

fn strong_enough(reading: Reading, least: Grade) -> Result<Reading, DeviceError> {
    if reading.power == Power::Off && reading.grade < least {
        let Reading { grade, detail, .. } = reading;
        return Err(DeviceError::permanent(format!(
            "its off is only {grade}, and minimum_grade is {least} ({detail})"
        )));
    }
    Ok(reading)
}

/// Switches every device to `want` and proves the state; an off is proven for all of them at the same time.
///
/// # Errors
/// The failure, with the device's name.
pub fn change_power_all(
    devices: &mut [Named],
    want: Power,
    least: Grade,
    until: Deadline,
    action: &mut RecordedAction,
    watch: &mut Watch,
) -> Result<LevelProof, PowerError> {
    let mut already = true;
    loop {
        let mut grade = Grade::Off;
        let mut cautions = Vec::new();
        let count = devices.len();
        for index in 0..count {
            let Some((named, rest)) = devices.get_mut(index..).and_then(<[Named]>::split_first_mut) else { break };
            // An off that may lag takes its time, whatever else is in the level.
            let lags = want == Power::Off && named.device.lag() > Some(SHORT_LAG);
            let least_time = if lags { POWER_CHANGE_TIME } else { Duration::ZERO };
            let time = share(until.left(), count - index).max(least_time);
            let done = change_power(named, want, least, until.at_most(time), action, watch);
            let done = done.inspect_err(|_| {
                if want == Power::Off {
                    read_rest(rest, until, action, watch);
                }
            })?;
            already &= done.already;
            grade = grade.min(done.grade);
            cautions.extend(done.cautions.iter().map(|caution| format!("{}: {caution}", named.name)));
        }
        // While the last device was switched, another program may have switched the first on again.
        if want == Power::On || count == 1 || read_once(devices, least, until, watch)?.power == Power::Off {
            let devices = devices.iter().map(|named| named.name.clone()).collect();
            return Ok(LevelProof { already, grade, devices, cautions });
        }
        action.step("ganeti-oob", "read all devices together", "one is on again");
        if until.passed() {
            return Err(PowerError::NeverTogether);
        }
    }
}

/// Switches every device on, as far as possible: what a failed power cycle has switched off must not stay off.
pub fn restore_power(devices: &mut [Named], until: Deadline, action: &mut RecordedAction, watch: &mut Watch) {
    for named in devices {
        let answer = named.device.switch(Power::On, until);
        let saw = answer.as_ref().map_or_else(|error| error.why.clone(), acknowledged);
        action.step(&named.name, "power on, to undo what was begun", &saw);
        // The device may have power now, and must be read before the next level's off counts. A BMC of another host got no
        // command, and its power says nothing of this node.
        if !answer.is_err_and(|error| error.is_wrong_bmc()) {
            watch.add_reading(&named.name, Observation::On);
        }
    }
    watch.walk().commanded();
}

fn acknowledged(answer: &Acknowledgement) -> String {
    match answer {
        Acknowledgement::Accepted => "accepted".to_owned(),
        Acknowledgement::Refused(why) => format!("refused: {why}"),
    }
}

struct Done {
    already: bool,
    grade: Grade,
    cautions: Vec<String>,
}

fn change_power(
    named: &mut Named,
    want: Power,
    least: Grade,
    until: Deadline,
    action: &mut RecordedAction,
    watch: &mut Watch,
) -> Result<Done, PowerError> {
    let begun = Instant::now();
    let rules = Rules {
        readings: if want == Power::Off { OFF_READINGS } else { 1 },
        confirm_pause: named.device.confirm_pause(),
        poll_pause: named.device.poll_pause(),
        settle: Duration::ZERO,
        limit: until.left(),
        sends: 2,
        silence_limit: Duration::MAX,
        lag: named.device.lag().filter(|_| want == Power::Off),
        soonest: named.device.soonest_off(),
    };
    let mut change = PowerChange::new(want, rules);
    let mut grade = Grade::Unknown;
    let mut sent = false;
    let mut taken = false;
    // Why the device's own power-off has not proven an off that may be an old state.
    let mut unproven = None;
    let mut next = PowerChangeStep::Read(Duration::ZERO);
    loop {
        next = match next {
            PowerChangeStep::Read(pause) => {
                until.sleep(pause);
                if until.passed() {
                    return Err(not_proven(named, change.give_up(begun.elapsed())));
                }
                // A device whose status hangs must still get the power command.
                let until = if sent { until } else { until.at_most(until.left() / 3) };
                let reading = named.device.read(until);
                note_reading(action, named, &reading);
                watch.add_reading(&named.name, observed(&reading));
                let reading = reading.and_then(|reading| strong_enough(reading, least));
                grade = reading.as_ref().map_or(Grade::Unknown, |reading| reading.grade);
                if want == Power::Off && named.device.must_be_commanded() {
                    change.require_command();
                    if !taken {
                        unproven.get_or_insert_with(|| "none was sent".to_owned());
                    }
                }
                let seen = reading.map(|reading| reading.power).map_err(|error| unread(&error, sent));
                change.read(seen, begun.elapsed())
            }
            PowerChangeStep::Send { already } => {
                let needed = rules.lag.filter(|lag| already && *lag > SHORT_LAG).map(|lag| lag + rules.confirm_pause);
                if let Some(needed) = needed.filter(|needed| !sent && until.left() <= *needed) {
                    let needed = needed.as_secs_f64();
                    return Err(PowerError::ShortTime { device: named.name.clone(), needed });
                }
                watch.walk().commanded();
                let until = match already {
                    // The program behind the device waits for the lag itself.
                    true if named.device.must_be_commanded() => until.earlier(until.left() / 4),
                    true => until.at_most(until.left() / 3),
                    false => until,
                };
                let answer = named.device.switch(want, until);
                sent = true;
                let saw = answer.as_ref().map_or_else(|error| error.why.clone(), acknowledged);
                taken = matches!(answer, Ok(Acknowledgement::Accepted));
                unproven = (!taken).then(|| saw.clone());
                action.step(&named.name, &format!("power {want}"), &saw);
                match answer {
                    Ok(Acknowledgement::Accepted) => change.sent(Ok(()), begun.elapsed()),
                    Ok(Acknowledgement::Refused(why)) => change.refused(why, begun.elapsed()),
                    Err(error) => change.sent(Err(unread(&error, sent)), begun.elapsed()),
                }
            }
            PowerChangeStep::Reached { already, caution } => {
                if let Some(why) = unproven.filter(|_| want == Power::Off && named.device.must_be_commanded()) {
                    let why = format!("its off may be an old state, and no power-off of it proved it: {why}");
                    return Err(not_proven(named, why));
                }
                // Two signs of distress at once: the off may be an old state, and no other part of the BMC shows it.
                let unsure =
                    caution.as_ref().zip(named.device.cautions().first()).filter(|_| rules.lag > Some(SHORT_LAG));
                if let Some((refused, unread)) = unsure {
                    return Err(not_proven(named, format!("its off is not believed: {refused}; {unread}")));
                }
                if want == Power::Off && grade == Grade::Off {
                    watch.prove_off(&named.name);
                }
                let cautions = caution.into_iter().chain(named.device.cautions().iter().cloned()).collect();
                return Ok(Done { already, grade, cautions });
            }
            PowerChangeStep::Failed(why) => return Err(not_proven(named, why)),
        };
    }
}

/// Converts a failed reading. Silence before the first command is final; after a power change a BMC on a shared port
/// may answer again in seconds.
fn unread(error: &DeviceError, sent: bool) -> ReadFailure {
    let is_final = match error.retry {
        Retry::Later => false,
        Retry::AfterPowerChange => !sent,
        Retry::Never => true,
    };
    ReadFailure { why: error.why.clone(), is_final }
}

fn not_proven(named: &Named, why: String) -> PowerError {
    PowerError::Change { device: named.name.clone(), why }
}
