//! Reads a BMC's threshold sensors for `health`: as many as the deadline allows; the rest is `UNKNOWN`.

use crate::core::ganeti::oob::{HealthItem, OobHealth};
use crate::sys::clock::Deadline;
use ipmi_lan::command::{GetSensorRecord, GetSensorRecordPart, ReserveSensorRecords, SensorRecord};
use ipmi_lan::ipmi_rs::sensor_event::{GetSensorReading, ThresholdReading, ThresholdStatus};
use ipmi_lan::ipmi_rs::storage::sdr::RecordId;
use ipmi_lan::{Error, Session};

/// More records than any real BMC has. The records are a linked list, and a broken BMC may link it in a circle.
const MOST_RECORDS: usize = 1024;

/// The completion code of a BMC that does not return a record whole.
const TOO_LONG: u8 = 0xCA;

/// The length of a record's header in bytes (section 43.1).
const HEADER: u8 = 5;

/// The number of bytes that are read at a time where a record is read in parts.
const PART: u8 = 16;

/// Reads every threshold sensor. Grading needs no conversion of units: the BMC compares with its thresholds itself
/// (Get Sensor Reading, IPMI 2.0 section 35.14).
pub(super) fn read(session: &mut Session, deadline: Deadline) -> Vec<HealthItem> {
    let mut items = Vec::new();
    let mut next = RecordId::FIRST;
    let mut in_parts = false;
    for _ in 0..MOST_RECORDS {
        if next.is_last() {
            return items;
        }
        if deadline.passed() {
            break;
        }
        let record = match record(session, next, &mut in_parts) {
            Ok(record) => record,
            // CBh for the first record: the BMC describes no sensor.
            Err(Error::Completion { code: 0xCB, .. }) if next.is_first() => return items,
            Err(_) => break,
        };
        if record.next == next {
            break;
        }
        next = record.next;
        if let Some(sensor) = record.sensor {
            let health = match session.run(GetSensorReading::for_sensor_key(&sensor.key)) {
                Ok(reading) => grade(&ThresholdReading::from(&reading)),
                // CBh: the part with the sensor is absent (an empty slot).
                Err(Error::Completion { code: 0xCB, .. }) => continue,
                Err(_) => OobHealth::Unknown,
            };
            let name = if sensor.name.is_empty() { "without a name" } else { &sensor.name };
            items.push(HealthItem(format!("sensor {name}"), health));
        }
    }
    items.push(HealthItem("sensors not read".to_owned(), OobHealth::Unknown));
    items
}

/// Reads one record: whole, or in parts once the BMC has not returned one whole.
fn record(session: &mut Session, id: RecordId, in_parts: &mut bool) -> Result<SensorRecord, Error> {
    if !*in_parts {
        match session.run(GetSensorRecord(id)) {
            Err(Error::Completion { code: TOO_LONG, .. }) => *in_parts = true,
            result => return result,
        }
    }
    let reservation = session.run(ReserveSensorRecords)?;
    let part = |session: &mut Session, offset, count| {
        session.run(GetSensorRecordPart { reservation, record: id, offset, count })
    };
    let (next, mut bytes) = part(session, 0, HEADER)?;
    // The last byte of the header counts those behind it (section 43.1).
    let whole = usize::from(HEADER) + bytes.get(4).copied().map_or(0, usize::from);
    while let Ok(offset) = u8::try_from(bytes.len())
        && bytes.len() < whole
    {
        let count = u8::try_from(whole - bytes.len()).unwrap_or(PART).min(PART);
        let (_, more) = part(session, offset, count)?;
        if more.is_empty() {
            break;
        }
        bytes.extend(more);
    }
    Ok(SensorRecord::from_parts(next, &bytes))
}

/// Returns the health of a reading. A sensor that is switched off or not available (usual while the host is off) is
/// `UNKNOWN`.
fn grade(reading: &ThresholdReading) -> OobHealth {
    let Some(status) = reading.threshold_status.filter(|_| !reading.scanning_disabled) else {
        return OobHealth::Unknown;
    };
    let ThresholdStatus {
        at_or_above_non_recoverable,
        at_or_above_upper_critical,
        at_or_above_upper_non_critical,
        at_or_below_lower_non_recoverable,
        at_or_below_lower_critical,
        at_or_below_lower_non_critical,
    } = status;
    if at_or_above_non_recoverable
        || at_or_above_upper_critical
        || at_or_below_lower_non_recoverable
        || at_or_below_lower_critical
    {
        return OobHealth::Critical;
    }
    if at_or_above_upper_non_critical || at_or_below_lower_non_critical { OobHealth::Warning } else { OobHealth::Ok }
}
