//! The reasons why a datagram was not accepted as an answer.

use std::fmt;

/// The reason why a received datagram was skipped. Skipping is never an error: the wait goes on until the timer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// The datagram is shorter or longer than its own fields state.
    Length,
    /// The datagram is not RMCP version 1.0 of class IPMI.
    NotIpmi,
    /// The payload type or authentication type is not the expected one.
    PayloadType,
    /// The session ID is not that of a session of ours.
    SessionId,
    /// The session sequence number was received before, or is older than one that was.
    OldSequence,
    /// The integrity code does not fit the session's key.
    IntegrityCode,
    /// The integrity pad or trailer is malformed.
    IntegrityPad,
    /// The confidentiality pad is malformed.
    ConfidentialityPad,
    /// One of the two IPMB checksums is wrong.
    Checksum,
    /// The addresses are not those of the BMC and this console.
    Address,
    /// The message answers another command, or is a request.
    Command,
    /// The message answers an earlier request (`rqSeq`).
    RequestSequence,
    /// The message tag is not that of the request.
    MessageTag,
    /// A message of this kind was not expected at that time.
    Unexpected,
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "wrong length",
            Self::NotIpmi => "not IPMI",
            Self::PayloadType => "other payload type",
            Self::SessionId => "other session ID",
            Self::OldSequence => "old session sequence number",
            Self::IntegrityCode => "wrong integrity code",
            Self::IntegrityPad => "wrong integrity pad",
            Self::ConfidentialityPad => "wrong confidentiality pad",
            Self::Checksum => "wrong checksum",
            Self::Address => "other address",
            Self::Command => "other command",
            Self::RequestSequence => "answer to an earlier request",
            Self::MessageTag => "other message tag",
            Self::Unexpected => "not expected now",
        })
    }
}

/// The number of datagrams that were skipped during a wait, and the reason of the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IgnoredTally {
    count: u32,
    last: Option<Ignored>,
}

impl IgnoredTally {
    /// Counts one more skipped datagram.
    pub fn add(&mut self, reason: Ignored) {
        self.count = self.count.saturating_add(1);
        self.last = Some(reason);
    }

    /// Returns the number of skipped datagrams.
    pub fn count(&self) -> u32 {
        self.count
    }
}

impl fmt::Display for IgnoredTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            None => f.write_str("nothing came back"),
            Some(reason) => write!(f, "{} unusable packets came back, the last one: {reason}", self.count),
        }
    }
}
