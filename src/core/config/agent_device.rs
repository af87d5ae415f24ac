//! Holds the settings of a fence agent and checks them; touches nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::agents::kind_of;
use super::setting_error::SettingError;
use crate::core::evidence::Evidence;
use crate::core::fence_agents;
use crate::core::grade::Grade;
use crate::core::power::reading::ReadingSubject;

/// The settings of a fence agent, which gets its options on stdin.
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
    pub sees: Option<ReadingSubject>,
    /// The options that the agent reads on stdin, with the names of its manual page; templates.
    #[serde(default)]
    pub options: BTreeMap<String, OptionValue>,
}

/// The value of an agent's option: text, number or truth value.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum OptionValue {
    /// A text, which the agent gets as it is.
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

/// The options of an agent that `ganeti-oob` sets itself.
const RESERVED: [&str; 3] = ["action", "option", "nodename"];

/// The options of fence-agents' library and of its agents that are secrets.
const SECRET_OPTIONS: [&str; 8] =
    ["password", "passwd", "snmp_priv_passwd", "community", "token", "secret_key", "apikey", "session_token"];

impl AgentDevice {
    /// Returns the grade of its "off": the configured one, else that of its known kind.
    #[must_use]
    pub fn grade(&self) -> Grade {
        self.grade.unwrap_or_else(|| self.default_grade(&BTreeSet::new()))
    }

    pub(super) fn default_grade(&self, power_agents: &BTreeSet<String>) -> Grade {
        Evidence::of_success(fence_agents::FenceDeviceKind::of(&self.agent, power_agents), true).worth().grade
    }

    /// Returns the subject of its answers: the configured one, else that of the agent's known kind. An agent of an
    /// unknown kind may read the power, however little its "off" proves.
    #[must_use]
    pub fn sees(&self) -> ReadingSubject {
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

    pub(super) fn check(&self) -> Result<(), SettingError> {
        let file = self.agent.rsplit('/').next().unwrap_or_default();
        let plain = file.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if !file.starts_with("fence_") || !plain || (self.agent.contains('/') && !self.agent.starts_with('/')) {
            return Err(SettingError::Agent(self.agent.clone()));
        }
        if file == "fence_ganeti" {
            return Err(SettingError::OwnAgent);
        }
        let known = fence_agents::FenceDeviceKind::of(&self.agent, &BTreeSet::new());
        if matches!(known, fence_agents::FenceDeviceKind::Fabric | fence_agents::FenceDeviceKind::Watchdog)
            && self.grade.is_some_and(|grade| grade > self.default_grade(&BTreeSet::new()))
        {
            return Err(SettingError::Grade { agent: file.to_owned(), known: self.default_grade(&BTreeSet::new()) });
        }
        for name in self.options.keys().chain(self.secrets.keys()) {
            // The agents' library treats both spellings as the same.
            let plain = name.replace('-', "_");
            if RESERVED.contains(&plain.as_str()) {
                return Err(SettingError::ReservedOption(name.clone()));
            }
            if SECRET_OPTIONS.contains(&plain.as_str()) && self.options.contains_key(name) {
                return Err(SettingError::SecretOption(name.clone()));
            }
            let takes = fence_agents::TAKES_FOR_OFF.iter().find(|(known, _)| *known == name.as_str());
            let is_on = self.options.get(name).is_some_and(|value| fence_agents::is_not_false(&value.text()));
            if let Some((_, what)) = takes.filter(|_| is_on) {
                return Err(SettingError::TakesForOff { option: name.clone(), agent: file.to_owned(), what });
            }
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
                return Err(SettingError::OptionName(name.clone()));
            }
        }
        Ok(())
    }
}
