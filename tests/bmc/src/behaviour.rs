//! What a responder is and how it misbehaves.

use std::collections::VecDeque;
use std::time::Duration;

use ipmi_lan::{ChassisStatus, CipherSuite, Privilege};

/// An account of the BMC.
#[derive(Clone, Debug)]
pub struct User {
    /// Name, at most 16 bytes.
    pub name: String,
    /// Password, at most 20 bytes.
    pub password: Vec<u8>,
    /// Highest privilege level granted.
    pub privilege: Privilege,
}

/// When an acknowledged power command takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerActs {
    /// Before the acknowledgement.
    AtOnce,
    /// This long after the acknowledgement.
    After(Duration),
    /// Never: the acknowledgement is a lie.
    Never,
}

/// A completion code given instead of carrying out a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Network function of the request.
    pub net_fn: u8,
    /// Command number.
    pub command: u8,
    /// Completion code to give.
    pub code: u8,
    /// How many requests get it.
    pub times: u32,
}

/// A lie sent right before each true reply in a session: a chassis status with the power inverted, flawed in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// Bytes that are no packet at all.
    Garbage,
    /// Another session ID in the session header.
    SessionId,
    /// One bit of the integrity code flipped.
    IntegrityCode,
    /// One bit of the encrypted payload flipped.
    Payload,
    /// Sent in clear, as if outside a session.
    Unsealed,
    /// A session sequence number that was used already.
    OldSequence,
    /// Signed well, but the first IPMB checksum is wrong.
    FirstChecksum,
    /// Signed well, but the second IPMB checksum is wrong.
    SecondChecksum,
    /// Signed well, but for an earlier `rqSeq`.
    RequestSequence,
    /// Signed well, but for another command.
    Command,
    /// Signed well, but for another network function.
    NetFn,
    /// Signed well, but from another controller.
    Address,
    /// Signed well, but a request instead of a reply.
    Request,
}

impl Forgery {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Garbage,
        Self::SessionId,
        Self::IntegrityCode,
        Self::Payload,
        Self::Unsealed,
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

/// Packets in the BMC's name that somebody else sends right before each true answer while a session is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Refusals with this status, by somebody who sees the requests: tag and session ID fit.
    Refusal(u8),
    /// Refusals with this status and without a session ID, by somebody who guesses: with half of all tags.
    Spray(u8),
    /// Authentication capabilities without IPMI 2.0.
    NoIpmi20,
}

/// A bad network, the same for the same seed. Chances are in percent for each packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noise {
    /// Start of the random sequence.
    pub seed: u64,
    /// Requests lost.
    pub lose_requests: u8,
    /// Replies lost.
    pub lose_replies: u8,
    /// Replies sent twice.
    pub duplicate: u8,
    /// Replies held back by [`Noise::delay`], so that later ones overtake them.
    pub reorder: u8,
    /// Replies with one bit flipped.
    pub corrupt: u8,
    /// How long a reply is held back.
    pub delay: Duration,
}

/// All properties of a responder.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Accounts.
    pub users: Vec<User>,
    /// The BMC key, if one is set.
    pub kg: Option<Vec<u8>>,
    /// Cipher suites offered.
    pub suites: Vec<CipherSuite>,
    /// Status for a suite that is not offered.
    pub suite_status: u8,
    /// Answer Open Session with these algorithm numbers, whatever was asked.
    pub algorithms_changed: bool,
    /// Whether IPMI 2.0 is claimed in the authentication capabilities.
    pub ipmi20: bool,
    /// Sessions at a time; more are refused with status 01h.
    pub slots: usize,
    /// How long a session that is not used keeps its slot.
    pub session_timeout: Duration,
    /// Failed logins after which every login is refused with status 0Dh.
    pub lock_after: Option<u32>,
    /// Refuse a privilege level above the user's already in RAKP 2 (else only Set Session Privilege Level fails).
    pub strict_role: bool,
    /// Say "maximum privilege 0" in Open Session.
    pub privilege_zero: bool,
    /// Statuses for the first Open Session Requests.
    pub open_statuses: VecDeque<u8>,
    /// Statuses for the first RAKP 1.
    pub rakp1_statuses: VecDeque<u8>,
    /// Statuses for the first RAKP 3.
    pub rakp3_statuses: VecDeque<u8>,
    /// Forget this many sessions right after their login.
    pub deaf_sessions: u32,
    /// Send a RAKP 2 and 4 with a wrong code before the right one.
    pub forge_rakp: bool,
    /// Do not answer a RAKP 1 that was answered before, as `ipmi_sim` does.
    pub ignore_repeated_rakp1: bool,
    /// Time to compute RAKP 2.
    pub rakp2_delay: Duration,
    /// Work on one RAKP 1 at a time.
    pub rakp2_serial: bool,
    /// Answer nothing at all.
    pub silent: bool,
    /// Answer ASF presence pings.
    pub asf_pong: bool,
    /// Do not answer Close Session.
    pub silent_close: bool,
    /// When power commands act.
    pub power_acts: PowerActs,
    /// Chassis status at the start; `power_on` is the power at the start.
    pub chassis: ChassisStatus,
    /// Completion codes given instead of results.
    pub completions: Vec<Completion>,
    /// Bytes of Get Self Test Results; without them the command is unsupported.
    pub self_test: Option<[u8; 2]>,
    /// Entries and free bytes of the event log, and whether it overflowed.
    pub sel: (u16, u16, bool),
    /// Send the last reply of a session once more right before the next one.
    pub stale_duplicates: bool,
    /// Answer the authentication capabilities only, as a BMC without IPMI 2.0.
    pub silent_handshake: bool,
    /// What somebody else sends while a session is opened.
    pub attack: Option<Attack>,
    /// A lie before each reply in a session.
    pub forgery: Option<Forgery>,
    /// Bytes cut from the end of the data of each successful reply in a session.
    pub cut: usize,
    /// The network.
    pub noise: Noise,
}

impl Default for Behaviour {
    /// A BMC without vices: user `admin`, password `secret16`, suites 17 and 3, power on.
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
            silent: false,
            asf_pong: true,
            silent_close: false,
            power_acts: PowerActs::AtOnce,
            chassis: ChassisStatus { power_on: true, ..ChassisStatus::default() },
            completions: Vec::new(),
            self_test: Some([0x55, 0x00]),
            sel: (0, 16_000, false),
            stale_duplicates: false,
            silent_handshake: false,
            attack: None,
            forgery: None,
            cut: 0,
            noise: Noise::default(),
        }
    }
}
