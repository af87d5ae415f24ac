//! Set Session Privilege Level (IPMI 2.0 section 22.18).

use std::convert::Infallible;

use ipmi_rs::connection::{IpmiCommand, Message, NetFn};

use crate::Privilege;

/// The Set Session Privilege Level command: raises the session from user level, at which every session starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetSessionPrivilegeLevel(pub Privilege);

impl From<SetSessionPrivilegeLevel> for Message {
    fn from(command: SetSessionPrivilegeLevel) -> Self {
        Message::new_request(NetFn::App, 0x3B, vec![command.0.value()])
    }
}

impl IpmiCommand for SetSessionPrivilegeLevel {
    /// The number of the level that the session has now; `None` if the BMC does not report it.
    type Output = Option<u8>;
    type Error = Infallible;

    fn parse_success_response(data: &[u8]) -> Result<Option<u8>, Infallible> {
        Ok(data.first().map(|level| level & 0x0F))
    }
}
