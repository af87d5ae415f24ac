//! The properties and faults of a test BMC (responder).

use std::collections::VecDeque;
use std::time::Duration;

use ipmi_lan::{ChassisStatus, CipherSuite, Privilege};

/// A user account of the BMC.
#[derive(Clone, Debug)]
pub struct User {
    /// The user name, at most 16 bytes.
    pub name: String,
    /// The password, at most 20 bytes.
    pub password: Vec<u8>,
    /// The highest privilege level that is granted.
    pub privilege: Privilege,
}

/// The time at which an acknowledged power command takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerActs {
    /// The command takes effect before the acknowledgement.
    AtOnce,
    /// The command takes effect this long after the acknowledgement.
    After(Duration),
    /// The command never takes effect: the acknowledgement is wrong.
    Never,
}

/// A completion code that is returned without carrying out a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The network function of the request.
    pub net_fn: u8,
    /// The command number of the request.
    pub command: u8,
    /// The completion code to return.
    pub code: u8,
    /// The number of requests that get it.
    pub times: u32,
}

/// A forged packet right before each true reply in a session: a chassis status with the power inverted, with one flaw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// The bytes are not a packet at all.
    Garbage,
    /// The session header has another session ID.
    SessionId,
    /// One bit of the integrity code is flipped.
    IntegrityCode,
    /// One bit of the encrypted payload is flipped.
    Payload,
    /// The packet is not encrypted, as outside a session.
    Unprotected,
    /// The session sequence number was used already.
    OldSequence,
    /// The signature is valid, but the first IPMB checksum is wrong.
    FirstChecksum,
    /// The signature is valid, but the second IPMB checksum is wrong.
    SecondChecksum,
    /// The signature is valid, but the reply is for an earlier `rqSeq`.
    RequestSequence,
    /// The signature is valid, but the reply is for another command.
    Command,
    /// The signature is valid, but the reply is for another network function.
    NetFn,
    /// The signature is valid, but the reply is from another controller.
    Address,
    /// The signature is valid, but the message is a request.
    Request,
}

impl Forgery {
    /// All kinds of forged packets.
    pub const ALL: [Self; 13] = [
        Self::Garbage,
        Self::SessionId,
        Self::IntegrityCode,
        Self::Payload,
        Self::Unprotected,
        Self::OldSequence,
        Self::FirstChecksum,
        Self::SecondChecksum,
        Self::RequestSequence,
        Self::Command,
        Self::NetFn,
        Self::Address,
        Self::Request,
    ];
}

/// Packets in the BMC's name that an attacker sends right before each true answer while a session is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Refusals with this status, by an attacker who sees the requests: tag and session ID fit.
    Refusal(u8),
    /// Refusals with this status and without a session ID, by an attacker who guesses: with half of all tags.
    Spray(u8),
    /// Authentication capabilities without IPMI 2.0.
    NoIpmi20,
}

/// A bad network, the same for the same seed. Chances are in percent for each packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noise {
    /// The seed of the random sequence.
    pub seed: u64,
    /// The chance that a request is lost.
    pub lose_requests: u8,
    /// The chance that a reply is lost.
    pub lose_replies: u8,
    /// The chance that a reply is sent twice.
    pub duplicate: u8,
    /// The chance that a reply is delayed by [`Noise::delay`], so that later ones arrive before it.
    pub reorder: u8,
    /// The chance that one bit of a reply is flipped.
    pub corrupt: u8,
    /// The delay of a reply.
    pub delay: Duration,
}

/// What a BMC whose firmware does not compute suite 17 does with it, though it accepts it in Open Session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenSuite {
    /// RAKP 2 has a code of zeros.
    Zeros,
    /// RAKP 1 is refused with this status.
    Refusal(u8),
}

/// The level in the answer to Set Session Privilege Level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivilegeReply {
    /// The answer names the level that was granted.
    Granted,
    /// The answer names none.
    Absent,
    /// The answer names this level.
    Level(u8),
}

/// All properties of a responder.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// The user accounts.
    pub users: Vec<User>,
    /// The BMC key, if one is set.
    pub kg: Option<Vec<u8>>,
    /// The cipher suites that are offered.
    pub suites: Vec<CipherSuite>,
    /// The status for a suite that is not offered.
    pub suite_status: u8,
    /// Answers Open Session with these algorithm numbers, whatever was requested.
    pub algorithms_changed: bool,
    /// Whether the authentication capabilities claim IPMI 2.0.
    pub ipmi20: bool,
    /// The number of sessions at a time; more are refused with status 01h.
    pub slots: usize,
    /// The time for which an unused session keeps its slot.
    pub session_timeout: Duration,
    /// The number of failed logins after which every login is refused with status 0Dh.
    pub lock_after: Option<u32>,
    /// Refuses a privilege level above the user's already in RAKP 2 (else only Set Session Privilege Level fails).
    pub strict_role: bool,
    /// Answers Open Session with maximum privilege 0.
    pub privilege_zero: bool,
    /// The statuses for the first Open Session Requests.
    pub open_statuses: VecDeque<u8>,
    /// The statuses for the first RAKP 1 messages.
    pub rakp1_statuses: VecDeque<u8>,
    /// The statuses for the first RAKP 3 messages.
    pub rakp3_statuses: VecDeque<u8>,
    /// Loses this many sessions right after their login.
    pub deaf_sessions: u32,
    /// Sends a RAKP 2 and 4 with a wrong code before the right one.
    pub forge_rakp: bool,
    /// Does not answer a RAKP 1 that was answered before, as `ipmi_sim` does.
    pub ignore_repeated_rakp1: bool,
    /// The time to compute RAKP 2.
    pub rakp2_delay: Duration,
    /// Works on one RAKP 1 at a time.
    pub rakp2_serial: bool,
    /// Works off one packet after another, each for so long; more than [`Behaviour::queue`] packets are lost.
    pub packet_time: Duration,
    /// The number of packets that wait for their turn.
    pub queue: usize,
    /// A power command takes this long, each copy of it again; other packets wait meanwhile.
    pub power_time: Duration,
    /// Drops power commands: they have no effect and no answer.
    pub lose_controls: bool,
    /// Refuses with tag 0 and session ID 0, as OpenBMC does.
    pub blank_refusals: bool,
    /// Answers Open Session with this suite, whatever was requested.
    pub answered_suite: Option<CipherSuite>,
    /// Accepts suite 17 and does not compute it.
    pub broken_17: Option<BrokenSuite>,
    /// The number of bytes behind the code of RAKP 2 and 4.
    pub junk: usize,
    /// The level in the answer to Set Session Privilege Level.
    pub privilege_reply: PrivilegeReply,
    /// Does not answer at all.
    pub silent: bool,
    /// Answers ASF presence pings.
    pub asf_pong: bool,
    /// Does not answer Close Session.
    pub silent_close: bool,
    /// The time at which power commands take effect.
    pub power_acts: PowerActs,
    /// Chassis status at the start; `power_on` is the power at the start.
    pub chassis: ChassisStatus,
    /// Completion codes that are returned without results.
    pub completions: Vec<Completion>,
    /// The bytes of Get Self Test Results; without them the command is unsupported.
    pub self_test: Option<[u8; 2]>,
    /// The bytes of Get System GUID; without them the command is unsupported.
    pub system_guid: Option<[u8; 16]>,
    /// The System GUID after the first power command: another BMC answers at the address then.
    pub later_guid: Option<[u8; 16]>,
    /// Entries and free bytes of the event log, and whether it overflowed.
    pub sel: (u16, u16, bool),
    /// The sensors: name and threshold bits of each reading. The record of each is a compact one of 8-bit text.
    pub sensors: Vec<(String, u8)>,
    /// The most bytes of a sensor record that one reply holds; more is refused with CAh.
    pub record_bytes: u8,
    /// Sends the last reply of a session once more right before the next one.
    pub stale_duplicates: bool,
    /// Answers the authentication capabilities only, as a BMC without IPMI 2.0.
    pub silent_handshake: bool,
    /// The packets of an attacker while a session is opened.
    pub attack: Option<Attack>,
    /// The forged packet before each reply in a session.
    pub forgery: Option<Forgery>,
    /// The number of bytes that are cut from the end of the data of each successful reply in a session.
    pub cut: usize,
    /// The faults of the network.
    pub noise: Noise,
}

impl Default for Behaviour {
    /// Returns a correct BMC: user `admin`, password `secret16`, suites 17 and 3, power on.
    fn default() -> Self {
        Self {
            users: vec![User {
                name: "admin".to_owned(),
                password: b"secret16".to_vec(),
                privilege: Privilege::Administrator,
            }],
            kg: None,
            suites: CipherSuite::DEFAULT_ORDER.to_vec(),
            suite_status: 0x11,
            algorithms_changed: false,
            ipmi20: true,
            slots: 63,
            session_timeout: Duration::from_secs(30),
            lock_after: None,
            strict_role: true,
            privilege_zero: false,
            open_statuses: VecDeque::new(),
            rakp1_statuses: VecDeque::new(),
            rakp3_statuses: VecDeque::new(),
            deaf_sessions: 0,
            forge_rakp: false,
            ignore_repeated_rakp1: false,
            rakp2_delay: Duration::ZERO,
            rakp2_serial: false,
            packet_time: Duration::ZERO,
            queue: 12,
            power_time: Duration::ZERO,
            lose_controls: false,
            blank_refusals: false,
            answered_suite: None,
            broken_17: None,
            junk: 0,
            privilege_reply: PrivilegeReply::Granted,
            silent: false,
            asf_pong: true,
            silent_close: false,
            power_acts: PowerActs::AtOnce,
            chassis: ChassisStatus { power_on: true, ..ChassisStatus::default() },
            completions: Vec::new(),
            self_test: Some([0x55, 0x00]),
            system_guid: None,
            later_guid: None,
            sel: (0, 16_000, false),
            sensors: Vec::new(),
            record_bytes: u8::MAX,
            stale_duplicates: false,
            silent_handshake: false,
            attack: None,
            forgery: None,
            cut: 0,
            noise: Noise::default(),
        }
    }
}
