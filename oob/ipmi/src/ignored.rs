//! Why a datagram was not taken for an answer.

use std::fmt;

/// The reason a received datagram was skipped. Skipping is never an error: waiting goes on until the timer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Shorter or longer than its own fields say.
    Length,
    /// Not RMCP version 1.0 of class IPMI.
    NotIpmi,
    /// Another payload type or authentication type than the one waited for.
    PayloadType,
    /// The session ID belongs to no session of ours.
    SessionId,
    /// The session sequence number was seen already or is older than one that was.
    OldSequence,
    /// The integrity code does not fit the session's key.
    IntegrityCode,
    /// The integrity pad or trailer is malformed.
    IntegrityPad,
    /// The confidentiality pad is malformed.
    ConfidentialityPad,
    /// One of the two IPMB checksums is wrong.
    Checksum,
    /// Addressed to or from somebody else.
    Address,
    /// Answers another command, or is a request.
    Command,
    /// Answers an earlier request (`rqSeq`).
    RequestSequence,
    /// Carries another message tag than the request.
    MessageTag,
    /// Arrived when nothing of its kind was waited for.
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

/// How many datagrams were skipped while waiting, and why the last one was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IgnoredTally {
    count: u32,
    last: Option<Ignored>,
}

impl IgnoredTally {
    /// Counts one more.
    pub fn add(&mut self, reason: Ignored) {
        self.count = self.count.saturating_add(1);
        self.last = Some(reason);
    }

    /// The number of datagrams skipped.
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
