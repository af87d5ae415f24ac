//! Decodes any datagram that a BMC may send, in one call. For fuzzing and for the analysis of captures.

use crate::Ignored;
use crate::keys::SessionKeys;
use crate::lan_message::LanReply;
use crate::open_session::OpenSessionResponse;
use crate::protect::open;
use crate::rakp::{Rakp2, Rakp4};
use crate::rmcp::{PayloadType, decode_plain, decode_v15};

/// A datagram from a BMC, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datagram {
    /// A reply outside a session (authentication capabilities).
    Plain(LanReply),
    /// RMCP+ Open Session Response.
    OpenSession(OpenSessionResponse),
    /// RAKP Message 2, the BMC's answer to message 1.
    Rakp2(Rakp2),
    /// RAKP Message 4, the BMC's answer to message 3.
    Rakp4(Rakp4),
    /// A reply inside a session, with its session sequence number.
    Protected(u32, LanReply),
}

/// Decodes a datagram as the client would, with all checks but those that need the request.
///
/// # Errors
/// The reason why the client would skip it. No bytes make this panic.
pub fn decode_datagram(bytes: &[u8], session: Option<(&SessionKeys, u32)>) -> Result<Datagram, Ignored> {
    if let Ok(message) = decode_v15(bytes) {
        return LanReply::decode(message).map(Datagram::Plain);
    }
    if let Some((keys, session_id)) = session
        && let Ok((sequence, message)) = open(keys, session_id, bytes)
    {
        return LanReply::decode(&message).map(|reply| Datagram::Protected(sequence, reply));
    }
    let (kind, payload) = decode_plain(bytes)?;
    match kind {
        PayloadType::OpenSessionResponse => OpenSessionResponse::decode(payload).map(Datagram::OpenSession),
        PayloadType::Rakp2 => Rakp2::decode(payload).map(Datagram::Rakp2),
        PayloadType::Rakp4 => Rakp4::decode(payload).map(Datagram::Rakp4),
        _ => Err(Ignored::PayloadType),
    }
}
