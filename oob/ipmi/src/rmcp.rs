//! Encodes and decodes RMCP and session headers (IPMI 2.0 sections 13.1, 13.6).

use crate::Ignored;

/// RMCP 1.0, without acknowledge, class IPMI.
pub const RMCP_HEADER: [u8; 4] = [0x06, 0x00, 0xFF, 0x07];
/// Bytes of RMCP header plus RMCP+ session header.
pub const HEADER_LEN: usize = 16;
/// Authentication type byte that announces an RMCP+ session header.
pub const AUTH_TYPE_RMCP_PLUS: u8 = 0x06;

const FLAG_ENCRYPTED: u8 = 0x80;
const FLAG_AUTHENTICATED: u8 = 0x40;

/// The payload types of a session's life (table 13-16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadType {
    /// An IPMI message: a command or its response, once the session is open.
    Ipmi,
    /// RMCP+ Open Session Request.
    OpenSessionRequest,
    /// RMCP+ Open Session Response.
    OpenSessionResponse,
    /// RAKP Message 1, from the console.
    Rakp1,
    /// RAKP Message 2, from the BMC.
    Rakp2,
    /// RAKP Message 3, from the console.
    Rakp3,
    /// RAKP Message 4, from the BMC.
    Rakp4,
}

impl PayloadType {
    /// Returns the 6-bit number on the wire.
    pub fn value(self) -> u8 {
        match self {
            Self::Ipmi => 0x00,
            Self::OpenSessionRequest => 0x10,
            Self::OpenSessionResponse => 0x11,
            Self::Rakp1 => 0x12,
            Self::Rakp2 => 0x13,
            Self::Rakp3 => 0x14,
            Self::Rakp4 => 0x15,
        }
    }

    /// Returns the payload type of this number; `None` if it is not one of these.
    pub fn from_value(value: u8) -> Option<Self> {
        Some(match value {
            0x00 => Self::Ipmi,
            0x10 => Self::OpenSessionRequest,
            0x11 => Self::OpenSessionResponse,
            0x12 => Self::Rakp1,
            0x13 => Self::Rakp2,
            0x14 => Self::Rakp3,
            0x15 => Self::Rakp4,
            _ => return None,
        })
    }
}

/// An RMCP+ session header (section 13.6, table 13-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionHeader {
    /// What the payload is: a step of the login, or an IPMI message.
    pub payload_type: PayloadType,
    /// Whether the payload is encrypted and an integrity trailer follows; a header with only one of them is not
    /// accepted.
    pub protected: bool,
    /// The receiver's session ID; 0 outside a session.
    pub session_id: u32,
    /// The sender's session sequence number; 0 outside a session.
    pub sequence: u32,
}

impl SessionHeader {
    /// Returns RMCP header and session header for a payload of `payload_len` bytes.
    pub fn encode(&self, payload_len: u16) -> Vec<u8> {
        let flags = if self.protected { FLAG_ENCRYPTED | FLAG_AUTHENTICATED } else { 0 };
        let mut out = Vec::with_capacity(HEADER_LEN + usize::from(payload_len) + 24);
        out.extend(RMCP_HEADER);
        out.extend([AUTH_TYPE_RMCP_PLUS, flags | self.payload_type.value()]);
        out.extend(self.session_id.to_le_bytes());
        out.extend(self.sequence.to_le_bytes());
        out.extend(payload_len.to_le_bytes());
        out
    }

    /// Splits a datagram into header, payload and the bytes after the payload.
    pub fn decode(datagram: &[u8]) -> Result<(Self, &[u8], &[u8]), Ignored> {
        let rest = strip_rmcp(datagram)?;
        let (head, rest) = rest.split_first_chunk::<12>().ok_or(Ignored::Length)?;
        let [auth, kind, i0, i1, i2, i3, s0, s1, s2, s3, l0, l1] = *head;
        if auth != AUTH_TYPE_RMCP_PLUS {
            return Err(Ignored::PayloadType);
        }
        let protected = match kind & (FLAG_ENCRYPTED | FLAG_AUTHENTICATED) {
            0 => false,
            flags if flags == FLAG_ENCRYPTED | FLAG_AUTHENTICATED => true,
            _ => return Err(Ignored::PayloadType),
        };
        let payload_type = PayloadType::from_value(kind & 0x3F).ok_or(Ignored::PayloadType)?;
        let len = usize::from(u16::from_le_bytes([l0, l1]));
        let (payload, trailer) = rest.split_at_checked(len).ok_or(Ignored::Length)?;
        let header = Self {
            payload_type,
            protected,
            session_id: u32::from_le_bytes([i0, i1, i2, i3]),
            sequence: u32::from_le_bytes([s0, s1, s2, s3]),
        };
        Ok((header, payload, trailer))
    }
}

/// Returns an IPMI datagram without its RMCP header.
pub fn strip_rmcp(datagram: &[u8]) -> Result<&[u8], Ignored> {
    let (head, rest) = datagram.split_first_chunk::<4>().ok_or(Ignored::Length)?;
    // Bytes 1 and 2 (reserved, RMCP sequence) carry no meaning for IPMI messages and some BMCs fill them in.
    if head[0] != RMCP_HEADER[0] || head[3] != RMCP_HEADER[3] {
        return Err(Ignored::NotIpmi);
    }
    Ok(rest)
}

/// Returns a datagram of the handshake, without session and encryption. The payload must be shorter than 64 KiB.
pub fn encode_plain(payload_type: PayloadType, payload: &[u8]) -> Vec<u8> {
    let header = SessionHeader { payload_type, protected: false, session_id: 0, sequence: 0 };
    let mut out = header.encode(u16::try_from(payload.len()).unwrap_or(u16::MAX));
    out.extend_from_slice(payload);
    out
}

/// Returns payload type and payload of a handshake datagram.
pub fn decode_plain(datagram: &[u8]) -> Result<(PayloadType, &[u8]), Ignored> {
    // More bytes may follow: a legacy pad (section 13.6, note 1), and what some BMCs send. No code covers them, and
    // nothing reads them.
    let (header, payload, _) = SessionHeader::decode(datagram)?;
    if header.protected || header.payload_type == PayloadType::Ipmi {
        return Err(Ignored::PayloadType);
    }
    if header.session_id != 0 {
        return Err(Ignored::SessionId);
    }
    Ok((header.payload_type, payload))
}

/// Returns a datagram in IPMI 1.5 format without authentication, as Get Channel Authentication Capabilities needs it.
pub fn encode_v15(message: &[u8]) -> Vec<u8> {
    let mut out = RMCP_HEADER.to_vec();
    out.extend([0; 9]);
    out.push(u8::try_from(message.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(message);
    out
}

/// Returns the IPMI message of a datagram in IPMI 1.5 format without authentication.
pub fn decode_v15(datagram: &[u8]) -> Result<&[u8], Ignored> {
    let rest = strip_rmcp(datagram)?;
    let (head, rest) = rest.split_first_chunk::<10>().ok_or(Ignored::Length)?;
    let [auth, _, _, _, _, session @ .., len] = *head;
    if auth != 0 {
        return Err(Ignored::PayloadType);
    }
    if session != [0; 4] {
        return Err(Ignored::SessionId);
    }
    let (message, pad) = rest.split_at_checked(usize::from(len)).ok_or(Ignored::Length)?;
    if pad.len() > 1 {
        return Err(Ignored::Length);
    }
    Ok(message)
}
