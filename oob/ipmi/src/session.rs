//! An open session: sends commands, checks and returns the replies.

mod connection;
mod power_command;

use std::fmt;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use ipmi_rs::app::{DeviceId, GetDeviceId};
use ipmi_rs::connection::{Address, Channel, IpmiCommand, LogicalUnit, Message, Request, RequestTargetAddress};
use ipmi_rs::storage::sel::{GetSelInfo, SelInfo};

use crate::command::{
    ChassisStatus, CloseSession, GetChassisStatus, GetSelfTestResults, GetSystemGuid, GuidBytes, SelfTest,
    SetSessionPrivilegeLevel, completion_text, is_retryable, name,
};
use crate::handshake::Established;
use crate::ignored::IgnoredTally;
use crate::keys::SessionKeys;
use crate::lan_message::{BMC_ADDRESS, LanReply, LanRequest};
use crate::login::{fill_random, log_in};
use crate::protect::{open, protect};
use crate::timers::{Pace, busy_pause, limited_wait};
use crate::transport::{Transport, resolve};
use crate::{CipherSuite, Error, Ignored, Privilege, Target};

/// The most that each send of Close Session waits for its answer.
const CLOSE_WAIT: Duration = Duration::from_millis(150);
const CLOSE_SENDS: u32 = 2;
/// How often a command is repeated after a completion code that mostly stays.
const ODD_CODES: u32 = 2;

/// An IPMI 2.0 session with one BMC.
///
/// Each call returns by the deadline given to [`Session::open`] or [`Session::set_deadline`]. A reply is accepted only
/// if session, sequence, integrity code, checksums, addresses, command and request sequence all fit; other datagrams
/// are skipped. Dropping a session closes it without a wait; [`Session::close`] waits a moment for the BMC's answer.
pub struct Session {
    transport: Transport,
    keys: SessionKeys,
    console_session_id: u32,
    managed_session_id: u32,
    /// The session sequence number of the next request.
    next_sequence: u32,
    /// The newest session sequence number that was accepted.
    last_accepted: u32,
    request_sequence: u8,
    deadline: Instant,
    pending: Option<LanRequest>,
    pace: Pace,
    closed: bool,
}

impl Session {
    /// Logs in and raises the session to the target's privilege level.
    ///
    /// A refused login is never repeated, neither here nor with another cipher suite.
    ///
    /// # Errors
    /// Any [`Error`]; after one with [`Error::is_login_failure`] the caller must not try again.
    pub fn open(target: &Target, deadline: Instant) -> Result<Self, Error> {
        let addresses = resolve(target, deadline)?;
        let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        let mut failure = Error::Resolve { host: target.host().to_owned(), reason: "it has no address".to_owned() };
        for peer in addresses {
            let share = deadline.saturating_duration_since(Instant::now()) / left.max(1);
            match Self::open_at(peer, target, Instant::now() + share) {
                Ok(mut session) => {
                    session.deadline = deadline;
                    return Ok(session);
                }
                Err(error) if error.is_unreachable() => failure = error,
                Err(error) => return Err(error),
            }
            left = left.saturating_sub(1);
        }
        Err(failure)
    }

    fn open_at(peer: SocketAddr, target: &Target, deadline: Instant) -> Result<Self, Error> {
        // BMCs drop a session that is not used right after the login, which also happens under packet loss. Another
        // login then costs less than waiting for an answer that cannot come. The login before it was a good one, so no
        // account is locked.
        for attempt in 1u32.. {
            let mut session = Self::log_in(peer, target, attempt > 1, deadline)?;
            session.deadline = deadline.min(Instant::now() + session.pace.first_answer(attempt));
            match session.raise_privilege(target) {
                Err(Error::NoAnswer { .. } | Error::Busy { .. }) if Instant::now() < deadline => {}
                result => return result.map(|()| session),
            }
        }
        Err(Error::Misuse { peer, what: "a session was opened without end" })
    }

    fn log_in(peer: SocketAddr, target: &Target, answered: bool, deadline: Instant) -> Result<Self, Error> {
        let mut transport = Transport::connect(peer)?;
        let (established, pace) = log_in(&mut transport, target, answered, deadline)?;
        let Established { console_session_id, managed_session_id, keys } = established;
        Ok(Self {
            transport,
            keys,
            console_session_id,
            managed_session_id,
            next_sequence: 1,
            last_accepted: 0,
            request_sequence: 0,
            deadline,
            pending: None,
            pace,
            closed: false,
        })
    }

    /// Sets the time by which each following call returns.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Returns the cipher suite of the session.
    pub fn cipher_suite(&self) -> CipherSuite {
        self.keys.suite()
    }

    /// Returns the address and port of the BMC.
    pub fn peer(&self) -> SocketAddr {
        self.transport.peer()
    }

    /// Reads power state and faults (Get Chassis Status).
    ///
    /// # Errors
    /// See [`Error`]. An error shows nothing of the power.
    pub fn chassis_status(&mut self) -> Result<ChassisStatus, Error> {
        self.run(GetChassisStatus)
    }

    /// Returns the end of a wait that leaves time for two more.
    fn timer(&self, wait: Duration) -> Instant {
        let now = Instant::now();
        (now + limited_wait(wait, self.deadline.saturating_duration_since(now))).min(self.deadline)
    }

    /// Reads the result of the BMC's self test (Get Self Test Results).
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the BMC does not have the command, else see [`Error`].
    pub fn self_test(&mut self) -> Result<SelfTest, Error> {
        self.run(GetSelfTestResults)
    }

    /// Reads the identity of the BMC and whether it is available (Get Device ID).
    ///
    /// # Errors
    /// See [`Error`].
    pub fn device_id(&mut self) -> Result<DeviceId, Error> {
        self.run(GetDeviceId)
    }

    /// Reads the identity of the host behind the BMC (Get System GUID), in the order in which the bytes came.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the BMC does not have the command, else see [`Error`].
    pub fn system_guid(&mut self) -> Result<GuidBytes, Error> {
        self.run(GetSystemGuid)
    }

    /// Reads the fill level of the event log (Get SEL Info).
    ///
    /// # Errors
    /// See [`Error`].
    pub fn sel_info(&mut self) -> Result<SelInfo, Error> {
        self.run(GetSelInfo)
    }

    /// Sends any command of `ipmi-rs` that is for the BMC itself, and returns its parsed reply.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn run<C>(&mut self, command: C) -> Result<C::Output, Error>
    where
        C: IpmiCommand,
        C::Error: fmt::Debug,
    {
        let target = match command.target() {
            Some((address, channel)) => RequestTargetAddress::BmcOrIpmb(address, channel, LogicalUnit::Zero),
            None => RequestTargetAddress::Bmc(LogicalUnit::Zero),
        };
        let reply = self.answer(&Request::new(command.into(), target))?;
        if reply.completion_code != 0 {
            return Err(self.completion_error(&reply));
        }
        C::parse_success_response(&reply.data).map_err(|error| Error::MalformedReply {
            peer: self.peer(),
            net_fn: reply.net_fn & !1,
            command: reply.command,
            len: reply.data.len(),
            detail: format!("{error:?}"),
        })
    }

    /// Closes the session. Best effort: a session that is not closed ends by the BMC's own timeout.
    pub fn close(mut self) {
        self.closed = true;
        for _ in 0..CLOSE_SENDS {
            let Ok(request) = self.send_close() else { return };
            let timer = Instant::now() + CLOSE_WAIT;
            while let Ok(Some(datagram)) = self.transport.receive(timer) {
                if accept(&self.keys, self.console_session_id, &mut self.last_accepted, &[&request], datagram).is_ok() {
                    return;
                }
            }
        }
    }

    fn send_close(&mut self) -> Result<LanRequest, Error> {
        let message = Message::from(CloseSession { managed_session_id: self.managed_session_id });
        let request = self.request(&message, 0);
        self.transmit(&request)?;
        Ok(request)
    }

    /// Raises the session to the target's level: every session starts at user level, whatever Open Session promised
    /// (section 22.18).
    fn raise_privilege(&mut self, target: &Target) -> Result<(), Error> {
        let wanted = target.privilege();
        if wanted == Privilege::User {
            return Ok(());
        }
        let refused = |reason: String, peer| Error::PrivilegeRefused {
            peer,
            username: target.username().to_owned(),
            privilege: wanted,
            reason,
            in_session: true,
        };
        match self.run(SetSessionPrivilegeLevel(wanted)) {
            // Some BMCs grant more, and some do not report the level: a command then shows what the session may do.
            Ok(None) => Ok(()),
            Ok(Some(level)) if level >= wanted.value() => Ok(()),
            Ok(Some(level)) => Err(refused(format!("the BMC granted level {level}"), self.peer())),
            Err(Error::Completion { peer, code: code @ 0x80..=0x82, .. }) => {
                Err(refused(format!("completion code {code:02X}h"), peer))
            }
            Err(Error::InsufficientPrivilege { peer, .. }) => {
                Err(refused(format!("completion code D4h, {}", completion_text(0xD4)), peer))
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the reply to a request. Repeats the request while the BMC reports that it is busy.
    fn answer(&mut self, request: &Request) -> Result<LanReply, Error> {
        let message = Message::new_raw(request.netfn_raw(), request.cmd(), request.data().to_vec());
        let lun = self.own_lun(request)?;
        let mut odd = 0;
        for times in 1.. {
            let request = self.request(&message, lun);
            let reply = self.exchange(&request)?;
            let pause = busy_pause(times);
            if !self.is_worth_repeating(reply.completion_code, &mut odd) || Instant::now() + pause >= self.deadline {
                return Ok(reply);
            }
            thread::sleep(pause);
        }
        Err(Error::Misuse { peer: self.peer(), what: "a command was put off without end" })
    }

    /// Whether a command may succeed after this completion code. `odd` counts the codes that mostly stay, and that some
    /// BMCs return once in a while all the same: just after a power change, or after their own restart.
    fn is_worth_repeating(&self, code: u8, odd: &mut u32) -> bool {
        if is_retryable(code) {
            return true;
        }
        let may_pass = matches!(code, 0xCE | 0xD4 | 0xD5 | 0xFF) && *odd < ODD_CODES;
        *odd += u32::from(may_pass);
        may_pass
    }

    /// Sends a request until the answer comes or the deadline passes.
    fn exchange(&mut self, request: &LanRequest) -> Result<LanReply, Error> {
        let started = Instant::now();
        let (peer, asked) = (self.peer(), name(request.net_fn, request.command));
        let mut ignored = IgnoredTally::default();
        for sent in 0u32.. {
            if Instant::now() >= self.deadline {
                if sent == 0 {
                    return Err(Error::DeadlinePassed { peer, asked });
                }
                return Err(Error::NoAnswer { peer, asked, sent, waited: started.elapsed(), ignored });
            }
            self.transmit(request)?;
            let timer = self.timer(self.pace.exchange_wait(sent + 1));
            while let Some(datagram) = self.transport.receive(timer)? {
                match accept(&self.keys, self.console_session_id, &mut self.last_accepted, &[request], datagram) {
                    Ok((_, reply)) => {
                        self.pace.answered(sent + 1, started.elapsed());
                        return Ok(reply);
                    }
                    Err(reason) => ignored.add(reason),
                }
            }
        }
        Err(Error::Misuse { peer, what: "a command was sent without end" })
    }

    fn transmit(&mut self, request: &LanRequest) -> Result<(), Error> {
        let mut iv = [0u8; 16];
        fill_random(&mut iv)?;
        let misuse = Error::Misuse { peer: self.transport.peer(), what: "the request is too long for IPMI" };
        let datagram = protect(&self.keys, self.managed_session_id, self.next_sequence, iv, &request.encode());
        // 0 is the number of packets outside any session. A session that reaches it is far beyond its use.
        self.next_sequence = self.next_sequence.wrapping_add(1).max(1);
        self.transport.send(&datagram.ok_or(misuse)?)
    }

    fn request(&mut self, message: &Message, lun: u8) -> LanRequest {
        self.request_sequence = (self.request_sequence + 1) & 0x3F;
        LanRequest {
            net_fn: message.netfn().request_value(),
            lun,
            sequence: self.request_sequence,
            command: message.cmd(),
            data: message.data().to_vec(),
        }
    }

    fn own_lun(&self, request: &Request) -> Result<u8, Error> {
        match request.target() {
            RequestTargetAddress::Bmc(lun) => Ok(lun.value()),
            RequestTargetAddress::BmcOrIpmb(Address(BMC_ADDRESS), Channel::Primary | Channel::Current, lun) => {
                Ok(lun.value())
            }
            RequestTargetAddress::BmcOrIpmb(Address(address), channel, _) => Err(Error::NotBridged {
                peer: self.peer(),
                net_fn: request.netfn_raw(),
                command: request.cmd(),
                address,
                channel: channel.value(),
            }),
        }
    }

    fn completion_error(&self, reply: &LanReply) -> Error {
        let (peer, net_fn, command, code) = (self.peer(), reply.net_fn & !1, reply.command, reply.completion_code);
        match code {
            0xD4 => Error::InsufficientPrivilege { peer, net_fn, command },
            0xC1 => Error::Unsupported { peer, net_fn, command },
            code if is_retryable(code) => Error::Busy { peer, net_fn, command, code },
            code => Error::Completion { peer, net_fn, command, code },
        }
    }
}

/// Returns the reply in a datagram if it is the answer to one of `requests`, with the place of that one.
fn accept(
    keys: &SessionKeys,
    session_id: u32,
    last_accepted: &mut u32,
    requests: &[&LanRequest],
    datagram: &[u8],
) -> Result<(usize, LanReply), Ignored> {
    let (sequence, message) = open(keys, session_id, datagram)?;
    let ahead = sequence.wrapping_sub(*last_accepted);
    if ahead == 0 || ahead > u32::MAX / 2 {
        return Err(Ignored::OldSequence);
    }
    *last_accepted = sequence;
    let reply = LanReply::decode(&message)?;
    let mut reason = Ignored::Unexpected;
    for (place, request) in requests.iter().enumerate() {
        match request.accept(&reply) {
            Ok(()) => return Ok((place, reply)),
            Err(why) => reason = why,
        }
    }
    Err(reason)
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({}, suite {})", self.peer(), self.cipher_suite())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.closed {
            // The BMC's own timeout ends the session if this datagram is lost.
            let _ = self.send_close();
        }
    }
}
