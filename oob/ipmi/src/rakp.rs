//! Encodes and decodes RAKP messages 1 to 4 (IPMI 2.0 sections 13.20 to 13.23).

use crate::Ignored;

/// RAKP Message 1, from console to BMC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rakp1 {
    /// The tag that matches the answer to the message.
    pub message_tag: u8,
    /// The BMC's session ID from Open Session.
    pub managed_session_id: u32,
    /// The console's random number (R_M).
    pub console_random: [u8; 16],
    /// Requested privilege level, with bit 4 set for name-only look-up.
    pub role: u8,
    /// The user name, at most 16 bytes.
    pub username: Vec<u8>,
}

/// RAKP Message 2, from BMC to console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rakp2 {
    /// The tag of message 1.
    pub message_tag: u8,
    /// The console's session ID; a refusal may lack it.
    pub console_session_id: Option<u32>,
    /// The BMC's part, or the RMCP+ status code of a refusal.
    pub outcome: Result<Rakp2Body, u8>,
}

/// The content of RAKP Message 2 on success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rakp2Body {
    /// The BMC's random number (R_C).
    pub managed_random: [u8; 16],
    /// The BMC's GUID (GUID_C).
    pub managed_guid: [u8; 16],
    /// The key exchange authentication code, 20 or 32 bytes.
    pub code: Vec<u8>,
}

/// RAKP Message 3, from console to BMC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rakp3 {
    /// The tag that matches the answer to the message.
    pub message_tag: u8,
    /// The BMC's session ID from Open Session.
    pub managed_session_id: u32,
    /// The key exchange authentication code, or the status that ends the attempt.
    pub outcome: Result<Vec<u8>, u8>,
}

/// RAKP Message 4, from BMC to console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rakp4 {
    /// The tag of message 3.
    pub message_tag: u8,
    /// The console's session ID; a refusal may lack it.
    pub console_session_id: Option<u32>,
    /// The integrity check value (12 or 16 bytes), or the RMCP+ status code of a refusal.
    pub outcome: Result<Vec<u8>, u8>,
}

impl Rakp1 {
    /// Returns the payload, 28 bytes and the user name.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.message_tag, 0, 0, 0];
        out.extend(self.managed_session_id.to_le_bytes());
        out.extend(self.console_random);
        let len = u8::try_from(self.username.len()).unwrap_or(u8::MAX);
        out.extend([self.role, 0, 0, len]);
        out.extend_from_slice(&self.username);
        out
    }

    /// Parses a payload of this type, after the session header.
    pub fn decode(payload: &[u8]) -> Result<Self, Ignored> {
        let (&[message_tag, _, _, _], rest) = payload.split_first_chunk::<4>().ok_or(Ignored::Length)?;
        let (id, rest) = rest.split_first_chunk::<4>().ok_or(Ignored::Length)?;
        let (console_random, rest) = rest.split_first_chunk::<16>().ok_or(Ignored::Length)?;
        let (&[role, _, _, len], name) = rest.split_first_chunk::<4>().ok_or(Ignored::Length)?;
        let username = name.get(..usize::from(len)).ok_or(Ignored::Length)?;
        Ok(Self {
            message_tag,
            managed_session_id: u32::from_le_bytes(*id),
            console_random: *console_random,
            role,
            username: username.to_vec(),
        })
    }
}

impl Rakp2 {
    /// Returns the payload: 40 bytes and the code, or 8 bytes for a refusal.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = answer_head(self.message_tag, self.outcome.as_ref().err(), self.console_session_id);
        if let Ok(body) = &self.outcome {
            out.extend(body.managed_random);
            out.extend(body.managed_guid);
            out.extend_from_slice(&body.code);
        }
        out
    }

    /// Parses a payload of this type, after the session header.
    pub fn decode(payload: &[u8]) -> Result<Self, Ignored> {
        let (message_tag, status, console_session_id, rest) = split_answer(payload)?;
        let outcome = match status {
            0 => {
                let (managed_random, rest) = rest.split_first_chunk::<16>().ok_or(Ignored::Length)?;
                let (managed_guid, code) = rest.split_first_chunk::<16>().ok_or(Ignored::Length)?;
                let (managed_random, managed_guid) = (*managed_random, *managed_guid);
                Ok(Rakp2Body { managed_random, managed_guid, code: code.to_vec() })
            }
            status => Err(status),
        };
        Ok(Self { message_tag, console_session_id, outcome })
    }
}

impl Rakp3 {
    /// Returns the payload: 8 bytes and the code, or 8 bytes when it ends the attempt.
    pub fn encode(&self) -> Vec<u8> {
        let id = Some(self.managed_session_id);
        let mut out = answer_head(self.message_tag, self.outcome.as_ref().err(), id);
        out.extend(self.outcome.iter().flatten());
        out
    }

    /// Parses a payload of this type, after the session header.
    pub fn decode(payload: &[u8]) -> Result<Self, Ignored> {
        let (message_tag, status, id, rest) = split_answer(payload)?;
        let managed_session_id = id.ok_or(Ignored::Length)?;
        let outcome = if status == 0 { Ok(rest.to_vec()) } else { Err(status) };
        Ok(Self { message_tag, managed_session_id, outcome })
    }
}

impl Rakp4 {
    /// Returns the payload: 8 bytes and the integrity check value, or 8 bytes for a refusal.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = answer_head(self.message_tag, self.outcome.as_ref().err(), self.console_session_id);
        out.extend(self.outcome.iter().flatten());
        out
    }

    /// Parses a payload of this type, after the session header.
    pub fn decode(payload: &[u8]) -> Result<Self, Ignored> {
        let (message_tag, status, console_session_id, rest) = split_answer(payload)?;
        let outcome = if status == 0 { Ok(rest.to_vec()) } else { Err(status) };
        Ok(Self { message_tag, console_session_id, outcome })
    }
}

fn answer_head(tag: u8, status: Option<&u8>, id: Option<u32>) -> Vec<u8> {
    let mut out = vec![tag, status.copied().unwrap_or_default(), 0, 0];
    out.extend(id.unwrap_or_default().to_le_bytes());
    out
}

type AnswerParts<'a> = (u8, u8, Option<u32>, &'a [u8]);

/// Splits off the head that RAKP 2, 3 and 4 share. A refusal may end after the status.
fn split_answer(payload: &[u8]) -> Result<AnswerParts<'_>, Ignored> {
    let &[tag, status, ..] = payload else { return Err(Ignored::Length) };
    match payload.split_first_chunk::<8>() {
        Some((head, rest)) => {
            let [_, _, _, _, id @ ..] = *head;
            Ok((tag, status, Some(u32::from_le_bytes(id)), rest))
        }
        None if status != 0 => Ok((tag, status, None, &[])),
        None => Err(Ignored::Length),
    }
}
