//! One attempt at opening a session, as a state machine without socket, clock or randomness.
//!
//! IPMI 2.0 section 13.15: Open Session, RAKP 1 to 4.

use crate::keys::{Exchange, SessionKeys};
use crate::open_session::{OpenSessionRequest, OpenSessionResponse, SessionOffer};
use crate::rakp::{Rakp1, Rakp2, Rakp2Body, Rakp3, Rakp4};
use crate::rmcp::{PayloadType, encode_plain};
use crate::suite::Algorithms;
use crate::{CipherSuite, Ignored, Target};

/// The random numbers of one attempt.
#[derive(Clone, Copy)]
pub(crate) struct Choice {
    /// Not 0, which means "no session" (section 13.6).
    pub(crate) console_session_id: u32,
    pub(crate) console_random: [u8; 16],
}

/// How far an attempt has come; later stages compare greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    OpenSession,
    Rakp1,
    Rakp3,
}

impl Stage {
    /// The message that is waiting for its answer, for error messages.
    pub(crate) fn asked(self) -> &'static str {
        match self {
            Self::OpenSession => "Open Session Request",
            Self::Rakp1 => "RAKP Message 1",
            Self::Rakp3 => "RAKP Message 3",
        }
    }
}

/// The consequence of an accepted answer.
pub(crate) enum Step {
    /// The next message is ready in [`Attempt::packet`].
    Next,
    /// The session is open.
    Done(Box<Established>),
    /// The BMC refused with this status code.
    Refused(u8),
    /// The code in RAKP 2 or 4 does not follow from password and K_g.
    ///
    /// The BMC is not notified (section 13.22 would allow it): it might count that as a bad login and lock the account.
    Mismatch,
    /// The BMC chose algorithms that are not allowed.
    SuiteChanged(Algorithms),
    /// The BMC accepted the suite, but its RAKP 2 has a code of zeros: its firmware does not compute this suite.
    NoCode,
}

/// The ids and keys of an open session.
pub(crate) struct Established {
    pub(crate) console_session_id: u32,
    pub(crate) managed_session_id: u32,
    pub(crate) keys: SessionKeys,
}

enum State {
    OpenSession,
    Rakp1 { managed_session_id: u32 },
    Rakp3 { code: Vec<u8>, managed_session_id: u32, keys: SessionKeys },
}

pub(crate) struct Attempt<'t> {
    target: &'t Target,
    suite: CipherSuite,
    choice: Choice,
    /// The tags of all copies of the present message. Each copy has its own, which shows which copy was answered.
    tags: Vec<u8>,
    state: State,
    /// The present message was refused. The sender of the refusal is unknown, so the answer is still waited for.
    refused: bool,
}

impl<'t> Attempt<'t> {
    pub(crate) fn new(target: &'t Target, suite: CipherSuite, choice: Choice) -> Self {
        Self { target, suite, choice, tags: Vec::new(), state: State::OpenSession, refused: false }
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.state {
            State::OpenSession => Stage::OpenSession,
            State::Rakp1 { .. } => Stage::Rakp1,
            State::Rakp3 { .. } => Stage::Rakp3,
        }
    }

    pub(crate) fn suite(&self) -> CipherSuite {
        self.suite
    }

    /// Returns a copy of the present message, to send until an answer comes. `message_tag` must not have been used by
    /// another message whose answer may still come.
    pub(crate) fn packet(&mut self, message_tag: u8) -> Vec<u8> {
        self.tags.push(message_tag);
        match &self.state {
            State::OpenSession => {
                let request = OpenSessionRequest {
                    message_tag,
                    max_privilege: self.target.privilege().value(),
                    console_session_id: self.choice.console_session_id,
                    algorithms: self.suite.algorithms(),
                };
                encode_plain(PayloadType::OpenSessionRequest, &request.encode())
            }
            State::Rakp1 { managed_session_id } => {
                let message = Rakp1 {
                    message_tag,
                    managed_session_id: *managed_session_id,
                    console_random: self.choice.console_random,
                    role: self.target.role(),
                    username: self.target.username().as_bytes().to_vec(),
                };
                encode_plain(PayloadType::Rakp1, &message.encode())
            }
            State::Rakp3 { managed_session_id, code, .. } => {
                let message = Rakp3 { message_tag, managed_session_id: *managed_session_id, outcome: Ok(code.clone()) };
                encode_plain(PayloadType::Rakp3, &message.encode())
            }
        }
    }

    /// Processes one payload from the BMC. A payload that is not the answer to the present message changes nothing. A
    /// refusal of the present message is returned once.
    pub(crate) fn receive(&mut self, kind: PayloadType, payload: &[u8]) -> Result<Step, Ignored> {
        let step = self.step(kind, payload)?;
        if matches!(step, Step::Refused(_)) && std::mem::replace(&mut self.refused, true) {
            return Err(Ignored::Unexpected);
        }
        if matches!(step, Step::Next) {
            self.refused = false;
            self.tags.clear();
        }
        Ok(step)
    }

    fn step(&mut self, kind: PayloadType, payload: &[u8]) -> Result<Step, Ignored> {
        match (&self.state, kind) {
            (State::OpenSession, PayloadType::OpenSessionResponse) => {
                let response = OpenSessionResponse::decode(payload)?;
                self.check(response.message_tag, response.console_session_id, response.outcome.is_err())?;
                Ok(self.opened(response.outcome))
            }
            (State::Rakp1 { managed_session_id }, PayloadType::Rakp2) => {
                let managed_session_id = *managed_session_id;
                let message = Rakp2::decode(payload)?;
                self.check(message.message_tag, message.console_session_id, message.outcome.is_err())?;
                match message.outcome {
                    Ok(body) => self.proven(managed_session_id, &body),
                    Err(status) => Ok(Step::Refused(status)),
                }
            }
            (State::Rakp3 { managed_session_id, keys, .. }, PayloadType::Rakp4) => {
                let message = Rakp4::decode(payload)?;
                self.check(message.message_tag, message.console_session_id, message.outcome.is_err())?;
                match message.outcome {
                    // As in RAKP 2, more bytes may follow.
                    Ok(value) if keys.accepts_rakp4(value.get(..self.suite.integrity_len()).unwrap_or_default()) => {
                        Ok(Step::Done(Box::new(Established {
                            console_session_id: self.choice.console_session_id,
                            managed_session_id: *managed_session_id,
                            keys: keys.clone(),
                        })))
                    }
                    Ok(_) => Ok(Step::Mismatch),
                    Err(status) => Ok(Step::Refused(status)),
                }
            }
            _ => Err(Ignored::Unexpected),
        }
    }

    /// Whether an answer belongs to a copy of the present message. OpenBMC refuses with tag 0 and session ID 0: such a
    /// refusal counts, too. As any refusal here it proves nothing: the true answer still prevails.
    fn check(&self, tag: u8, console_session_id: Option<u32>, is_refusal: bool) -> Result<(), Ignored> {
        let is_empty = |number: u32| is_refusal && number == 0;
        if !self.tags.contains(&tag) && !is_empty(tag.into()) {
            return Err(Ignored::MessageTag);
        }
        match console_session_id {
            Some(id) if id != self.choice.console_session_id && !is_empty(id) => Err(Ignored::SessionId),
            _ => Ok(()),
        }
    }

    fn opened(&mut self, outcome: Result<SessionOffer, u8>) -> Step {
        match outcome {
            Err(status) => Step::Refused(status),
            // VirtualBMC and all others on pyghmi answer with suite 3, whatever was proposed.
            Ok(offer) => match self.allowed(offer.algorithms) {
                None => Step::SuiteChanged(offer.algorithms),
                Some(suite) => {
                    self.suite = suite;
                    self.state = State::Rakp1 { managed_session_id: offer.managed_session_id };
                    Step::Next
                }
            },
        }
    }

    /// Returns the suite of these algorithms, if the target allows it.
    fn allowed(&self, algorithms: Algorithms) -> Option<CipherSuite> {
        self.target.cipher_suites().iter().copied().find(|suite| suite.algorithms() == algorithms)
    }

    fn proven(&mut self, managed_session_id: u32, body: &Rakp2Body) -> Result<Step, Ignored> {
        let exchange = Exchange {
            suite: self.suite,
            console_session_id: self.choice.console_session_id,
            managed_session_id,
            console_random: self.choice.console_random,
            managed_random: body.managed_random,
            managed_guid: body.managed_guid,
            role: self.target.role(),
            username: self.target.username().as_bytes().to_vec(),
        };
        // Some BMCs send more bytes behind the code. All bytes of the code itself are compared.
        let code = body.code.get(..self.suite.code_len()).ok_or(Ignored::Length)?;
        if !exchange.rakp2_code(self.target.password()).matches(code, self.suite.code_len()) {
            return Ok(if code.iter().all(|byte| *byte == 0) { Step::NoCode } else { Step::Mismatch });
        }
        let code = exchange.rakp3_code(self.target.password()).as_bytes().to_vec();
        let keys = exchange.session_keys(self.target.session_secret());
        self.state = State::Rakp3 { code, managed_session_id, keys };
        Ok(Step::Next)
    }
}

#[cfg(test)]
mod tests;
