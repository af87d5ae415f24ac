//! Encodes and decodes RMCP+ Open Session (IPMI 2.0 sections 13.17, 13.18).

use crate::Ignored;
use crate::suite::Algorithms;

/// An RMCP+ Open Session Request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenSessionRequest {
    /// The tag that matches the response to the request.
    pub message_tag: u8,
    /// Highest requested privilege level, 0 for the highest that the suite allows.
    pub max_privilege: u8,
    /// The session ID that the console chose, not 0.
    pub console_session_id: u32,
    /// The algorithms of the one proposed suite.
    pub algorithms: Algorithms,
}

/// An RMCP+ Open Session Response, which accepts or refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenSessionResponse {
    /// The tag of the request.
    pub message_tag: u8,
    /// The request's session ID; a refusal may lack it.
    pub console_session_id: Option<u32>,
    /// The offered session, or the RMCP+ status code that refuses it (table 13-15).
    pub outcome: Result<SessionOffer, u8>,
}

/// The offer of an accepting Open Session Response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOffer {
    /// The privilege level that the BMC would grant. Some BMCs send 0, which has no meaning.
    pub max_privilege: u8,
    /// The session ID that the BMC chose, not 0.
    pub managed_session_id: u32,
    /// The algorithms that the BMC chose.
    pub algorithms: Algorithms,
}

impl OpenSessionRequest {
    /// Returns the payload, 32 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.message_tag, self.max_privilege, 0, 0];
        out.extend(self.console_session_id.to_le_bytes());
        encode_algorithms(self.algorithms, &mut out);
        out
    }

    /// Parses a payload of this type, after the session header.
    pub fn decode(payload: &[u8]) -> Result<Self, Ignored> {
        let (head, algorithms) = payload.split_first_chunk::<8>().ok_or(Ignored::Length)?;
        let [message_tag, max_privilege, _, _, id @ ..] = *head;
        Ok(Self {
            message_tag,
            max_privilege,
            console_session_id: u32::from_le_bytes(id),
            algorithms: decode_algorithms(algorithms)?,
        })
    }
}

impl OpenSessionResponse {
    /// Returns the payload: 36 bytes, or 8 for a refusal.
    pub fn encode(&self) -> Vec<u8> {
        let id = self.console_session_id.unwrap_or_default().to_le_bytes();
        match self.outcome {
            Err(status) => {
                let mut out = vec![self.message_tag, status, 0, 0];
                out.extend(id);
                out
            }
            Ok(offer) => {
                let mut out = vec![self.message_tag, 0, offer.max_privilege, 0];
                out.extend(id);
                out.extend(offer.managed_session_id.to_le_bytes());
                encode_algorithms(offer.algorithms, &mut out);
                out
            }
        }
    }

    /// Parses a payload of this type, after the session header.
    pub fn decode(payload: &[u8]) -> Result<Self, Ignored> {
        let (&[message_tag, status], rest) = payload.split_first_chunk::<2>().ok_or(Ignored::Length)?;
        let id = payload.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
        if status != 0 {
            return Ok(Self { message_tag, console_session_id: id, outcome: Err(status) });
        }
        let (head, algorithms) = rest.split_first_chunk::<10>().ok_or(Ignored::Length)?;
        let [max_privilege, _, _, _, _, _, managed @ ..] = *head;
        let managed_session_id = u32::from_le_bytes(managed);
        if managed_session_id == 0 {
            return Err(Ignored::SessionId);
        }
        let offer = SessionOffer { max_privilege, managed_session_id, algorithms: decode_algorithms(algorithms)? };
        Ok(Self { message_tag, console_session_id: id, outcome: Ok(offer) })
    }
}

fn encode_algorithms(algorithms: Algorithms, out: &mut Vec<u8>) {
    let numbers = [algorithms.authentication, algorithms.integrity, algorithms.confidentiality];
    for (kind, number) in (0u8..).zip(numbers) {
        out.extend([kind, 0, 0, 8, number, 0, 0, 0]);
    }
}

fn decode_algorithms(payload: &[u8]) -> Result<Algorithms, Ignored> {
    let records: &[u8; 24] = payload.try_into().map_err(|_| Ignored::Length)?;
    let mut numbers = [0u8; 3];
    for ((kind, record), number) in (0u8..).zip(records.chunks_exact(8)).zip(&mut numbers) {
        match record {
            [found, _, _, 8, value, ..] if *found == kind => *number = value & 0x3F,
            _ => return Err(Ignored::Length),
        }
    }
    let [authentication, integrity, confidentiality] = numbers;
    Ok(Algorithms { authentication, integrity, confidentiality })
}
