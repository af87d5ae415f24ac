//! Holds the devices of the configuration and checks them; touches nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::agent_device::OptionValue;
use super::agents::kind_of;
use super::setting_error::SettingError;
use super::template::{Values, fill, has_key};
use crate::core::evidence::Evidence;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::power::reading::{PowerDeviceKind, ReadingSubject};
use crate::core::text::is_hidden;

pub use super::agent_device::AgentDevice;
pub use super::redfish_device::{OldestTls, RedfishDevice, RedfishLogin};
pub use super::seconds::Seconds;

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
    pub fn named_kind(&self) -> (String, PowerDeviceKind) {
        (self.name.clone(), self.driver.kind())
    }
}

/// The driver of a device, with its settings.
#[derive(Clone, Debug)]
pub enum Driver {
    /// A BMC, over IPMI 2.0 on the LAN.
    Ipmi(IpmiDevice),
    /// A BMC, over Redfish (HTTPS).
    Redfish(RedfishDevice),
    /// An installed fence agent, which gets its options on stdin as from Pacemaker.
    Agent(AgentDevice),
    /// Another OOB program by Ganeti's contract, for hardware that no fence agent can switch.
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

/// The settings of a BMC that `ganeti-oob` switches by itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IpmiDevice {
    /// The host name or IP address; a template.
    pub address: String,
    /// The UDP port of the BMC; 623 if it is not set.
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
    /// Whether the host that the BMC reports is compared with the node; not if the BMC reports an identity of its own.
    #[serde(default = "yes")]
    pub compare_identity: bool,
}

/// The settings of another OOB program, which gets Ganeti's command and the node's name as arguments.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecDevice {
    /// The absolute path of the program.
    pub program: PathBuf,
    /// The subject of its "on" and "off"; unknown if it is `None`.
    #[serde(default)]
    pub sees: Option<ReadingSubject>,
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

impl Driver {
    /// Returns the grade of the driver's "off" once it has answered; `None` for shunning, whose grade the survivors
    /// decide.
    #[must_use]
    pub fn proves(&self) -> Option<Grade> {
        match self {
            Self::Agent(agent) => Some(agent.grade()),
            // The "off" of the program counts, unless it names another grade.
            Self::Ipmi(_) | Self::Redfish(_) | Self::Exec(_) => Some(Evidence::PowerOff.worth().grade),
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
    pub fn kind(&self) -> PowerDeviceKind {
        match self {
            Self::Ipmi(bmc) => PowerDeviceKind { sees: ReadingSubject::Machine, shares_power: bmc.shares_power },
            Self::Redfish(bmc) => PowerDeviceKind { sees: ReadingSubject::Machine, shares_power: bmc.shares_power },
            Self::Agent(agent) => PowerDeviceKind {
                sees: agent.sees(),
                shares_power: agent.shares_power.unwrap_or_else(|| kind_of(&agent.agent).shares_power),
            },
            Self::Exec(exec) => {
                PowerDeviceKind { sees: exec.sees.unwrap_or(ReadingSubject::Unknown), shares_power: false }
            }
            Self::Shun => PowerDeviceKind { sees: ReadingSubject::Access, shares_power: false },
        }
    }

    /// Sets the grade of an agent without a configured grade, by its kind and the configured `power_agents`.
    pub(crate) fn set_default_grade(&mut self, power_agents: &BTreeSet<String>) {
        if let Self::Agent(agent) = self {
            agent.grade = Some(agent.grade.unwrap_or_else(|| agent.default_grade(power_agents)));
        }
    }

    /// The values of `driver =`.
    pub(crate) const WORDS: [&str; 5] = ["ipmi", "redfish", "agent", "exec", "shun"];

    /// Checks what can be checked before a node is known.
    pub(crate) fn check(&self) -> Result<(), SettingError> {
        match self {
            Self::Ipmi(bmc) => bmc.check(),
            Self::Redfish(bmc) => bmc.check(),
            Self::Agent(agent) => agent.check(),
            Self::Shun => Ok(()),
            Self::Exec(exec) if exec.program.is_absolute() => Ok(()),
            Self::Exec(exec) => Err(SettingError::RelativePath { setting: "program", path: exec.program.clone() }),
        }
    }

    /// Returns whether the device is the same machine for every node, because no template names the machine.
    pub(crate) fn is_one_for_all(&self) -> bool {
        match self {
            Self::Ipmi(bmc) => !has_key(&bmc.address),
            Self::Redfish(bmc) => !bmc.names_machine().any(|template| has_key(template)),
            Self::Agent(agent) => !agent.options.values().any(|value| has_key(&value.text())),
            // These drivers receive the name of the node.
            Self::Exec(_) | Self::Shun => false,
        }
    }

    /// Returns the driver with its templates filled in for `node`.
    pub(crate) fn filled_in(&self, node: &NodeName, values: &Values) -> Result<Self, SettingError> {
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
            Self::Redfish(bmc) => {
                let optional = |template: &Option<String>| template.as_deref().map(fill).transpose();
                let address = fill(&bmc.address)?;
                check_address(&address)?;
                let filled = RedfishDevice {
                    address,
                    password_file: fill(&bmc.password_file)?,
                    system: optional(&bmc.system)?,
                    serial_number: optional(&bmc.serial_number)?,
                    uuid: optional(&bmc.uuid)?,
                    ca_file: optional(&bmc.ca_file)?,
                    fingerprint: optional(&bmc.fingerprint)?,
                    ..bmc.clone()
                };
                filled.check_filled()?;
                Self::Redfish(filled)
            }
            Self::Agent(agent) => {
                let mut options = BTreeMap::new();
                for (name, value) in &agent.options {
                    let text = fill(&value.text())?;
                    if text.contains(['\n', '\0']) {
                        return Err(SettingError::LineBreak(name.clone()));
                    }
                    options.insert(name.clone(), OptionValue::Text(text));
                }
                Self::Agent(AgentDevice {
                    password_file: agent.password_file.as_deref().map(fill).transpose()?,
                    secrets: agent
                        .secrets
                        .iter()
                        .map(|(name, file)| Ok((name.clone(), fill(file)?)))
                        .collect::<Result<_, SettingError>>()?,
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
    fn check(&self) -> Result<(), SettingError> {
        if self.username.is_empty() {
            return Err(SettingError::NoUsername);
        }
        if let Some(hidden) = self.username.chars().find(|letter| is_hidden(*letter)) {
            return Err(SettingError::HiddenCharacter(hidden));
        }
        if self.username.len() > 16 {
            return Err(SettingError::LongUsername);
        }
        if self.cipher_suites.is_empty() {
            return Err(SettingError::NoCipherSuite);
        }
        if let Some(weak) = self.cipher_suites.iter().find(|suite| ![3, 17].contains(*suite)) {
            return Err(SettingError::WeakCipherSuite(*weak));
        }
        if self.cipher_suites.len() > 2 || self.cipher_suites.first() == self.cipher_suites.get(1) {
            return Err(SettingError::CipherSuiteTwice);
        }
        if self.login_timeout.0 < Duration::from_secs(1) {
            return Err(SettingError::ShortLogin);
        }
        if self.port == 0 {
            return Err(SettingError::Port);
        }
        Ok(())
    }
}

/// Checks that the text is a host name, an IPv4 or an IPv6 address, which no resolver or command could read otherwise.
fn check_address(address: &str) -> Result<(), SettingError> {
    if address.parse::<std::net::IpAddr>().is_ok() || NodeName::new(address).is_ok() {
        return Ok(());
    }
    Err(SettingError::Address(address.to_owned()))
}
