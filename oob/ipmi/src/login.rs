//! Opens a session over a socket: sends, receives, starts again, and decides when not to.

use std::time::{Duration, Instant};

use ipmi_rs::app::auth::{GetChannelAuthenticationCapabilities, PrivilegeLevel};
use ipmi_rs::connection::{Channel, IpmiCommand, Message};

use crate::handshake::{Attempt, Choice, Established, Stage, Step};
use crate::ignored::IgnoredTally;
use crate::lan_message::{LanReply, LanRequest};
use crate::rmcp::{decode_plain, decode_v15, encode_v15};
use crate::status::{Refusal, classify, describe};
use crate::timers::{
    ATTEMPTS_HEARD, OPEN_SENDS, RAKP1_SENDS, RAKP3_SENDS, REFUSAL_DOUBT, SESSION_GONE_PAUSE, exchange_wait, open_wait,
    rakp_wait, slot_pause,
};
use crate::transport::Transport;
use crate::{CipherSuite, Error, Ignored, Privilege, Target};

/// The first message of a login.
pub(crate) const CAPABILITIES: &str = "Get Channel Authentication Capabilities";

/// Opens a session at user level; returns by `deadline`.
pub(crate) fn log_in(transport: &mut Transport, target: &Target, deadline: Instant) -> Result<Established, Error> {
    let mut tag = [0; 1];
    fill_random(&mut tag)?;
    let mut login = Login {
        transport,
        target,
        deadline,
        started: Instant::now(),
        suite: 0,
        first_tag: tag[0],
        attempts: Vec::new(),
        rounds: 0,
        sent: 0,
        sent_total: 0,
        timer: deadline,
        rakp_began: false,
        loss_seen: false,
        round_trip: None,
        pausing: false,
        slots_refused: 0,
        refusal: None,
        failure: None,
        ignored: IgnoredTally::default(),
    };
    login.run()
}

struct Login<'a> {
    transport: &'a mut Transport,
    target: &'a Target,
    deadline: Instant,
    started: Instant,
    /// The index of the proposed suite among the target's.
    suite: usize,
    /// The first tag. It is random: a sender that does not see our packets does not know it.
    first_tag: u8,
    /// The last attempt leads: its message is sent again. Answers to the other attempts still count, also to refused
    /// ones.
    attempts: Vec<Attempt<'a>>,
    rounds: u32,
    /// How often the leading attempt's present message was sent.
    sent: u32,
    sent_total: u32,
    timer: Instant,
    rakp_began: bool,
    loss_seen: bool,
    /// Time until the answer to the authentication capabilities, counted from their last send.
    round_trip: Option<Duration>,
    pausing: bool,
    slots_refused: u32,
    /// The last refusal after which another attempt could succeed.
    refusal: Option<(Stage, u8)>,
    /// The reason why the login fails, if the timer ends without a better answer. Until the session is open, any host
    /// may have sent it.
    failure: Option<Error>,
    ignored: IgnoredTally,
}

impl Login<'_> {
    fn run(&mut self) -> Result<Established, Error> {
        let refused = self.authentication_capabilities()?;
        self.start_attempt()?;
        if let Some(failure) = refused {
            self.fail(failure);
        }
        loop {
            let received = self.transport.receive(self.timer.min(self.deadline))?;
            let step = received.map(|datagram| deliver(&mut self.attempts, datagram));
            match step {
                None => self.timer_ended()?,
                Some(Err(reason)) => self.ignored.add(reason),
                Some(Ok((index, step))) => {
                    if let Some(established) = self.advance(index, step)? {
                        return Ok(established);
                    }
                }
            }
        }
    }

    /// Finds out early whether the BMC supports IPMI 2.0 at all. Returns the failure after a clear no, which any host
    /// may have sent. Any other readable answer is sufficient.
    fn authentication_capabilities(&mut self) -> Result<Option<Error>, Error> {
        let level = match self.target.privilege() {
            Privilege::User => PrivilegeLevel::User,
            Privilege::Operator => PrivilegeLevel::Operator,
            Privilege::Administrator => PrivilegeLevel::Administrator,
        };
        let message = Message::from(GetChannelAuthenticationCapabilities::new(Channel::Current, level));
        let request = LanRequest {
            net_fn: message.netfn_raw(),
            lun: 0,
            sequence: self.first_tag & 0x3F,
            command: message.cmd(),
            data: message.data().to_vec(),
        };
        let packet = encode_v15(&request.encode());
        for sent in 1.. {
            if Instant::now() >= self.deadline {
                return Err(self.silence(CAPABILITIES, sent - 1));
            }
            self.transport.send(&packet)?;
            let sent_at = Instant::now();
            let timer = (sent_at + exchange_wait(sent)).min(self.deadline);
            while let Some(datagram) = self.transport.receive(timer)? {
                match capabilities_reply(&request, datagram) {
                    Ok(reply) => {
                        self.loss_seen = sent > 1;
                        self.round_trip = Some(sent_at.elapsed());
                        return Ok(self.judge_capabilities(&reply));
                    }
                    Err(reason) => self.ignored.add(reason),
                }
            }
        }
        Ok(None)
    }

    fn judge_capabilities(&self, reply: &LanReply) -> Option<Error> {
        let parsed = GetChannelAuthenticationCapabilities::parse_success_response(&reply.data);
        match parsed {
            Ok(capabilities) if reply.completion_code == 0 && !capabilities.ipmi2_connections_supported => {
                Some(Error::NoIpmi20 { peer: self.transport.peer() })
            }
            _ => None,
        }
    }

    fn start_attempt(&mut self) -> Result<(), Error> {
        let choice = random_choice()?;
        let tag = u8::try_from(self.rounds % 64).unwrap_or_default() * Attempt::TAGS;
        let suite = self.suites().get(self.suite).copied().unwrap_or(CipherSuite::Suite17);
        self.attempts.push(Attempt::new(self.target, suite, choice, self.first_tag.wrapping_add(tag)));
        if self.attempts.len() > ATTEMPTS_HEARD {
            self.attempts.remove(0);
        }
        self.rounds += 1;
        self.pausing = false;
        self.sent = 0;
        self.transmit()
    }

    fn suites(&self) -> &[CipherSuite] {
        self.target.cipher_suites()
    }

    /// Returns the index of a suite among the target's: the lower, the better.
    fn place(&self, suite: CipherSuite) -> usize {
        self.suites().iter().position(|known| *known == suite).unwrap_or(usize::MAX)
    }

    /// Keeps the reason why the login fails, in case no better answer comes.
    fn fail(&mut self, failure: Error) {
        if self.failure.is_none() {
            self.failure = Some(failure);
            self.timer = self.timer.max(Instant::now() + REFUSAL_DOUBT);
        }
    }

    /// Sends the leading attempt's message and sets the timer.
    fn transmit(&mut self) -> Result<(), Error> {
        let Some(attempt) = self.attempts.last() else { return Ok(()) };
        let stage = attempt.stage();
        self.transport.send(&attempt.packet())?;
        self.rakp_began |= stage > Stage::OpenSession;
        self.sent += 1;
        self.sent_total += 1;
        let wait = match stage {
            Stage::OpenSession => open_wait(self.sent, self.round_trip),
            Stage::Rakp1 | Stage::Rakp3 => rakp_wait(self.rounds.saturating_sub(1), self.loss_seen, self.round_trip),
        };
        self.timer = Instant::now() + wait;
        Ok(())
    }

    fn timer_ended(&mut self) -> Result<(), Error> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if Instant::now() >= self.deadline {
            return Err(self.out_of_time());
        }
        let Some(lead) = self.attempts.last().filter(|_| !self.pausing) else {
            return self.start_attempt();
        };
        let sends = match lead.stage() {
            Stage::OpenSession => OPEN_SENDS,
            Stage::Rakp1 => RAKP1_SENDS,
            Stage::Rakp3 => RAKP3_SENDS,
        };
        if self.sent < sends {
            self.loss_seen |= lead.stage() == Stage::OpenSession;
            self.transmit()
        } else {
            self.start_attempt()
        }
    }

    fn advance(&mut self, index: usize, step: Step) -> Result<Option<Established>, Error> {
        let Some(stage) = self.attempts.get(index).map(Attempt::stage) else { return Ok(None) };
        match step {
            Step::Done(established) => return Ok(Some(*established)),
            Step::Next => {
                let led = index + 1 == self.attempts.len();
                let attempt = self.attempts.remove(index);
                let place = self.place(attempt.suite());
                // A late answer is useless if its attempt is not ahead of the leading one, unless that one has a worse
                // suite because of a refusal.
                let is_behind = |lead: &Attempt<'_>| lead.stage() < stage || place < self.place(lead.suite());
                if led || self.attempts.last().is_none_or(is_behind) {
                    self.suite = place;
                    self.attempts.push(attempt);
                    (self.failure, self.pausing, self.sent) = (None, false, 0);
                    self.transmit()?;
                }
            }
            Step::Mismatch => {
                let failure = self.mismatch(stage);
                self.fail(failure);
                let attempt = self.attempts.remove(index);
                self.attempts.push(attempt);
            }
            Step::SuiteChanged => {
                let suite = self.attempts.get(index).map_or(CipherSuite::Suite17, Attempt::suite);
                self.fail(Error::CipherSuiteChanged { peer: self.transport.peer(), suite });
            }
            Step::Refused(status) => self.refused(index, stage, status)?,
        }
        Ok(None)
    }

    fn refused(&mut self, index: usize, stage: Stage, status: u8) -> Result<(), Error> {
        match classify(status) {
            Refusal::NoSlot => {
                self.slots_refused += 1;
                self.start_over(index, stage, status, slot_pause(self.slots_refused));
            }
            Refusal::SessionGone if stage != Stage::OpenSession => {
                self.start_over(index, stage, status, SESSION_GONE_PAUSE);
            }
            Refusal::CipherSuite if stage == Stage::OpenSession => {
                let suite = self.attempts.get(index).map_or(CipherSuite::Suite17, Attempt::suite);
                let next = self.place(suite).saturating_add(1);
                if self.place(suite) != self.suite {
                    // The refused suite is not the present one any more.
                } else if next < self.suites().len() && !self.rakp_began {
                    self.suite = next;
                    self.start_attempt()?;
                } else {
                    self.fail(Error::CipherSuiteRefused { peer: self.transport.peer(), suite, status });
                }
            }
            kind => {
                let failure = self.refusal(kind, stage, status);
                self.fail(failure);
            }
        }
        Ok(())
    }

    fn start_over(&mut self, index: usize, stage: Stage, status: u8, pause: Duration) {
        self.refusal = Some((stage, status));
        if index + 1 == self.attempts.len() {
            self.pausing = true;
            self.timer = Instant::now() + pause;
        }
    }

    fn mismatch(&self, stage: Stage) -> Error {
        let (peer, username) = (self.transport.peer(), self.target.username().to_owned());
        if stage == Stage::Rakp3 {
            Error::WrongKg { peer, username, kg_given: self.target.has_kg() }
        } else {
            Error::WrongPassword { peer, username, message: 2 }
        }
    }

    fn refusal(&self, kind: Refusal, stage: Stage, status: u8) -> Error {
        let (peer, username) = (self.transport.peer(), self.target.username().to_owned());
        match kind {
            Refusal::Username => Error::UserRefused { peer, username, status },
            Refusal::Password => {
                Error::WrongPassword { peer, username, message: if stage == Stage::Rakp3 { 4 } else { 2 } }
            }
            Refusal::Privilege => {
                let reason = format!("status {status:02X}h, {}", describe(status));
                Error::PrivilegeRefused {
                    peer,
                    username,
                    privilege: self.target.privilege(),
                    reason,
                    in_session: false,
                }
            }
            _ => Error::HandshakeRefused { peer, asked: stage.asked(), status },
        }
    }

    fn out_of_time(&self) -> Error {
        let peer = self.transport.peer();
        match self.refusal {
            Some((_, status)) if self.slots_refused > 0 => {
                Error::NoSessionSlot { peer, tries: self.slots_refused, status }
            }
            Some((stage, status)) => Error::HandshakeRefused { peer, asked: stage.asked(), status },
            None => {
                let stage = self.attempts.last().map_or(Stage::OpenSession, Attempt::stage);
                self.silence(stage.asked(), self.sent_total)
            }
        }
    }

    fn silence(&self, asked: &'static str, sent: u32) -> Error {
        let peer = self.transport.peer();
        if sent == 0 {
            return Error::DeadlinePassed { peer, asked };
        }
        Error::NoAnswer { peer, asked, sent, waited: self.started.elapsed(), ignored: self.ignored }
    }
}

/// Passes a datagram to the attempt to which it belongs.
fn deliver(attempts: &mut [Attempt<'_>], datagram: &[u8]) -> Result<(usize, Step), Ignored> {
    let (kind, payload) = decode_plain(datagram)?;
    let mut reason = Ignored::Unexpected;
    for (index, attempt) in attempts.iter_mut().enumerate().rev() {
        match attempt.receive(kind, payload) {
            Ok(step) => return Ok((index, step)),
            Err(why) => reason = why,
        }
    }
    Err(reason)
}

fn capabilities_reply(request: &LanRequest, datagram: &[u8]) -> Result<LanReply, Ignored> {
    let reply = LanReply::decode(decode_v15(datagram)?)?;
    request.accept(&reply)?;
    Ok(reply)
}

fn random_choice() -> Result<Choice, Error> {
    let mut id = [0u8; 4];
    let mut console_random = [0u8; 16];
    fill_random(&mut id)?;
    fill_random(&mut console_random)?;
    // Session ID 0 means "no session" (section 13.6).
    Ok(Choice { console_session_id: u32::from_le_bytes(id).max(1), console_random })
}

/// Fills `bytes` with unpredictable bytes from the operating system.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|error| Error::Random(error.to_string()))
}
