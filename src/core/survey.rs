//! The reports of all nodes' `ganeti-oob` about themselves, collected at once. Data types and pure functions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::host_identity::HostIdentity;
use super::node::NodeName;
use super::power::{Power, combined};
use super::shun::messages::{DatedSelfFenceReport, Program, SelfFenceReport, is_false};

/// The answers of all nodes to one survey.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// The report of this host's own program.
    pub own: Program,
    /// The state of this host's own self-fencing if it is armed; also `None` from an older version.
    #[serde(default)]
    pub own_self_fence: Option<SelfFenceReport>,
    /// The answer of each other node that was asked: those that are not offline.
    pub nodes: BTreeMap<NodeName, NodeSurvey>,
}

/// The answer of one node to a survey, or why it has none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, reason = "one of them a node, and nearly all of them are the large one")]
pub enum NodeSurvey {
    /// The node answered in time, with a valid report.
    Answered {
        /// The program that answered; `None` from a version that does not report it.
        program: Option<Program>,
        /// By how many milliseconds the node's clock is at least ahead of this host's; negative if it is behind.
        skew_ms: i64,
        /// The state of the node's self-fencing if it is armed; also `None` from an older version.
        #[serde(default)]
        self_fence: Option<DatedSelfFenceReport>,
    },
    /// The node did not answer, for this reason.
    NoAnswer(String),
}

impl Survey {
    /// Returns the program of each other node that answered and reports it.
    pub fn programs(&self) -> impl Iterator<Item = (&NodeName, &Program)> {
        self.nodes.iter().filter_map(|(node, found)| match found {
            NodeSurvey::Answered { program, .. } => Some((node, program.as_ref()?)),
            NodeSurvey::NoAnswer(_) => None,
        })
    }

    /// Returns what a node reports of its key for Pacemaker remote nodes ([`Program::remote_key`]). `here`: this host.
    ///
    /// # Errors
    /// The reason, in one line, if the node was not asked or did not answer.
    pub fn remote_key(&self, node: &NodeName, here: Option<&NodeName>) -> Result<Option<&str>, &str> {
        let program = match self.nodes.get(node) {
            _ if here == Some(node) => Some(&self.own),
            Some(NodeSurvey::Answered { program, .. }) => program.as_ref(),
            Some(NodeSurvey::NoAnswer(why)) => return Err(why),
            None => return Err("it was not asked, as it is offline in Ganeti or shunned"),
        };
        Ok(program.and_then(|program| program.remote_key.as_deref()))
    }
}

/// The answer of one device of a node. Each device of every level is asked, because the next level may be needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceAnswer {
    /// The level of the device, from 1.
    pub level: usize,
    /// The name of the device in the configuration.
    pub device: String,
    /// The power state that the device reported; `None` if it did not.
    pub power: Option<Power>,
    /// The answer as text, or the reason why the device did not answer.
    pub text: String,
    /// What the device has shown that its configuration could be stricter in; `None` from an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// The identity of the host behind a BMC, without a value if the BMC reports none; `None` if the device did not answer,
    /// or cannot have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<HostIdentity>,
    /// Whether the device reported its power, and did not answer the question for its identity.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_identity_unanswered: bool,
}

/// Returns the devices of each level, in the order of the levels.
pub fn levels(asked: &[DeviceAnswer]) -> impl Iterator<Item = &[DeviceAnswer]> {
    asked.chunk_by(|a, b| a.level == b.level)
}

/// Returns the power state of a level: on if one of its devices reports on, off if all of them report off.
#[must_use]
pub fn level_power(level: &[DeviceAnswer]) -> Option<Power> {
    let known = combined(level.iter().filter_map(|asked| asked.power))?;
    (known == Power::On || level.iter().all(|asked| asked.power.is_some())).then_some(known)
}

/// A reason why the power state of a node is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PowerUnknown {
    /// The configuration has no device for the node, so that no power state can be read.
    #[error("it has no device")]
    NoDevice,
    /// No level has a power state; each silent device with its answer.
    #[error("{}", .0.iter().map(|(device, text)| format!("{device}: {text}")).collect::<Vec<_>>().join("; "))]
    NoAnswer(Vec<(String, String)>),
}

/// Returns the power state of the first level that has one.
///
/// # Errors
/// [`PowerUnknown`] if no level has a power state.
pub fn power_of(asked: &[DeviceAnswer]) -> Result<Power, PowerUnknown> {
    let known = levels(asked).find_map(level_power);
    known.ok_or_else(|| {
        let silent = asked.iter().filter(|asked| asked.power.is_none());
        let all: Vec<_> = silent.map(|asked| (asked.device.clone(), asked.text.clone())).collect();
        if all.is_empty() { PowerUnknown::NoDevice } else { PowerUnknown::NoAnswer(all) }
    })
}

/// Returns by how many milliseconds a clock is at least ahead. It showed `shown_ms` at some time between `asked_ms` and
/// `answered_ms` of this host's clock.
#[must_use]
pub fn skew_ms(shown_ms: u64, asked_ms: u64, answered_ms: u64) -> i64 {
    let nearest = shown_ms.clamp(asked_ms.min(answered_ms), answered_ms.max(asked_ms));
    i64::try_from(i128::from(shown_ms) - i128::from(nearest)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(level: usize, power: Option<Power>) -> DeviceAnswer {
        DeviceAnswer {
            level,
            device: format!("d{level}"),
            power,
            text: "no answer".into(),
            advice: None,
            identity: None,
            is_identity_unanswered: false,
        }
    }

    /// As in fencing, a level counts if all of its devices have answered, and the next level is asked if one has not.
    #[test]
    fn the_first_level_that_answers_shows_the_power() {
        let one_feed = [asked(1, Some(Power::Off)), asked(1, Some(Power::On))];
        assert_eq!(power_of(&one_feed), Ok(Power::On));
        let half = [asked(1, Some(Power::Off)), asked(1, None), asked(2, Some(Power::On))];
        assert_eq!(power_of(&half), Ok(Power::On));
        assert_eq!(power_of(&half[..2]).unwrap_err().to_string(), "d1: no answer");
        assert!(power_of(&[]).is_err());
    }

    /// A slow answer does not prove a wrong clock.
    #[test]
    fn only_what_is_sure_is_a_skew() {
        assert_eq!(skew_ms(5_000, 4_000, 9_000), 0);
        assert_eq!(skew_ms(3_500, 4_000, 9_000), -500);
        assert_eq!(skew_ms(12_000, 4_000, 9_000), 3_000);
        assert_eq!(skew_ms(u64::MAX, 4_000, 9_000), i64::MAX);
        assert_eq!(skew_ms(5_000, 9_000, 4_000), 0, "this host's own clock was set back meanwhile");
    }
}
