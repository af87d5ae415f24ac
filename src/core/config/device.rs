//! Holds the devices of the configuration and checks them; touches nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::agents::kind_of;
use super::template::{Values, fill, has_key};
use crate::core::evidence::Evidence;
use crate::core::fence_agents;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::power::reading::{Kind, Sees};
use crate::core::text::is_hidden;

/// A device of a level, with its templates filled in for one node.
#[derive(Clone, Debug)]
pub struct Device {
    /// The device's name in the configuration.
    pub name: String,
    /// The driver with its settings.
    pub driver: Driver,
}

impl Device {
    /// Returns the name and the kind, for the decision which level counts.
    #[must_use]
    pub fn named_kind(&self) -> (String, Kind) {
        (self.name.clone(), self.driver.kind())
    }
}

/// The driver of a device, with its settings.
#[derive(Clone, Debug)]
pub enum Driver {
    /// A BMC, over IPMI 2.0 on the LAN.
    Ipmi(IpmiDevice),
    /// An installed fence agent.
    Agent(AgentDevice),
    /// Another OOB program.
    Exec(ExecDevice),
    /// Shunning by all other nodes; see `[shun]`.
    Shun,
}

/// The privilege levels of a BMC that can be requested (IPMI 2.0, 6.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Privilege {
    /// The least privilege that can switch the power.
    #[default]
    Operator,
    /// All privileges of the BMC.
    Administrator,
}

/// The settings of a BMC.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IpmiDevice {
    /// The host name or IP address; a template.
    pub address: String,
    /// The UDP port.
    #[serde(default = "ipmi_port")]
    pub port: u16,
    /// The name of the account, at most 16 bytes.
    pub username: String,
    /// A file with the password on its first line, at most 20 bytes; a template.
    pub password_file: String,
    /// A file with the BMC key K_g on its first line: 20 characters, or `0x` and 40 hex digits; a template.
    #[serde(default)]
    pub kg_file: Option<String>,
    /// The privilege level that is requested at login.
    #[serde(default)]
    pub privilege: Privilege,
    /// The cipher suites in the order of the attempts. A later one is tried only if the BMC refuses to open a session
    /// with the one before.
    #[serde(default = "cipher_suites")]
    pub cipher_suites: Vec<u8>,
    /// For how long a BMC that does not answer is asked, in seconds.
    #[serde(default = "login_timeout")]
    pub login_timeout: Seconds,
    /// Whether the BMC loses its power with its host.
    #[serde(default = "yes")]
    pub shares_power: bool,
}

/// The settings of a fence agent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentDevice {
    /// The agent's name (`fence_...`, found where Pacemaker finds it) or its path.
    pub agent: String,
    /// A file with the password on its first line; a template. The password reaches the agent only on stdin.
    #[serde(default)]
    pub password_file: Option<String>,
    /// Files with other secrets, by the option that they are for (`snmp_priv_passwd`, `token`); templates.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// Whether the agent prints nothing to stdout, so that only its exit code distinguishes on (0) from off (2).
    #[serde(default)]
    pub status_by_exit_code: bool,
    /// The grade of its "off"; `None` for that of the agent's known kind.
    #[serde(default)]
    pub grade: Option<Grade>,
    /// Whether the device behind it loses its power with the host; `None` for that of the agent's known kind.
    #[serde(default)]
    pub shares_power: Option<bool>,
    /// The subject of its "on" and "off"; `None` for that of the agent's known kind.
    #[serde(default)]
    pub sees: Option<Sees>,
    /// The options that the agent reads on stdin, with the names of its manual page; templates.
    #[serde(default)]
    pub options: BTreeMap<String, OptionValue>,
}

/// The settings of another OOB program.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecDevice {
    /// The absolute path of the program.
    pub program: PathBuf,
    /// The subject of its "on" and "off"; unknown if it is `None`.
    #[serde(default)]
    pub sees: Option<Sees>,
}

/// A time in seconds, 0 to 3600, written as a whole number or with a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Number")]
pub struct Seconds(pub Duration);

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(u64),
    Fraction(f64),
}

impl TryFrom<Number> for Seconds {
    type Error = String;

    fn try_from(number: Number) -> Result<Self, String> {
        const MOST: f64 = 3600.0;
        let seconds = match number {
            #[allow(clippy::cast_precision_loss, reason = "anything near the limit of f64 is refused below")]
            Number::Whole(n) => n as f64,
            Number::Fraction(n) => n,
        };
        if !(0.0..=MOST).contains(&seconds) {
            return Err(format!("{seconds} is no time: give 0 to {MOST} seconds"));
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }
}

/// The value of an agent's option: text, number or truth value.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum OptionValue {
    /// A text, passed as it is.
    Text(String),
    /// A number, written in decimal.
    Number(i64),
    /// A truth value, written as 1 or 0.
    Truth(bool),
}

impl OptionValue {
    /// Returns the value as the agent reads it.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Truth(truth) => u8::from(*truth).to_string(),
        }
    }
}

const fn yes() -> bool {
    true
}

const fn ipmi_port() -> u16 {
    623
}

fn cipher_suites() -> Vec<u8> {
    vec![17, 3]
}

const fn login_timeout() -> Seconds {
    Seconds(Duration::from_secs(8))
}

/// The options of an agent that `ganeti-oob` sets itself.
const RESERVED: [&str; 3] = ["action", "option", "nodename"];

/// The options of fence-agents' library and of its agents that are secrets.
const SECRET_OPTIONS: [&str; 8] =
    ["password", "passwd", "snmp_priv_passwd", "community", "token", "secret_key", "apikey", "session_token"];

impl Driver {
    /// Returns the grade of the driver's "off" once it has answered; `None` for shunning, whose grade the survivors
    /// decide.
    #[must_use]
    pub fn proves(&self) -> Option<Grade> {
        match self {
            Self::Agent(agent) => Some(agent.grade()),
            // The "off" of the program counts, unless it names another grade.
            Self::Ipmi(_) | Self::Exec(_) => Some(Evidence::PowerOff.worth().grade),
            Self::Shun => None,
        }
    }

    /// Returns whether the device loses its power with its host, and then proves nothing.
    #[must_use]
    pub fn shares_power(&self) -> bool {
        self.kind().shares_power
    }

    /// Returns the subject of its answers, and whether a missing answer can be that of a host without power.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Ipmi(bmc) => Kind { sees: Sees::Machine, shares_power: bmc.shares_power },
            Self::Agent(agent) => Kind {
                sees: agent.sees(),
                shares_power: agent.shares_power.unwrap_or_else(|| kind_of(&agent.agent).shares_power),
            },
            Self::Exec(exec) => Kind { sees: exec.sees.unwrap_or(Sees::Unknown), shares_power: false },
            Self::Shun => Kind { sees: Sees::Access, shares_power: false },
        }
    }

    /// Sets the grade of an agent without a configured grade, by its kind and the configured `power_agents`.
    pub(crate) fn know(&mut self, power_agents: &BTreeSet<String>) {
        if let Self::Agent(agent) = self {
            agent.grade = Some(agent.grade.unwrap_or_else(|| agent.known(power_agents)));
        }
    }

    /// The values of `driver =`.
    pub(crate) const WORDS: [&str; 4] = ["ipmi", "agent", "exec", "shun"];

    /// Checks what can be checked before a node is known.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::Ipmi(bmc) => bmc.check(),
            Self::Agent(agent) => agent.check(),
            Self::Shun => Ok(()),
            Self::Exec(exec) if exec.program.is_absolute() => Ok(()),
            Self::Exec(exec) => Err(format!("program = {:?} must be an absolute path", exec.program)),
        }
    }

    /// Returns whether the device is the same machine for every node, because no template names the machine.
    pub(crate) fn is_one_for_all(&self) -> bool {
        match self {
            Self::Ipmi(bmc) => !has_key(&bmc.address),
            Self::Agent(agent) => !agent.options.values().any(|value| has_key(&value.text())),
            // These drivers receive the name of the node.
            Self::Exec(_) | Self::Shun => false,
        }
    }

    /// Returns the driver with its templates filled in for `node`.
    pub(crate) fn filled_in(&self, node: &NodeName, values: &Values) -> Result<Self, String> {
        let fill = |template: &str| fill(template, node, values);
        Ok(match self {
            Self::Ipmi(bmc) => {
                let address = fill(&bmc.address)?;
                check_address(&address)?;
                Self::Ipmi(IpmiDevice {
                    address,
                    password_file: fill(&bmc.password_file)?,
                    kg_file: bmc.kg_file.as_deref().map(fill).transpose()?,
                    ..bmc.clone()
                })
            }
            Self::Agent(agent) => {
                let mut options = BTreeMap::new();
                for (name, value) in &agent.options {
                    let text = fill(&value.text())?;
                    if text.contains(['\n', '\0']) {
                        return Err(format!("option {name} holds a line break"));
                    }
                    options.insert(name.clone(), OptionValue::Text(text));
                }
                Self::Agent(AgentDevice {
                    password_file: agent.password_file.as_deref().map(fill).transpose()?,
                    secrets: agent
                        .secrets
                        .iter()
                        .map(|(name, file)| Ok((name.clone(), fill(file)?)))
                        .collect::<Result<_, String>>()?,
                    options,
                    ..agent.clone()
                })
            }
            Self::Exec(exec) => Self::Exec(exec.clone()),
            Self::Shun => Self::Shun,
        })
    }
}

impl IpmiDevice {
    fn check(&self) -> Result<(), String> {
        if self.username.is_empty() {
            return Err(
                "username is empty, which is the BMC's null user: make an account for fencing and name it".to_owned()
            );
        }
        if let Some(hidden) = self.username.chars().find(|letter| is_hidden(*letter)) {
            return Err(format!("username has the character {hidden:?}: name the account as the BMC shows it"));
        }
        if self.username.len() > 16 {
            return Err("username has more than 16 bytes, the most that IPMI knows".to_owned());
        }
        if self.cipher_suites.is_empty() {
            return Err("cipher_suites is empty: 17 and 3 can be used".to_owned());
        }
        if let Some(weak) = self.cipher_suites.iter().find(|suite| ![3, 17].contains(*suite)) {
            return Err(format!("cipher suite {weak} does not protect power control: 17 and 3 can be used"));
        }
        if self.cipher_suites.len() > 2 || self.cipher_suites.first() == self.cipher_suites.get(1) {
            return Err("cipher_suites names one twice".to_owned());
        }
        if self.login_timeout.0 < Duration::from_secs(1) {
            return Err("login_timeout is below 1 second, too short for any BMC".to_owned());
        }
        if self.port == 0 {
            return Err("port must be between 1 and 65535".to_owned());
        }
        Ok(())
    }
}

impl AgentDevice {
    /// Returns the grade of its "off": the configured one, else that of its known kind.
    #[must_use]
    pub fn grade(&self) -> Grade {
        self.grade.unwrap_or_else(|| self.known(&BTreeSet::new()))
    }

    fn known(&self, power_agents: &BTreeSet<String>) -> Grade {
        Evidence::of_success(fence_agents::Kind::of(&self.agent, power_agents), true).worth().grade
    }

    /// Returns the subject of its answers: the configured one, else that of the agent's known kind. An agent of an
    /// unknown kind may read the power, however little its "off" proves.
    #[must_use]
    pub fn sees(&self) -> Sees {
        self.sees.unwrap_or(kind_of(&self.agent).sees)
    }

    /// The agent's file, in the directory where Pacemaker has its agents (`PCMK__FENCE_BINDIR`).
    #[must_use]
    pub fn program(&self) -> PathBuf {
        Path::new("/usr/sbin").join(&self.agent)
    }

    /// The options that are secrets, each with its file.
    pub fn secret_files(&self) -> impl Iterator<Item = (&str, &str)> {
        let password = self.password_file.iter().map(|file| ("password", file.as_str()));
        password.chain(self.secrets.iter().map(|(option, file)| (option.as_str(), file.as_str())))
    }

    fn check(&self) -> Result<(), String> {
        let file = self.agent.rsplit('/').next().unwrap_or_default();
        let plain = file.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if !file.starts_with("fence_") || !plain || (self.agent.contains('/') && !self.agent.starts_with('/')) {
            return Err(format!(
                "agent = {:?} is no fence agent: give its name (fence_...) or absolute path",
                self.agent
            ));
        }
        if file == "fence_ganeti" {
            return Err("agent = \"fence_ganeti\" would call this program for ever: name another agent".to_owned());
        }
        let known = fence_agents::Kind::of(&self.agent, &BTreeSet::new());
        if matches!(known, fence_agents::Kind::Fabric | fence_agents::Kind::Watchdog)
            && self.grade.is_some_and(|grade| grade > self.known(&BTreeSet::new()))
        {
            let known = self.known(&BTreeSet::new());
            return Err(format!("agent {file} switches no power: its off proves {known} at most (grade)"));
        }
        for name in self.options.keys().chain(self.secrets.keys()) {
            // The agents' library treats both spellings as the same.
            let plain = name.replace('-', "_");
            if RESERVED.contains(&plain.as_str()) {
                return Err(format!("option {name} is set by ganeti-oob itself: take it out"));
            }
            if SECRET_OPTIONS.contains(&plain.as_str()) && self.options.contains_key(name) {
                return Err(format!(
                    "option {name} would put a secret into this file: use password_file, or secrets = {{ {name} = FILE }}"
                ));
            }
            let takes = fence_agents::TAKES_FOR_OFF.iter().find(|(known, _)| *known == name.as_str());
            let is_on = self.options.get(name).is_some_and(|value| fence_agents::is_not_false(&value.text()));
            if let Some((_, what)) = takes.filter(|_| is_on) {
                return Err(format!("with option {name} agent {file} would take for off {what}: take the option out"));
            }
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
                return Err(format!("option {name:?} is no name of an option"));
            }
        }
        Ok(())
    }
}

/// Checks that the text is a host name, an IPv4 or an IPv6 address, which no resolver or command could read otherwise.
fn check_address(address: &str) -> Result<(), String> {
    if address.parse::<std::net::IpAddr>().is_ok() || NodeName::new(address).is_ok() {
        return Ok(());
    }
    Err(format!("{address:?} is neither a host name nor an IP address"))
}
