//! Chassis Control (IPMI 2.0 section 28.3).

use std::convert::Infallible;

use ipmi_rs::connection::{IpmiCommand, Message, NetFn};

/// The Chassis Control command: turns power off or on. Needs operator level.
///
/// Success means that the BMC accepted the command: read the chassis status until it agrees. The BMC's own cycle, reset
/// and soft shutdown are left out: their effect cannot be distinguished from no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChassisControl {
    /// Power off at once, without asking the operating system.
    PowerDown,
    /// Power on at once.
    PowerUp,
}

impl ChassisControl {
    /// Returns the number of the control on the wire.
    pub fn value(self) -> u8 {
        match self {
            Self::PowerDown => 0,
            Self::PowerUp => 1,
        }
    }
}

impl From<ChassisControl> for Message {
    fn from(control: ChassisControl) -> Self {
        Message::new_request(NetFn::Chassis, 0x02, vec![control.value()])
    }
}

impl IpmiCommand for ChassisControl {
    type Output = ();
    type Error = Infallible;

    fn parse_success_response(_: &[u8]) -> Result<(), Infallible> {
        Ok(())
    }
}
