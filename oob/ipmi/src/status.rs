//! The meaning of RMCP+ status codes (IPMI 2.0 table 13-15).

/// Returns the meaning of a status code, for messages.
pub fn describe(status: u8) -> &'static str {
    match status {
        0x00 => "no errors",
        0x01 => "insufficient resources to create a session",
        0x02 => "invalid session ID",
        0x03 => "invalid payload type",
        0x04 => "invalid authentication algorithm",
        0x05 => "invalid integrity algorithm",
        0x06 => "no matching authentication payload",
        0x07 => "no matching integrity payload",
        0x08 => "inactive session ID",
        0x09 => "invalid role",
        0x0A => "unauthorized role or privilege level requested",
        0x0B => "insufficient resources to create a session at the requested role",
        0x0C => "invalid name length",
        0x0D => "unauthorized name",
        0x0E => "unauthorized GUID",
        0x0F => "invalid integrity check value",
        0x10 => "invalid confidentiality algorithm",
        0x11 => "no cipher suite match with the proposed algorithms",
        0x12 => "illegal or unrecognized parameter",
        _ => "unknown status",
    }
}

/// The consequence of a refusal in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The suite is not offered: another one may be tried, if this is the answer to Open Session.
    CipherSuite,
    /// The BMC has no free session: another attempt may succeed after a pause.
    NoSlot,
    /// The BMC has lost the session that is being opened: another attempt from the start may succeed.
    SessionGone,
    /// The user does not exist or may not log in over this channel.
    Username,
    /// The BMC does not know the role, which is the privilege level and how the user is looked up.
    Role,
    /// The user may not have the requested privilege level.
    Privilege,
    /// The BMC reports that our proof of the password is wrong.
    Password,
    /// Any other status; another attempt cannot help.
    Other,
}

/// Returns the consequence of a status code.
pub fn classify(status: u8) -> Refusal {
    match status {
        0x01 | 0x0B => Refusal::NoSlot,
        0x02 | 0x08 => Refusal::SessionGone,
        0x04..=0x07 | 0x10..=0x12 => Refusal::CipherSuite,
        0x09 => Refusal::Role,
        0x0A => Refusal::Privilege,
        0x0C | 0x0D => Refusal::Username,
        0x0F => Refusal::Password,
        _ => Refusal::Other,
    }
}
