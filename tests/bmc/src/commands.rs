//! Answers commands inside a session, and makes forged replies.

use std::time::{Duration, Instant};

use ipmi_lan::lan_message::{LanReply, LanRequest};
use ipmi_lan::protect::{open, protect};
use ipmi_lan::rmcp::{PayloadType, SessionHeader};
use ipmi_lan::{Ignored, Privilege};

use crate::behaviour::{Forgery, PrivilegeReply};
use crate::bmc::{Bmc, Reply};

/// The reservation of the sensor records.
const RESERVATION: [u8; 2] = [0x34, 0x12];

impl Bmc {
    pub(crate) fn in_session(&mut self, id: u32, datagram: &[u8], now: Instant) -> Result<Vec<Reply>, Ignored> {
        let session = self.sessions.get_mut(&id).ok_or(Ignored::SessionId)?;
        let keys = session.keys.as_ref().ok_or(Ignored::Unexpected)?;
        let (sequence, message) = open(keys, id, datagram)?;
        if !session.seen_sequences.insert(sequence) {
            return Err(Ignored::OldSequence);
        }
        session.last_used = now;
        let request = LanRequest::decode(&message)?;
        self.seen.requests.push((sequence, request.sequence, request.net_fn, request.command));
        let is_control = (request.net_fn, request.command) == (0x00, 0x02);
        if is_control && self.behaviour.lose_controls {
            self.seen.controls.extend(request.data.first());
            return Ok(Vec::new());
        }
        let (code, mut data) = self.execute(id, &request, now);
        if code == 0 {
            data.truncate(data.len().saturating_sub(self.behaviour.cut));
        }
        let closing = (request.net_fn, request.command) == (0x06, 0x3C);
        if closing && self.behaviour.silent_close {
            return Ok(Vec::new());
        }
        let replies = self.protected(id, &request, &request.reply(code, data), now);
        if closing {
            self.sessions.remove(&id);
        }
        Ok(replies.into_iter().map(|bytes| (Duration::ZERO, bytes)).collect())
    }

    fn execute(&mut self, id: u32, request: &LanRequest, now: Instant) -> (u8, Vec<u8>) {
        for completion in &mut self.behaviour.completions {
            if (completion.net_fn, completion.command) == (request.net_fn, request.command) && completion.times > 0 {
                completion.times -= 1;
                return (completion.code, Vec::new());
            }
        }
        let Some(session) = self.sessions.get_mut(&id) else { return (0xFF, Vec::new()) };
        match (request.net_fn, request.command) {
            (0x00, 0x01) => {
                self.power(now);
                (0, self.behaviour.chassis.encode().to_vec())
            }
            (0x00, 0x02) if session.privilege < Privilege::Operator => (0xD4, Vec::new()),
            (0x00, 0x02) => match request.data.as_slice() {
                [control @ (0 | 1)] => {
                    self.seen.controls.push(*control);
                    self.lasts += self.behaviour.power_time;
                    self.control(*control == 1, now);
                    (0, Vec::new())
                }
                _ => (0xCC, Vec::new()),
            },
            (0x06, 0x01) => (0, vec![0x20, 0x01, 0x02, 0x30, 0x02, 0x8F, 0x91, 0x12, 0x00, 0x02, 0x0F]),
            (0x06, 0x04) => self.behaviour.self_test.map_or((0xC1, Vec::new()), |bytes| (0, bytes.to_vec())),
            (0x06, 0x37) => {
                let later = self.behaviour.later_guid.filter(|_| !self.seen.controls.is_empty());
                later.or(self.behaviour.system_guid).map_or((0xC1, Vec::new()), |bytes| (0, bytes.to_vec()))
            }
            (0x06, 0x3B) => match request.data.first().copied().map(|level| (level, Privilege::from_value(level))) {
                Some((0, _)) => (0, vec![session.privilege.value()]),
                Some((_, Some(wanted))) if wanted <= session.max_privilege => {
                    session.privilege = wanted;
                    (
                        0,
                        match self.behaviour.privilege_reply {
                            PrivilegeReply::Granted => vec![wanted.value()],
                            PrivilegeReply::Absent => Vec::new(),
                            PrivilegeReply::Level(level) => vec![level],
                        },
                    )
                }
                Some((_, Some(_))) => (0x81, Vec::new()),
                _ => (0xCC, Vec::new()),
            },
            (0x06, 0x3C) => {
                self.seen.closes += 1;
                (0, Vec::new())
            }
            (0x0A, 0x40) => {
                let (entries, free, overflow) = self.behaviour.sel;
                let mut data = vec![0x51];
                data.extend(entries.to_le_bytes());
                data.extend(free.to_le_bytes());
                data.extend([0; 8]);
                data.push(if overflow { 0x80 } else { 0 });
                (0, data)
            }
            (0x0A, 0x22) => (0, RESERVATION.to_vec()),
            (0x0A, 0x23) => self.sensor_record(&request.data),
            (0x04, 0x2D) => {
                match request.data.first().and_then(|number| self.behaviour.sensors.get(usize::from(*number))) {
                    Some((_, thresholds)) => (0, vec![0x40, 0xC0, *thresholds, 0]),
                    None => (0xCB, Vec::new()),
                }
            }
            _ => (0xC1, Vec::new()),
        }
    }

    /// Answers Get SDR: a full sensor record (section 43.1) for each sensor, whose number is that of its record.
    fn sensor_record(&self, data: &[u8]) -> (u8, Vec<u8>) {
        let &[low, high, id, _, offset, count] = data else { return (0xC7, Vec::new()) };
        let Some((name, _)) = self.behaviour.sensors.get(usize::from(id)) else { return (0xCB, Vec::new()) };
        let mut record = vec![id, 0, 0x51, 0x01, 0];
        let mut body = vec![0u8; 42];
        body[..9].copy_from_slice(&[0x20, 0, id, 0, 0, 0, 0, 0x01, 0x01]);
        body.push(0xC0 | u8::try_from(name.len()).unwrap_or_default());
        body.extend(name.bytes());
        record[4] = u8::try_from(body.len()).unwrap_or_default();
        record.extend(body);
        let wanted = usize::from(if count == 0xFF { u8::MAX } else { count })
            .min(record.len() - usize::from(offset).min(record.len()));
        if wanted > usize::from(self.behaviour.record_bytes) {
            return (0xCA, Vec::new());
        }
        if offset > 0 && [low, high] != RESERVATION {
            return (0xC5, Vec::new());
        }
        let last = usize::from(id) + 1 == self.behaviour.sensors.len();
        let next = if last { [0xFF, 0xFF] } else { [id + 1, 0] };
        let part = record.get(usize::from(offset)..).unwrap_or_default();
        (0, next.into_iter().chain(part.iter().copied().take(wanted)).collect())
    }

    /// Returns the reply on the wire, with the packets that the behaviour puts before it.
    fn protected(&mut self, id: u32, request: &LanRequest, reply: &LanReply, now: Instant) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        if let Some(forgery) = self.behaviour.forgery {
            out.extend(self.forge(id, request, forgery, now));
        }
        let iv = self.random.bytes();
        let Some(session) = self.sessions.get_mut(&id) else { return out };
        let Some(keys) = &session.keys else { return out };
        let sequence = session.next_sequence;
        session.next_sequence += 1;
        let Some(bytes) = protect(keys, session.console_session_id, sequence, iv, &reply.encode()) else { return out };
        if self.behaviour.stale_duplicates {
            out.extend(session.last_reply.take());
        }
        session.last_reply = Some(bytes.clone());
        out.push(bytes);
        out
    }

    fn forge(&mut self, id: u32, request: &LanRequest, forgery: Forgery, now: Instant) -> Option<Vec<u8>> {
        let mut lie = self.behaviour.chassis;
        lie.power_on = !self.power(now);
        let mut reply = request.reply(0, lie.encode().to_vec());
        match forgery {
            Forgery::RequestSequence => reply.sequence = reply.sequence.wrapping_sub(1) & 0x3F,
            Forgery::Command => reply.command ^= 1,
            Forgery::NetFn => reply.net_fn ^= 2,
            _ => {}
        }
        let mut message = reply.encode();
        match forgery {
            Forgery::FirstChecksum => flip(&mut message, 2),
            Forgery::SecondChecksum => {
                let last = message.len() - 1;
                flip(&mut message, last);
            }
            // Address and checksum change together, so that only the address is wrong.
            Forgery::Address => {
                if let [_, _, _, from, .., sum] = message.as_mut_slice() {
                    *from = from.wrapping_add(2);
                    *sum = sum.wrapping_sub(2);
                }
            }
            Forgery::Request => {
                if let [_, net_fn, sum, ..] = message.as_mut_slice() {
                    *net_fn ^= 4;
                    *sum = sum.wrapping_add(4);
                }
            }
            _ => {}
        }
        let iv = self.random.bytes();
        let session = self.sessions.get_mut(&id)?;
        let keys = session.keys.as_ref()?;
        let sequence = match forgery {
            Forgery::OldSequence => session.next_sequence.saturating_sub(1),
            _ => session.next_sequence,
        };
        // Forged packets that only the BMC itself could sign use a sequence number each.
        session.next_sequence += 1;
        let mut session_id = session.console_session_id;
        if forgery == Forgery::SessionId {
            session_id ^= 1;
        }
        let mut bytes = protect(keys, session_id, sequence, iv, &message)?;
        match forgery {
            Forgery::Garbage => bytes = self.random.bytes().to_vec(),
            Forgery::IntegrityCode => {
                let last = bytes.len() - 1;
                flip(&mut bytes, last);
            }
            Forgery::Payload => flip(&mut bytes, 40),
            Forgery::Unprotected => {
                let header = SessionHeader { payload_type: PayloadType::Ipmi, protected: false, session_id, sequence };
                bytes = header.encode(u16::try_from(message.len()).ok()?);
                bytes.extend(message);
            }
            _ => {}
        }
        Some(bytes)
    }
}

fn flip(bytes: &mut [u8], index: usize) {
    if let Some(byte) = bytes.get_mut(index) {
        *byte ^= 1;
    }
}
