//! One BMC as a state machine: datagrams in, datagrams out, no socket.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ipmi_lan::Ignored;
use ipmi_lan::lan_message::LanRequest;
use ipmi_lan::rmcp::{HEADER_LEN, PayloadType, SessionHeader, decode_plain, decode_v15, encode_plain, encode_v15};

use crate::behaviour::{Attack, Behaviour, PowerActs};
use crate::random::Random;
use crate::session::BmcSession;

/// The counts of a BMC's requests and logins so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Number of datagrams received, without lost ones.
    pub datagrams: u32,
    /// Open Session Requests, by the proposed authentication algorithm (1 for suite 3, 3 for suite 17).
    pub open_sessions: Vec<u8>,
    /// The message tags of the Open Session Requests.
    pub tags: Vec<u8>,
    /// Number of RAKP 1 messages.
    pub rakp1: u32,
    /// Number of RAKP 3 messages that claim success.
    pub rakp3: u32,
    /// Number of failed logins: unknown user, refused role, wrong proof, or a console that gives up because of the
    /// password.
    pub failed_logins: u32,
    /// Number of successful logins.
    pub logins: u32,
    /// Number of Close Session commands.
    pub closes: u32,
    /// The control numbers of Chassis Control.
    pub controls: Vec<u8>,
    /// Session sequence number, `rqSeq`, network function and command of each request in a session.
    pub requests: Vec<(u32, u8, u8, u8)>,
}

/// A datagram to send after a delay.
pub(crate) type Reply = (Duration, Vec<u8>);

/// The state of one BMC.
#[derive(Debug)]
pub struct Bmc {
    /// Its behaviour, which may be changed at any time.
    pub behaviour: Behaviour,
    /// Its counts so far.
    pub seen: Seen,
    pub(crate) sessions: BTreeMap<u32, BmcSession>,
    pub(crate) random: Random,
    pub(crate) busy_until: Option<Instant>,
    /// The ends of the turns of the packets that are worked off one after another.
    turns: Vec<Instant>,
    /// The time that the present packet takes.
    pub(crate) lasts: Duration,
    pending_power: Option<(Instant, bool)>,
}

impl Bmc {
    /// Returns a BMC with this behaviour.
    pub fn new(behaviour: Behaviour) -> Self {
        let random = Random::new(behaviour.noise.seed);
        Self {
            behaviour,
            seen: Seen::default(),
            sessions: BTreeMap::new(),
            random,
            busy_until: None,
            turns: Vec::new(),
            lasts: Duration::ZERO,
            pending_power: None,
        }
    }

    /// Returns the true power at this time.
    pub fn power(&mut self, now: Instant) -> bool {
        if let Some((when, power)) = self.pending_power
            && now >= when
        {
            self.behaviour.chassis.power_on = power;
            self.pending_power = None;
        }
        self.behaviour.chassis.power_on
    }

    pub(crate) fn control(&mut self, power: bool, now: Instant) {
        match self.behaviour.power_acts {
            PowerActs::AtOnce => self.behaviour.chassis.power_on = power,
            PowerActs::After(delay) => self.pending_power = Some((now + delay, power)),
            PowerActs::Never => {}
        }
    }

    /// Processes one datagram; returns the datagrams to send, with the faults of the network.
    pub(crate) fn receive(&mut self, datagram: &[u8], now: Instant) -> Vec<Reply> {
        if self.behaviour.silent || self.random.chance(self.behaviour.noise.lose_requests) {
            return Vec::new();
        }
        self.turns.retain(|end| *end > now);
        if self.turns.len() > self.behaviour.queue {
            return Vec::new();
        }
        self.seen.datagrams += 1;
        self.lasts = self.behaviour.packet_time;
        let start = self.turns.last().copied().unwrap_or(now);
        // The packet is worked on at the start of its turn.
        let replies = self.answer(datagram, start).unwrap_or_default();
        let end = start + self.lasts;
        if !self.lasts.is_zero() {
            self.turns.push(end);
        }
        let wait = end.saturating_duration_since(now);
        self.disturb(replies.into_iter().map(|(delay, bytes)| (wait + delay, bytes)).collect())
    }

    fn answer(&mut self, datagram: &[u8], now: Instant) -> Result<Vec<Reply>, Ignored> {
        if let Some(pong) = self.pong(datagram) {
            return Ok(vec![(Duration::ZERO, pong)]);
        }
        if let Ok(message) = decode_v15(datagram) {
            let request = LanRequest::decode(message)?;
            let answer = |(code, data)| (Duration::ZERO, encode_v15(&request.reply(code, data).encode()));
            let forged = (self.behaviour.attack == Some(Attack::NoIpmi20)).then(|| self.capabilities(&request, false));
            let truth = self.capabilities(&request, self.behaviour.ipmi20);
            return Ok(forged.into_iter().chain([truth]).map(answer).collect());
        }
        let (header, _, _) = SessionHeader::decode(datagram)?;
        if header.protected {
            return self.in_session(header.session_id, datagram, now);
        }
        let (kind, payload) = decode_plain(datagram)?;
        if self.behaviour.silent_handshake {
            return Err(Ignored::Unexpected);
        }
        let (answer, mut truth) = match kind {
            PayloadType::OpenSessionRequest => (PayloadType::OpenSessionResponse, self.open_session(payload, now)?),
            PayloadType::Rakp1 => (PayloadType::Rakp2, self.rakp1(payload, now)?),
            PayloadType::Rakp3 => (PayloadType::Rakp4, self.rakp3(payload)?),
            _ => return Err(Ignored::PayloadType),
        };
        if self.behaviour.blank_refusals {
            truth.iter_mut().for_each(|(_, bytes)| blank_refusal(bytes));
        }
        Ok(self.forged(answer, &truth).into_iter().chain(truth).collect())
    }

    /// Returns an ASF presence pong (IPMI 2.0 section 13.2.4).
    fn pong(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let &[0x06, _, _, 0x06, a, b, c, d, 0x80, tag, ..] = datagram else { return None };
        let mut out = vec![0x06, 0x00, 0xFF, 0x06, a, b, c, d, 0x40, tag, 0, 16, a, b, c, d, 0, 0, 0, 0, 0x81];
        out.extend([0; 7]);
        self.behaviour.asf_pong.then_some(out)
    }

    /// Returns the attacker's packets right before the true answer, made from it.
    fn forged(&self, kind: PayloadType, truth: &[Reply]) -> Vec<Reply> {
        let Some([tag, _, rest @ ..]) = truth.first().and_then(|(_, bytes)| bytes.get(HEADER_LEN..)) else {
            return Vec::new();
        };
        let now = |payload: &[u8]| (Duration::ZERO, encode_plain(kind, payload));
        match self.behaviour.attack {
            Some(Attack::Refusal(status)) => {
                let mut payload = vec![*tag, status];
                payload.extend(rest.iter().take(6));
                vec![now(&payload)]
            }
            Some(Attack::Spray(status)) => {
                (0..128).map(|step| now(&[tag.wrapping_add(64).wrapping_sub(step), status])).collect()
            }
            Some(Attack::NoIpmi20) | None => Vec::new(),
        }
    }

    fn capabilities(&self, request: &LanRequest, ipmi20: bool) -> (u8, Vec<u8>) {
        if (request.net_fn, request.command) != (0x06, 0x38) {
            return (0xD4, Vec::new());
        }
        let kg = if self.behaviour.kg.is_some() { 0x20 } else { 0 };
        let versions = if ipmi20 { 0x03 } else { 0x01 };
        (0, vec![0x01, 0x80, 0x04 | kg, versions, 0, 0, 0, 0])
    }

    fn disturb(&mut self, replies: Vec<Reply>) -> Vec<Reply> {
        let noise = self.behaviour.noise;
        let mut out = Vec::new();
        for (mut delay, mut bytes) in replies {
            if self.random.chance(noise.lose_replies) {
                continue;
            }
            if self.random.chance(noise.corrupt) {
                let bit = self.random.below(bytes.len() * 8);
                if let Some(byte) = bytes.get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            if self.random.chance(noise.reorder) {
                delay += noise.delay;
            }
            if self.random.chance(noise.duplicate) {
                out.push((delay + noise.delay, bytes.clone()));
            }
            out.push((delay, bytes));
        }
        out
    }
}

/// Clears tag and session ID of a refusal.
fn blank_refusal(bytes: &mut [u8]) {
    let Some([tag, status, _, _, id @ ..]) = bytes.get_mut(HEADER_LEN..) else { return };
    if *status != 0 {
        *tag = 0;
        id.fill(0);
    }
}
