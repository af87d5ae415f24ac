//! The BMC's side of opening a session.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ipmi_lan::keys::{Exchange, SessionKeys};
use ipmi_lan::open_session::{OpenSessionRequest, OpenSessionResponse, SessionOffer};
use ipmi_lan::rakp::{Rakp1, Rakp2, Rakp2Body, Rakp3, Rakp4};
use ipmi_lan::rmcp::{PayloadType, encode_plain};
use ipmi_lan::suite::Algorithms;
use ipmi_lan::{CipherSuite, Ignored, Privilege};

use crate::behaviour::{BrokenSuite, User};
use crate::bmc::{Bmc, Reply};

const GUID: [u8; 16] = *b"bmc-responder-01";

/// A session as the BMC has it.
#[derive(Debug)]
pub(crate) struct BmcSession {
    pub(crate) console_session_id: u32,
    suite: CipherSuite,
    /// Exchange and user, after RAKP 1.
    exchange: Option<(Exchange, User)>,
    /// The keys, after a valid RAKP 3.
    pub(crate) keys: Option<SessionKeys>,
    pub(crate) privilege: Privilege,
    pub(crate) max_privilege: Privilege,
    pub(crate) next_sequence: u32,
    pub(crate) seen_sequences: BTreeSet<u32>,
    pub(crate) last_reply: Option<Vec<u8>>,
    pub(crate) last_used: Instant,
}

impl Bmc {
    pub(crate) fn open_session(&mut self, payload: &[u8], now: Instant) -> Result<Vec<Reply>, Ignored> {
        let request = OpenSessionRequest::decode(payload)?;
        self.seen.open_sessions.push(request.algorithms.authentication);
        self.seen.tags.push(request.message_tag);
        let timeout = self.behaviour.session_timeout;
        self.sessions.retain(|_, session| now.saturating_duration_since(session.last_used) < timeout);
        let suite = self.behaviour.suites.iter().copied().find(|suite| suite.algorithms() == request.algorithms);
        let outcome = match (self.behaviour.open_statuses.pop_front(), suite) {
            (Some(status), _) => Err(status),
            (None, None) => Err(self.behaviour.suite_status),
            (None, Some(_)) if self.sessions.len() >= self.behaviour.slots => Err(0x01),
            (None, Some(suite)) => Ok(self.offer(request, self.behaviour.answered_suite.unwrap_or(suite), now)),
        };
        let console_session_id = Some(request.console_session_id);
        let response = OpenSessionResponse { message_tag: request.message_tag, console_session_id, outcome };
        Ok(plain(PayloadType::OpenSessionResponse, &response.encode()))
    }

    fn offer(&mut self, request: OpenSessionRequest, suite: CipherSuite, now: Instant) -> SessionOffer {
        let managed_session_id = u32::try_from(self.random.next() >> 33).unwrap_or_default().max(1);
        let session = BmcSession {
            console_session_id: request.console_session_id,
            suite,
            exchange: None,
            keys: None,
            privilege: Privilege::User,
            max_privilege: Privilege::User,
            next_sequence: 1,
            seen_sequences: BTreeSet::new(),
            last_reply: None,
            last_used: now,
        };
        self.sessions.insert(managed_session_id, session);
        let none = Algorithms { authentication: 0, integrity: 0, confidentiality: 0 };
        SessionOffer {
            max_privilege: if self.behaviour.privilege_zero { 0 } else { Privilege::Administrator.value() },
            managed_session_id,
            algorithms: if self.behaviour.algorithms_changed { none } else { suite.algorithms() },
        }
    }

    pub(crate) fn rakp1(&mut self, payload: &[u8], now: Instant) -> Result<Vec<Reply>, Ignored> {
        let message = Rakp1::decode(payload)?;
        self.seen.rakp1 += 1;
        let managed_random = self.random.bytes();
        let user = self.find_user(&message);
        let scripted = self.behaviour.rakp1_statuses.pop_front();
        let repeated_ok = !self.behaviour.ignore_repeated_rakp1;
        let session = self.sessions.get_mut(&message.managed_session_id).ok_or(Ignored::SessionId)?;
        if session.exchange.is_some() && !repeated_ok {
            return Err(Ignored::Unexpected);
        }
        session.last_used = now;
        let console_session_id = Some(session.console_session_id);
        let broken = self.behaviour.broken_17.filter(|_| session.suite == CipherSuite::Suite17);
        let scripted = scripted.or(match broken {
            Some(BrokenSuite::Refusal(status)) => Some(status),
            _ => None,
        });
        let junk = self.behaviour.junk;
        let outcome = match (scripted, user) {
            (Some(status), _) | (None, Err(status)) => Err(status),
            (None, Ok(user)) => {
                let exchange = Exchange {
                    suite: session.suite,
                    console_session_id: session.console_session_id,
                    managed_session_id: message.managed_session_id,
                    console_random: message.console_random,
                    managed_random,
                    managed_guid: GUID,
                    role: message.role,
                    username: message.username.clone(),
                };
                session.max_privilege = user.privilege;
                let mut code = exchange.rakp2_code(&user.password).as_bytes().to_vec();
                if broken == Some(BrokenSuite::Zeros) {
                    code.fill(0);
                }
                code.extend(std::iter::repeat_n(0xA5, junk));
                session.exchange = Some((exchange, user));
                Ok(Rakp2Body { managed_random, managed_guid: GUID, code })
            }
        };
        if outcome.is_err() {
            self.sessions.remove(&message.managed_session_id);
            self.seen.failed_logins += u32::from(scripted.is_none_or(|status| status >= 0x09));
        }
        let answer = Rakp2 { message_tag: message.message_tag, console_session_id, outcome };
        let delay = self.rakp2_delay(now);
        let mut out = Vec::new();
        if self.behaviour.forge_rakp {
            let mut forged = answer.clone();
            if let Ok(body) = &mut forged.outcome {
                body.code.reverse();
            }
            out.push((delay, encode_plain(PayloadType::Rakp2, &forged.encode())));
        }
        out.push((delay, encode_plain(PayloadType::Rakp2, &answer.encode())));
        Ok(out)
    }

    fn rakp2_delay(&mut self, now: Instant) -> Duration {
        if !self.behaviour.rakp2_serial {
            return self.behaviour.rakp2_delay;
        }
        let start = self.busy_until.map_or(now, |busy| busy.max(now));
        let end = start + self.behaviour.rakp2_delay;
        self.busy_until = Some(end);
        end.saturating_duration_since(now)
    }

    fn find_user(&self, message: &Rakp1) -> Result<User, u8> {
        if self.behaviour.lock_after.is_some_and(|limit| self.seen.failed_logins >= limit) {
            return Err(0x0D);
        }
        let user = self.behaviour.users.iter().find(|user| user.name.as_bytes() == message.username).ok_or(0x0Du8)?;
        if self.behaviour.strict_role && message.role & 0x0F > user.privilege.value() {
            return Err(0x0A);
        }
        Ok(user.clone())
    }

    pub(crate) fn rakp3(&mut self, payload: &[u8]) -> Result<Vec<Reply>, Ignored> {
        let message = Rakp3::decode(payload)?;
        let id = message.managed_session_id;
        let Ok(code) = message.outcome else {
            self.sessions.remove(&id);
            self.seen.failed_logins += 1;
            return Ok(Vec::new());
        };
        self.seen.rakp3 += 1;
        let scripted = self.behaviour.rakp3_statuses.pop_front();
        let kg = self.behaviour.kg.clone();
        let session = self.sessions.get_mut(&id).ok_or(Ignored::SessionId)?;
        let (exchange, user) = session.exchange.as_ref().ok_or(Ignored::Unexpected)?;
        let right = exchange.rakp3_code(&user.password).as_bytes() == code;
        let keys = exchange.session_keys(kg.as_deref().unwrap_or(&user.password));
        let console_session_id = Some(session.console_session_id);
        let outcome = match scripted {
            Some(status) => Err(status),
            None if !right => Err(0x0F),
            None => Ok([keys.rakp4_value(), &vec![0xA5; self.behaviour.junk]].concat()),
        };
        if outcome.is_ok() {
            self.seen.logins += u32::from(session.keys.is_none());
            session.keys = Some(keys);
            if self.behaviour.deaf_sessions > 0 {
                self.behaviour.deaf_sessions -= 1;
                self.sessions.remove(&id);
            }
        } else {
            self.sessions.remove(&id);
            self.seen.failed_logins += u32::from(scripted.is_none_or(|status| status >= 0x09));
        }
        let answer = Rakp4 { message_tag: message.message_tag, console_session_id, outcome };
        let mut out = Vec::new();
        if self.behaviour.forge_rakp {
            let mut forged = answer.clone();
            if let Ok(value) = &mut forged.outcome {
                value.reverse();
            }
            out.extend(plain(PayloadType::Rakp4, &forged.encode()));
        }
        out.extend(plain(PayloadType::Rakp4, &answer.encode()));
        Ok(out)
    }
}

fn plain(kind: PayloadType, payload: &[u8]) -> Vec<Reply> {
    vec![(Duration::ZERO, encode_plain(kind, payload))]
}
