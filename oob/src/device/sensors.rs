//! A BMC's threshold sensors, for `health`: as many as the deadline allows, the rest is `UNKNOWN`.

use gnt_ha::core::oob::{Health, HealthItem};
use gnt_ha::sys::clock::Deadline;
use ipmi_lan::ipmi_rs::sensor_event::{GetSensorReading, ThresholdReading, ThresholdStatus};
use ipmi_lan::ipmi_rs::storage::sdr::event_reading_type_code::EventReadingTypeCodes;
use ipmi_lan::ipmi_rs::storage::sdr::record::{InstancedSensor, RecordContents, SensorKey};
use ipmi_lan::ipmi_rs::storage::sdr::{GetDeviceSdr, RecordId};
use ipmi_lan::{Error, Session};

/// More records than any real BMC has: the list is linked, and a broken BMC may link it in a circle.
const MOST_RECORDS: usize = 1024;

/// Reads every threshold sensor. Grading needs no conversion of units: the BMC compares with its thresholds itself
/// (Get Sensor Reading, IPMI 2.0 section 35.14).
pub(super) fn read(session: &mut Session, deadline: Deadline) -> Vec<HealthItem> {
    let mut items = Vec::new();
    let mut next = RecordId::FIRST;
    for _ in 0..MOST_RECORDS {
        if next.is_last() {
            return items;
        }
        if deadline.passed() {
            break;
        }
        let info = match session.run(GetDeviceSdr::new(None, next)) {
            Ok(info) => info,
            // CBh for the first record: the BMC describes no sensor.
            Err(Error::Completion { code: 0xCB, .. }) if next.is_first() => return items,
            Err(_) => break,
        };
        if info.next_entry == next {
            break;
        }
        next = info.next_entry;
        let contents = &info.record.contents;
        let sensor = match contents {
            RecordContents::FullSensor(full) => threshold_key(full),
            RecordContents::CompactSensor(compact) => threshold_key(compact),
            _ => None,
        };
        if let Some(key) = sensor {
            let name = contents.id().map_or_else(|| "without a name".to_owned(), ToString::to_string);
            let health = match session.run(GetSensorReading::for_sensor_key(key)) {
                Ok(reading) => grade(&ThresholdReading::from(&reading)),
                // CBh: the sensor's part is not there (an empty slot).
                Err(Error::Completion { code: 0xCB, .. }) => continue,
                Err(_) => Health::Unknown,
            };
            items.push(HealthItem(format!("sensor {name}"), health));
        }
    }
    items.push(HealthItem("sensors not read".to_owned(), Health::Unknown));
    items
}

fn threshold_key(sensor: &impl InstancedSensor) -> Option<&SensorKey> {
    let is_threshold = *sensor.event_reading_type_codes() == EventReadingTypeCodes::Threshold;
    is_threshold.then(|| sensor.key_data())
}

/// A sensor that is switched off or not available (usual while the host is off) is not known.
fn grade(reading: &ThresholdReading) -> Health {
    let Some(status) = reading.threshold_status.filter(|_| !reading.scanning_disabled) else { return Health::Unknown };
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
        return Health::Critical;
    }
    if at_or_above_upper_non_critical || at_or_below_lower_non_critical { Health::Warning } else { Health::Ok }
}
