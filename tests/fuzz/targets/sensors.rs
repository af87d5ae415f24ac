//! A BMC's replies that `ipmi-rs` takes apart: sensor records and readings, identity, event log.
#![no_main]

use ipmi_lan::ipmi_rs::app::GetDeviceId;
use ipmi_lan::ipmi_rs::app::auth::GetChannelAuthenticationCapabilities;
use ipmi_lan::ipmi_rs::connection::IpmiCommand;
use ipmi_lan::ipmi_rs::sensor_event::{GetSensorReading, ThresholdReading};
use ipmi_lan::ipmi_rs::storage::sdr::GetDeviceSdr;
use ipmi_lan::ipmi_rs::storage::sdr::record::{InstancedSensor, RecordContents};
use ipmi_lan::ipmi_rs::storage::sel::GetSelInfo;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = GetChannelAuthenticationCapabilities::parse_success_response(bytes);
    let _ = GetDeviceId::parse_success_response(bytes);
    let _ = GetSelInfo::parse_success_response(bytes);
    if let Ok(reading) = GetSensorReading::parse_success_response(bytes) {
        let _ = ThresholdReading::from(&reading);
    }
    if let Ok(info) = GetDeviceSdr::parse_success_response(bytes) {
        let _ = info.record.contents.id().map(ToString::to_string);
        match &info.record.contents {
            RecordContents::FullSensor(full) => asked(full),
            RecordContents::CompactSensor(compact) => asked(compact),
            _ => {}
        }
    }
});

/// The request for the sensor that a record describes.
fn asked(sensor: &impl InstancedSensor) {
    let _ = sensor.event_reading_type_codes();
    let _ = GetSensorReading::for_sensor_key(sensor.key_data());
}
