//! Set Session Privilege Level (IPMI 2.0 section 22.18).

use ipmi_rs::connection::{IpmiCommand, Message, NetFn, NotEnoughData};

use crate::Privilege;

/// Raises the session from user level, where every session starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetSessionPrivilegeLevel(pub Privilege);

impl From<SetSessionPrivilegeLevel> for Message {
    fn from(command: SetSessionPrivilegeLevel) -> Self {
        Message::new_request(NetFn::App, 0x3B, vec![command.0.value()])
    }
}

impl IpmiCommand for SetSessionPrivilegeLevel {
    /// The number of the level the session now has.
    type Output = u8;
    type Error = NotEnoughData;

    fn parse_success_response(data: &[u8]) -> Result<u8, NotEnoughData> {
        data.first().map(|level| level & 0x0F).ok_or(NotEnoughData)
    }
}
