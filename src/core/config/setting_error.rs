//! Holds the reasons why a setting of the configuration cannot be used.

use std::path::PathBuf;
use std::time::Duration;

use crate::core::grade::Grade;

/// A setting whose value cannot be used. The text states what to write instead.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SettingError {
    /// A time is not between 0 and 3600 s.
    #[error("{seconds} is not a valid time: use 0 to {most} seconds")]
    Time {
        /// The configured time in seconds, which may be no finite number.
        seconds: f64,
        /// The longest time that a setting can have, in seconds.
        most: f64,
    },
    /// A text is neither an address nor a network.
    #[error("{0:?} is neither an address nor a network (192.0.2.1, 192.0.2.0/24)")]
    AddressRange(String),
    /// A text is neither a host name nor an address.
    #[error("{0:?} is neither a host name nor an IP address")]
    Address(String),
    /// A path that must be absolute is not.
    #[error("{setting} = {path:?} must be an absolute path")]
    RelativePath {
        /// The name of the setting.
        setting: &'static str,
        /// The configured path, which is not absolute.
        path: PathBuf,
    },
    /// The port of the signed echo needs a capability, or is that of confd.
    #[error("port = {port} must be {first} or more, and not {confd}, which is confd's")]
    EchoPort {
        /// The configured UDP port of the signed echo.
        port: u16,
        /// The first port that needs no capability.
        first: u16,
        /// The UDP port of confd, which Ganeti fixes.
        confd: u16,
    },
    /// A lease or the timeout of the watchdog is below 2 s.
    #[error("lease and watchdog_timeout must be 2 s or more")]
    ShortLease,
    /// The error of the clock's rate is above 10 %.
    #[error("drift_ppm is above 100000: no clock is wrong by more than a tenth")]
    Drift,
    /// The wait time does not fit in Ganeti's time for an OOB program.
    #[error(
        "lease, twice watchdog_timeout and stop_time come to {:.1} s, and with 15 s to reach every node that does not fit in the 60 s \
         that Ganeti gives an OOB program: shorten them",
        .0.as_secs_f64()
    )]
    LongWait(Duration),
    /// The grace after the start of the cluster stack is below 30 s.
    #[error("start_up_grace is below {least_s} s: a node that boots more slowly than others would be drained")]
    ShortGrace {
        /// The shortest grace that can be set, in seconds.
        least_s: u64,
    },
    /// A template has a brace without its other half.
    #[error("{0:?} has a brace that is not part of a {{key}}")]
    Brace(String),
    /// A template has a key for which the node has no value.
    #[error("{template:?} needs {{{key}}}, and the node's rule has no values = {{ {key} = ... }}")]
    Key {
        /// The whole text with its `{key}` places, as it is in the file.
        template: String,
        /// The key without a value.
        key: String,
    },
    /// The account of a BMC has no name.
    #[error("username is empty, which is the BMC's null user: make an account for fencing and name it")]
    NoUsername,
    /// The name of the account has a character that cannot be seen.
    #[error("username has the character {0:?}: name the account as the BMC shows it")]
    HiddenCharacter(char),
    /// The name of the account is longer than IPMI allows.
    #[error("username has more than 16 bytes, the most that IPMI allows")]
    LongUsername,
    /// `cipher_suites` is an empty list: no login would be tried.
    #[error("cipher_suites is empty: 17 and 3 can be used")]
    NoCipherSuite,
    /// A cipher suite does not protect power control.
    #[error("cipher suite {0} does not protect power control: 17 and 3 can be used")]
    WeakCipherSuite(u8),
    /// A cipher suite is named more than once.
    #[error("cipher_suites has the same suite twice")]
    CipherSuiteTwice,
    /// The time for a login is below 1 s.
    #[error("login_timeout is below 1 second, too short for any BMC")]
    ShortLogin,
    /// The port of a BMC is 0.
    #[error("port must be between 1 and 65535")]
    Port,
    /// The name of a Redfish account has the character that ends it in HTTP.
    #[error("username has a colon, which HTTP cannot send: name the account without one")]
    ColonInUsername,
    /// The path of a system is not one.
    #[error("system = {0:?} is not the path of a system, as in /redfish/v1/Systems/1")]
    SystemPath(String),
    /// A UUID is not one, or the one of a board on which the maker has set none.
    #[error("uuid = {0:?} is not a UUID that only one machine has")]
    Uuid(String),
    /// The serial number has no character.
    #[error("serial_number is empty: use system or uuid")]
    NoSerialNumber,
    /// A fingerprint has another form.
    #[error("fingerprint = {0:?} is not a fingerprint, as /usr/lib/gnt-ha/ganeti-oob check prints it: sha256//BASE64")]
    Fingerprint(String),
    /// The address means another machine on each host.
    #[error("{0} is an address that each host has for itself: use the BMC's address on the network")]
    OwnAddress(String),
    /// Two rules for one certificate.
    #[error("use one of ca_file and fingerprint: with a fingerprint the key alone counts")]
    TwoTrusts,
    /// Old TLS is allowed for a BMC of which the key is not known.
    #[error("tls = \"1.0\" needs fingerprint: old TLS proves an identity only by a known key")]
    OldTlsWithoutFingerprint,
    /// The time for a reading is below 6 s.
    #[error("timeout is below 6 seconds: a BMC counts as silent after 5")]
    ShortTimeout,
    /// The name of the agent is not that of a fence agent.
    #[error("agent = {0:?} is not a fence agent: use its name (fence_...) or absolute path")]
    Agent(String),
    /// The agent is the one that runs `ganeti-oob`.
    #[error("agent = \"fence_ganeti\" would call this program for ever: name another agent")]
    OwnAgent,
    /// The configured grade is above that of an agent that switches no power.
    #[error("agent {agent} switches no power: its off proves {known} at most (grade)")]
    Grade {
        /// The name of the fence agent's program, as it is in the file.
        agent: String,
        /// The grade of its "off".
        known: Grade,
    },
    /// `ganeti-oob` sets the option.
    #[error("option {0} is set by ganeti-oob itself: take it out")]
    ReservedOption(String),
    /// The option takes a password or a key, which the configuration must not contain.
    #[error("option {0} would put a secret into this file: use password_file, or secrets = {{ {0} = FILE }}")]
    SecretOption(String),
    /// With the option the agent reports a host as off that may be on.
    #[error("with option {option} agent {agent} would report as off {what}: take the option out")]
    TakesForOff {
        /// The name of the option in the device's `options`.
        option: String,
        /// The name of the fence agent's program, as it is in the file.
        agent: String,
        /// What the agent would report as off.
        what: &'static str,
    },
    /// The name of an option has other characters than an option can have.
    #[error("option {0:?} is not the name of an option")]
    OptionName(String),
    /// The value of an option has more than one line.
    #[error("option {0} holds a line break")]
    LineBreak(String),
}
