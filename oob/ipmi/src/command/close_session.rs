//! Close Session (IPMI 2.0 section 22.19).

use std::convert::Infallible;

use ipmi_rs::connection::{IpmiCommand, Message, NetFn};

/// The Close Session command: frees the session's slot in the BMC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseSession {
    /// The session ID that the BMC chose.
    pub managed_session_id: u32,
}

impl From<CloseSession> for Message {
    fn from(command: CloseSession) -> Self {
        Message::new_request(NetFn::App, 0x3C, command.managed_session_id.to_le_bytes().to_vec())
    }
}

impl IpmiCommand for CloseSession {
    type Output = ();
    type Error = Infallible;

    fn parse_success_response(_: &[u8]) -> Result<(), Infallible> {
        Ok(())
    }
}
