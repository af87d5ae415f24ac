//! Encodes and decodes IPMI messages as a LAN channel carries them (IPMI 2.0 section 13.8).

use crate::Ignored;

/// Slave address of the BMC.
pub const BMC_ADDRESS: u8 = 0x20;
/// Software ID of a remote console.
pub const CONSOLE_ADDRESS: u8 = 0x81;

/// A request from console to BMC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanRequest {
    /// The network function, which is even in a request (table 5-1).
    pub net_fn: u8,
    /// Logical unit of the BMC, 0 to 3.
    pub lun: u8,
    /// `rqSeq`, 0 to 63.
    pub sequence: u8,
    /// The command number, which together with the network function names the command (appendix G).
    pub command: u8,
    /// The command's data, without the checksum.
    pub data: Vec<u8>,
}

/// A reply from BMC to console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanReply {
    /// The network function of the request plus 1, so that it is odd (table 5-1).
    pub net_fn: u8,
    /// Logical unit of the BMC, 0 to 3.
    pub lun: u8,
    /// `rqSeq` of the request.
    pub sequence: u8,
    /// Command number of the request.
    pub command: u8,
    /// Completion code, 0 for success.
    pub completion_code: u8,
    /// Data after the completion code.
    pub data: Vec<u8>,
}

impl LanRequest {
    /// Returns the message with both checksums.
    pub fn encode(&self) -> Vec<u8> {
        let second = [CONSOLE_ADDRESS, self.sequence << 2, self.command];
        frame([BMC_ADDRESS, self.net_fn << 2 | self.lun & 3], &second, &self.data)
    }

    /// Parses a request that is addressed to the BMC.
    pub fn decode(message: &[u8]) -> Result<Self, Ignored> {
        let ([to, net_fn], [_, sequence, command], data) = unframe(message)?;
        if to != BMC_ADDRESS {
            return Err(Ignored::Address);
        }
        if net_fn & 4 != 0 {
            return Err(Ignored::Command);
        }
        Ok(Self { net_fn: net_fn >> 2, lun: net_fn & 3, sequence: sequence >> 2, command, data: data.to_vec() })
    }

    /// Returns a reply to this request.
    pub fn reply(&self, completion_code: u8, data: Vec<u8>) -> LanReply {
        LanReply {
            net_fn: self.net_fn | 1,
            lun: self.lun,
            sequence: self.sequence,
            command: self.command,
            completion_code,
            data,
        }
    }

    /// Succeeds if `reply` answers this request.
    pub fn accept(&self, reply: &LanReply) -> Result<(), Ignored> {
        if reply.net_fn != self.net_fn | 1 || reply.command != self.command {
            return Err(Ignored::Command);
        }
        if reply.lun != self.lun {
            return Err(Ignored::Address);
        }
        if reply.sequence != self.sequence {
            return Err(Ignored::RequestSequence);
        }
        Ok(())
    }
}

impl LanReply {
    /// Returns the message with both checksums.
    pub fn encode(&self) -> Vec<u8> {
        let second = [BMC_ADDRESS, self.sequence << 2 | self.lun & 3, self.command, self.completion_code];
        frame([CONSOLE_ADDRESS, self.net_fn << 2], &second, &self.data)
    }

    /// Parses a reply of the BMC to this console.
    pub fn decode(message: &[u8]) -> Result<Self, Ignored> {
        let ([to, net_fn], [from, sequence, command], data) = unframe(message)?;
        if to != CONSOLE_ADDRESS || from != BMC_ADDRESS || net_fn & 3 != 0 {
            return Err(Ignored::Address);
        }
        if net_fn & 4 == 0 {
            return Err(Ignored::Command);
        }
        let (code, data) = data.split_first().ok_or(Ignored::Length)?;
        Ok(Self {
            net_fn: net_fn >> 2,
            lun: sequence & 3,
            sequence: sequence >> 2,
            command,
            completion_code: *code,
            data: data.to_vec(),
        })
    }
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

fn frame(first: [u8; 2], second: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = first.to_vec();
    out.push(checksum(&first));
    out.extend_from_slice(second);
    out.extend_from_slice(data);
    out.push(checksum(out.get(3..).unwrap_or_default()));
    out
}

/// First address and function; second address, sequence and command; data.
type Parts<'a> = ([u8; 2], [u8; 3], &'a [u8]);

fn unframe(message: &[u8]) -> Result<Parts<'_>, Ignored> {
    let (first, body) = message.split_first_chunk::<3>().ok_or(Ignored::Length)?;
    let (sum, body) = body.split_last().ok_or(Ignored::Length)?;
    let (second, data) = body.split_first_chunk::<3>().ok_or(Ignored::Length)?;
    if checksum(&[first[0], first[1]]) != first[2] || checksum(body) != *sum {
        return Err(Ignored::Checksum);
    }
    Ok(([first[0], first[1]], *second, data))
}
