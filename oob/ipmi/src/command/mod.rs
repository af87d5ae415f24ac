//! The commands of power control and health that `ipmi-rs` does not have, in its form.

mod chassis_control;
mod chassis_status;
mod close_session;
mod self_test;
mod sensor_record;
mod set_privilege;
mod system_guid;

pub use chassis_control::ChassisControl;
pub use chassis_status::{ChassisStatus, GetChassisStatus, LastPowerEvent, PowerRestorePolicy};
pub use close_session::CloseSession;
pub use self_test::{GetSelfTestResults, SelfTest, SelfTestFailures};
pub use sensor_record::{GetSensorRecord, GetSensorRecordPart, ReserveSensorRecords, SensorRecord, ThresholdSensor};
pub use set_privilege::SetSessionPrivilegeLevel;
pub use system_guid::{GetSystemGuid, GuidBytes};

/// Returns a command's name in the specification, for messages.
pub fn name(net_fn: u8, command: u8) -> &'static str {
    match (net_fn & !1, command) {
        (0x00, 0x01) => "Get Chassis Status",
        (0x00, 0x02) => "Chassis Control",
        (0x04, 0x20) => "Get Device SDR Info",
        (0x04, 0x2D) => "Get Sensor Reading",
        (0x06, 0x01) => "Get Device ID",
        (0x06, 0x04) => "Get Self Test Results",
        (0x06, 0x37) => "Get System GUID",
        (0x06, 0x38) => "Get Channel Authentication Capabilities",
        (0x06, 0x3B) => "Set Session Privilege Level",
        (0x06, 0x3C) => "Close Session",
        (0x0A, 0x20) => "Get SDR Repository Info",
        (0x0A, 0x22) => "Reserve SDR Repository",
        (0x0A, 0x23) => "Get SDR",
        (0x0A, 0x40) => "Get SEL Info",
        (0x0A, 0x43) => "Get SEL Entry",
        _ => "an IPMI command",
    }
}

/// Returns the meaning of a completion code (IPMI 2.0 table 5-2).
pub fn completion_text(code: u8) -> &'static str {
    match code {
        0x00 => "completed",
        0xC0 => "node busy",
        0xC1 => "invalid command",
        0xC2 => "invalid command for the logical unit",
        0xC3 => "timeout while processing the command",
        0xC4 => "out of space",
        0xC5 => "reservation cancelled",
        0xC6 => "request data truncated",
        0xC7 => "request data length invalid",
        0xC8 => "request data too long",
        0xC9 => "parameter out of range",
        0xCA => "cannot return the number of bytes asked for",
        0xCB => "requested sensor, data or record not present",
        0xCC => "invalid data field in the request",
        0xCD => "command illegal for the sensor or record",
        0xCE => "response could not be provided",
        0xCF => "duplicated request",
        0xD0 => "SDR repository in update mode",
        0xD1 => "firmware update in progress",
        0xD2 => "BMC initialization in progress",
        0xD3 => "destination unavailable",
        0xD4 => "insufficient privilege level",
        0xD5 => "not possible in the present state",
        0xD6 => "command sub-function disabled",
        0xFF => "unspecified error",
        _ => "a code of the command or vendor",
    }
}

/// Whether the same request may be sent again after this completion code.
pub fn is_retryable(code: u8) -> bool {
    matches!(code, 0xC0 | 0xC3 | 0xC4 | 0xD2)
}
