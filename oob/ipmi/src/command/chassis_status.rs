//! Get Chassis Status (IPMI 2.0 section 28.2).

use ipmi_rs::connection::{IpmiCommand, Message, NetFn, NotEnoughData};

/// The Get Chassis Status command: asks for power state and faults. Needs user level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetChassisStatus;

/// Power state and faults at the moment of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChassisStatus {
    /// Whether system power is on.
    pub power_on: bool,
    /// The host was shut down because of a power overload.
    pub power_overload: bool,
    /// Interlock: a panel switch keeps power off.
    pub interlock: bool,
    /// A fault in the main power subsystem.
    pub power_fault: bool,
    /// A control command to turn power on or off did not take effect.
    pub power_control_fault: bool,
    /// The chassis' behaviour when mains power returns.
    pub restore_policy: PowerRestorePolicy,
    /// The reason of the last power-down.
    pub last_event: LastPowerEvent,
    /// The chassis is or was open (intrusion).
    pub intrusion: bool,
    /// The front panel's buttons are locked.
    pub front_panel_lockout: bool,
    /// The chassis reports a drive fault.
    pub drive_fault: bool,
    /// The chassis reports a cooling or fan fault.
    pub cooling_fault: bool,
}

/// The behaviour of a chassis when mains power returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PowerRestorePolicy {
    /// The chassis stays off.
    StaysOff,
    /// The chassis returns to the state that it had before.
    Previous,
    /// The chassis powers up: a machine that is off now may be on after a power cut.
    PowersUp,
    /// The BMC does not report its behaviour.
    #[default]
    Unknown,
}

/// The reasons of the last power-down; several may be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastPowerEvent {
    /// The host was powered down because the mains power failed.
    pub ac_failed: bool,
    /// The host was powered down by an overload.
    pub overload: bool,
    /// The host was powered down because the interlock became active.
    pub interlock: bool,
    /// The host was powered down by a power fault.
    pub fault: bool,
    /// The last power-on was caused by an IPMI command.
    pub on_by_command: bool,
}

impl ChassisStatus {
    /// Parses the bytes after the completion code; three are needed, a fourth is optional. `None` if there are fewer.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let &[power, event, misc] = data.first_chunk::<3>()?;
        let bit = |byte: u8, bit: u8| byte & (1 << bit) != 0;
        Some(Self {
            power_on: bit(power, 0),
            power_overload: bit(power, 1),
            interlock: bit(power, 2),
            power_fault: bit(power, 3),
            power_control_fault: bit(power, 4),
            restore_policy: match power >> 5 & 3 {
                0 => PowerRestorePolicy::StaysOff,
                1 => PowerRestorePolicy::Previous,
                2 => PowerRestorePolicy::PowersUp,
                _ => PowerRestorePolicy::Unknown,
            },
            last_event: LastPowerEvent {
                ac_failed: bit(event, 0),
                overload: bit(event, 1),
                interlock: bit(event, 2),
                fault: bit(event, 3),
                on_by_command: bit(event, 4),
            },
            intrusion: bit(misc, 0),
            front_panel_lockout: bit(misc, 1),
            drive_fault: bit(misc, 2),
            cooling_fault: bit(misc, 3),
        })
    }

    /// Returns the three bytes after the completion code.
    pub fn encode(&self) -> [u8; 3] {
        let policy = match self.restore_policy {
            PowerRestorePolicy::StaysOff => 0,
            PowerRestorePolicy::Previous => 1,
            PowerRestorePolicy::PowersUp => 2,
            PowerRestorePolicy::Unknown => 3,
        };
        let event = self.last_event;
        let faults = [self.power_on, self.power_overload, self.interlock, self.power_fault, self.power_control_fault];
        [
            bits(&faults) | policy << 5,
            bits(&[event.ac_failed, event.overload, event.interlock, event.fault, event.on_by_command]),
            bits(&[self.intrusion, self.front_panel_lockout, self.drive_fault, self.cooling_fault]),
        ]
    }
}

fn bits(flags: &[bool]) -> u8 {
    flags.iter().rev().fold(0, |byte, flag| byte << 1 | u8::from(*flag))
}

impl From<GetChassisStatus> for Message {
    fn from(_: GetChassisStatus) -> Self {
        Message::new_request(NetFn::Chassis, 0x01, Vec::new())
    }
}

impl IpmiCommand for GetChassisStatus {
    type Output = ChassisStatus;
    type Error = NotEnoughData;

    fn parse_success_response(data: &[u8]) -> Result<Self::Output, Self::Error> {
        ChassisStatus::decode(data).ok_or(NotEnoughData)
    }
}
