//! RMCP+ status codes (IPMI 2.0 table 13-15).

/// What a status code says, for messages.
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

/// What a refusal of the handshake means for the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The suite is not offered: another one may be tried, if this is the answer to Open Session.
    CipherSuite,
    /// No free session: worth another try after a pause.
    NoSlot,
    /// The BMC has forgotten the session being opened: worth another try from the start.
    SessionGone,
    /// The user does not exist or may not log in here.
    Username,
    /// The user may not have the privilege level asked for.
    Privilege,
    /// The BMC says our proof of the password is wrong.
    Password,
    /// Anything else; final.
    Other,
}

/// Sorts a status code.
pub fn classify(status: u8) -> Refusal {
    match status {
        0x01 | 0x0B => Refusal::NoSlot,
        0x02 | 0x08 => Refusal::SessionGone,
        0x04..=0x07 | 0x10..=0x12 => Refusal::CipherSuite,
        0x09 | 0x0A => Refusal::Privilege,
        0x0C | 0x0D => Refusal::Username,
        0x0F => Refusal::Password,
        _ => Refusal::Other,
    }
}
