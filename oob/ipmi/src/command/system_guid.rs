//! Get System GUID (IPMI 2.0 section 22.14).

use ipmi_rs::connection::{IpmiCommand, Message, NetFn, NotEnoughData};

/// The Get System GUID command: asks for the identity of the host behind the BMC. Needs user level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetSystemGuid;

/// The 16 bytes of a GUID as they were received: their order differs between BMCs.
pub type GuidBytes = [u8; 16];

impl From<GetSystemGuid> for Message {
    fn from(_: GetSystemGuid) -> Self {
        Message::new_request(NetFn::App, 0x37, Vec::new())
    }
}

impl IpmiCommand for GetSystemGuid {
    type Output = GuidBytes;
    type Error = NotEnoughData;

    fn parse_success_response(data: &[u8]) -> Result<Self::Output, Self::Error> {
        data.first_chunk::<16>().copied().ok_or(NotEnoughData)
    }
}
