//! Get Self Test Results (IPMI 2.0 section 20.4).

use ipmi_rs::connection::{IpmiCommand, Message, NetFn, NotEnoughData};

/// The Get Self Test Results command: asks for the result of the BMC's self test. Needs user level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetSelfTestResults;

/// The result of the BMC's self test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfTest {
    /// 55h: all tests passed.
    Passed,
    /// 56h: the BMC has no self test.
    NotImplemented,
    /// 57h: corrupted or inaccessible data or devices.
    Failed(SelfTestFailures),
    /// 58h: fatal hardware error, with the vendor's detail byte.
    Fatal(u8),
    /// Any other result, with its detail byte.
    Other(u8, u8),
}

/// The failures of a self test; several may be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SelfTestFailures {
    /// The BMC cannot access the SEL device.
    pub sel: bool,
    /// The BMC cannot access the SDR repository.
    pub sdr: bool,
    /// The BMC cannot access its FRU device.
    pub fru: bool,
    /// IPMB signal lines do not respond.
    pub ipmb: bool,
    /// SDR repository is empty.
    pub sdr_empty: bool,
    /// Internal use area of the FRU device is corrupted.
    pub fru_internal: bool,
    /// The controller's update firmware is corrupted.
    pub boot_firmware: bool,
    /// The controller's operational firmware is corrupted.
    pub firmware: bool,
}

impl SelfTest {
    /// Parses the two bytes after the completion code; `None` if there are fewer.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let &[result, detail] = data.first_chunk::<2>()?;
        let bit = |bit: u8| detail & (1 << bit) != 0;
        Some(match result {
            0x55 => Self::Passed,
            0x56 => Self::NotImplemented,
            0x57 => Self::Failed(SelfTestFailures {
                sel: bit(7),
                sdr: bit(6),
                fru: bit(5),
                ipmb: bit(4),
                sdr_empty: bit(3),
                fru_internal: bit(2),
                boot_firmware: bit(1),
                firmware: bit(0),
            }),
            0x58 => Self::Fatal(detail),
            other => Self::Other(other, detail),
        })
    }
}

impl From<GetSelfTestResults> for Message {
    fn from(_: GetSelfTestResults) -> Self {
        Message::new_request(NetFn::App, 0x04, Vec::new())
    }
}

impl IpmiCommand for GetSelfTestResults {
    type Output = SelfTest;
    type Error = NotEnoughData;

    fn parse_success_response(data: &[u8]) -> Result<Self::Output, Self::Error> {
        SelfTest::decode(data).ok_or(NotEnoughData)
    }
}
