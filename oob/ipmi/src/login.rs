//! Opens a session over a socket: sends, receives, starts again, and decides when not to.

mod refusal;

use std::time::{Duration, Instant};

use ipmi_rs::app::auth::{GetChannelAuthenticationCapabilities, PrivilegeLevel};
use ipmi_rs::connection::{Channel, IpmiCommand, Message};

use crate::flight::{Flight, Question};
use crate::handshake::{Attempt, Choice, Established, Stage, Step};
use crate::ignored::IgnoredTally;
use crate::lan_message::{LanReply, LanRequest};
use crate::rmcp::{decode_plain, decode_v15, encode_v15};
use crate::timers::{ATTEMPTS_ANSWERED, OPEN_SENDS, Pace, RAKP1_SENDS, RAKP3_SENDS, REFUSAL_DOUBT, limited_wait};
use crate::transport::Transport;
use crate::{CipherSuite, Error, Ignored, Privilege, Target};

/// The first message of a login, whose answer is missing although the BMC has answered.
const ALIVE: &str = "Open Session Request, though it has answered before";

/// The number of refusals without a tag that one login takes: OpenBMC refuses so, and may refuse each suite.
const TAGLESS_REFUSALS: u32 = 2;

/// Opens a session at user level; returns by `deadline`. Also returns what was measured of the BMC on the way.
/// `answered` is whether this BMC has answered before: then its silence is not that of a BMC without power.
pub(crate) fn log_in(
    transport: &mut Transport,
    target: &Target,
    answered: bool,
    deadline: Instant,
) -> Result<(Established, Pace), Error> {
    let mut tag = [0; 1];
    fill_random(&mut tag)?;
    let mut login = Login {
        transport,
        target,
        deadline,
        started: Instant::now(),
        suite: 0,
        flight: Flight::new(tag[0]),
        tagless: 0,
        capabilities: Vec::new(),
        attempts: Vec::new(),
        rounds: 0,
        sent: 0,
        sent_total: 0,
        timer: deadline,
        proof_sent: false,
        pausing: false,
        slots_refused: 0,
        refusal: None,
        failure: None,
        earlier: None,
        ignored: IgnoredTally::default(),
        answered,
    };
    let established = login.run()?;
    Ok((established, login.flight.pace))
}

struct Login<'a> {
    transport: &'a mut Transport,
    target: &'a Target,
    deadline: Instant,
    started: Instant,
    /// The index of the proposed suite among the target's.
    suite: usize,
    flight: Flight,
    /// The number of refusals without a tag that were taken.
    tagless: u32,
    /// The questions for the authentication capabilities whose answers may still come, each with its tag.
    capabilities: Vec<(u8, LanRequest)>,
    /// The last attempt leads: its message is sent again. Answers to the other attempts still count, also to refused
    /// ones.
    attempts: Vec<Attempt<'a>>,
    rounds: u32,
    /// How often the leading attempt's present message was sent.
    sent: u32,
    /// How many packets were sent.
    sent_total: u32,
    timer: Instant,
    /// RAKP 3, which proves the password, was sent.
    proof_sent: bool,
    pausing: bool,
    slots_refused: u32,
    /// The last refusal after which another attempt could succeed.
    refusal: Option<(Stage, u8)>,
    /// The reason why the login fails, if the timer ends without a better answer. Until the session is open, any host
    /// may have sent it.
    failure: Option<Error>,
    /// The reason why an earlier suite failed, if it is more than that the BMC does not offer the suite.
    earlier: Option<Error>,
    ignored: IgnoredTally,
    /// The BMC has answered anything.
    answered: bool,
}

/// An answer that belongs to a packet of ours.
enum LoginAnswer {
    /// The authentication capabilities, with the tag of the question.
    Capabilities(u8, LanReply),
    /// The answer to an attempt's present message: its tag, the attempt, the consequence.
    Handshake { tag: u8, index: usize, step: Step },
}

impl Login<'_> {
    fn run(&mut self) -> Result<Established, Error> {
        if Instant::now() >= self.deadline {
            return Err(self.silence(Stage::OpenSession.asked(), 0));
        }
        self.start_attempt()?;
        loop {
            let received = self.transport.receive(self.timer.min(self.deadline))?;
            let Some(datagram) = received else {
                self.timer_ended()?;
                continue;
            };
            match deliver(&mut self.attempts, &self.capabilities, datagram) {
                Err(reason) => self.ignored.add(reason),
                Ok(LoginAnswer::Capabilities(tag, reply)) => self.capable(tag, &reply),
                Ok(LoginAnswer::Handshake { tag, step: Step::Refused(_), .. }) if self.is_one_too_many(tag) => {
                    self.ignored.add(Ignored::MessageTag);
                }
                Ok(LoginAnswer::Handshake { tag, index, step }) => {
                    self.answered = true;
                    if !matches!(step, Step::Refused(_)) {
                        self.tagless = 0;
                    }
                    self.flight.end(tag, Instant::now());
                    if let Some(established) = self.advance(index, step)? {
                        return Ok(established);
                    }
                }
            }
        }
    }

    /// Whether a refusal has no tag of ours, and as many were taken already. A sender that does not see our packets can
    /// send these, too.
    fn is_one_too_many(&mut self, tag: u8) -> bool {
        let is_tagless = !self.flight.has(tag);
        self.tagless += u32::from(is_tagless);
        is_tagless && self.tagless > TAGLESS_REFUSALS
    }

    /// Asks for the authentication capabilities. A BMC answers them fast, and those without IPMI 2.0 answer nothing else.
    fn ask_capabilities(&mut self) -> Result<(), Error> {
        let level = match self.target.privilege() {
            Privilege::User => PrivilegeLevel::User,
            Privilege::Operator => PrivilegeLevel::Operator,
            Privilege::Administrator => PrivilegeLevel::Administrator,
        };
        let message = Message::from(GetChannelAuthenticationCapabilities::new(Channel::Current, level));
        let tag = self.flight.begin(Question::Capabilities, Instant::now());
        let request = LanRequest {
            net_fn: message.netfn_raw(),
            lun: 0,
            sequence: tag & 0x3F,
            command: message.cmd(),
            data: message.data().to_vec(),
        };
        self.transport.send(&encode_v15(&request.encode()))?;
        self.sent_total += 1;
        self.capabilities.push((tag, request));
        Ok(())
    }

    /// Takes the authentication capabilities. Any host may have sent them. They show that the BMC is there: an Open
    /// Session Request that was sent before them is lost, or the BMC is at work on it.
    fn capable(&mut self, tag: u8, reply: &LanReply) {
        self.answered = true;
        self.flight.end(tag, Instant::now());
        self.capabilities.retain(|(asked, _)| *asked != tag);
        if let Some(failure) = self.judge_capabilities(reply) {
            self.fail(failure);
            return;
        }
        let asks = self.attempts.last().is_some_and(|lead| lead.stage() == Stage::OpenSession);
        if asks && self.failure.is_none() && !self.pausing {
            self.timer = self.timer.min(Instant::now() + self.flight.pace.open_wait(1));
        }
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
        let suite = self.suites().get(self.suite).copied().unwrap_or(CipherSuite::Suite17);
        self.attempts.push(Attempt::new(self.target, suite, choice));
        if self.attempts.len() > ATTEMPTS_ANSWERED {
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
    fn suite_index(&self, suite: CipherSuite) -> usize {
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
        let Some(attempt) = self.attempts.last_mut() else { return Ok(()) };
        let stage = attempt.stage();
        let tag = self.flight.begin(Question::Handshake(stage), Instant::now());
        self.transport.send(&attempt.packet(tag))?;
        self.proof_sent |= stage == Stage::Rakp3;
        self.sent += 1;
        self.sent_total += 1;
        let wait = match stage {
            Stage::OpenSession => self.open_wait(),
            Stage::Rakp1 | Stage::Rakp3 => {
                self.flight.pace.rakp_wait(self.rounds.saturating_sub(1), self.flight.loss_seen)
            }
        };
        self.wait(wait);
        Ok(())
    }

    /// Sets the timer.
    fn wait(&mut self, wait: Duration) {
        let now = Instant::now();
        self.timer = now + limited_wait(wait, self.deadline.saturating_duration_since(now));
    }

    /// Returns the wait for an offered session. Before any answer each packet counts, whatever it asks.
    fn open_wait(&self) -> Duration {
        self.flight.pace.open_wait(if self.flight.pace.is_measured() { self.sent } else { self.sent_total })
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
        // Each second packet to a BMC that has not answered is not a copy, but the question that every BMC answers: one
        // without IPMI 2.0 has no other answer, and one without a free session may have none.
        if !self.answered && self.sent_total % 2 == 1 {
            self.ask_capabilities()?;
            self.wait(self.open_wait());
            return Ok(());
        }
        let sends = match lead.stage() {
            Stage::OpenSession => OPEN_SENDS,
            Stage::Rakp1 => RAKP1_SENDS,
            Stage::Rakp3 => RAKP3_SENDS,
        };
        // A BMC that has been measured would have answered by now.
        self.flight.loss_seen |= lead.stage() == Stage::OpenSession && self.flight.pace.is_measured();
        if self.sent < sends { self.transmit() } else { self.start_attempt() }
    }

    /// Carries out the consequence of an answer to an attempt, whose stage is that after the answer.
    fn advance(&mut self, index: usize, step: Step) -> Result<Option<Established>, Error> {
        let Some(stage) = self.attempts.get(index).map(Attempt::stage) else { return Ok(None) };
        match step {
            Step::Done(established) => return Ok(Some(*established)),
            Step::Next => {
                let led = index + 1 == self.attempts.len();
                let attempt = self.attempts.remove(index);
                let place = self.suite_index(attempt.suite());
                // A late answer is useless if its attempt is not ahead of the leading one, unless that one has a worse
                // suite because of a refusal.
                let is_behind = |lead: &Attempt<'_>| lead.stage() < stage || place < self.suite_index(lead.suite());
                if led || self.attempts.last().is_none_or(is_behind) {
                    // An offer may be forged: it leads to a better suite, but only RAKP 2, which shows that the BMC
                    // computes the suite, to a worse one.
                    if attempt.stage() == Stage::Rakp3 || place < self.suite {
                        self.suite = place;
                    }
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
            Step::SuiteChanged(answered) => {
                let suite = self.suite_of(index);
                self.fail(Error::CipherSuiteChanged { peer: self.transport.peer(), suite, answered });
            }
            Step::NoCode => {
                let suite = self.suite_of(index);
                self.next_suite(index, Error::NoCode { peer: self.transport.peer(), suite })?;
            }
            Step::Refused(status) => self.refused(index, stage, status)?,
        }
        Ok(None)
    }

    fn suite_of(&self, index: usize) -> CipherSuite {
        self.attempts.get(index).map_or(CipherSuite::Suite17, Attempt::suite)
    }
}

/// Finds the packet that a datagram answers, and its consequence.
fn deliver(attempts: &mut [Attempt<'_>], asked: &[(u8, LanRequest)], datagram: &[u8]) -> Result<LoginAnswer, Ignored> {
    if let Ok(message) = decode_v15(datagram) {
        let reply = LanReply::decode(message)?;
        let mut reason = Ignored::Unexpected;
        for (tag, request) in asked {
            match request.accept(&reply) {
                Ok(()) => return Ok(LoginAnswer::Capabilities(*tag, reply)),
                Err(why) => reason = why,
            }
        }
        return Err(reason);
    }
    let (kind, payload) = decode_plain(datagram)?;
    let tag = payload.first().copied().ok_or(Ignored::Length)?;
    let mut reason = Ignored::Unexpected;
    for (index, attempt) in attempts.iter_mut().enumerate().rev() {
        match attempt.receive(kind, payload) {
            Ok(step) => return Ok(LoginAnswer::Handshake { tag, index, step }),
            Err(why) => reason = why,
        }
    }
    Err(reason)
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
