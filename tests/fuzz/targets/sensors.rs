//! A BMC's replies to the requests of `health`: sensor records and readings, identity, event log.
#![no_main]

use ipmi_lan::command::GetSensorRecord;
use ipmi_lan::ipmi_rs::app::GetDeviceId;
use ipmi_lan::ipmi_rs::app::auth::GetChannelAuthenticationCapabilities;
use ipmi_lan::ipmi_rs::connection::IpmiCommand;
use ipmi_lan::ipmi_rs::sensor_event::{GetSensorReading, ThresholdReading};
use ipmi_lan::ipmi_rs::storage::sel::GetSelInfo;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = GetChannelAuthenticationCapabilities::parse_success_response(bytes);
    let _ = GetDeviceId::parse_success_response(bytes);
    let _ = GetSelInfo::parse_success_response(bytes);
    if let Ok(reading) = GetSensorReading::parse_success_response(bytes) {
        let _ = ThresholdReading::from(&reading);
    }
    if let Ok(record) = GetSensorRecord::parse_success_response(bytes)
        && let Some(sensor) = record.sensor
    {
        assert!(!sensor.name.contains(char::is_control), "a name is part of one line");
        let _ = GetSensorReading::for_sensor_key(&sensor.key);
    }
});
