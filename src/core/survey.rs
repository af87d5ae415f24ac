//! What the other nodes' `ganeti-oob` say of themselves, all asked at once: `ganeti-oob survey`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::node::NodeName;
use super::power::{Power, combined};
use super::shun::messages::{DatedSelfFenceReport, Program, SelfFenceReport};

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// This host's own.
    pub own: Program,
    /// This host's own self-fencing, where it is armed; none of an older version.
    #[serde(default)]
    pub own_self_fence: Option<SelfFenceReport>,
    /// Each other node's that is not offline.
    pub nodes: BTreeMap<NodeName, NodeSurvey>,
}

/// What one node said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, reason = "one of them a node, and nearly all of them are the large one")]
pub enum NodeSurvey {
    /// This.
    Says {
        /// What stands behind its answer; none of a version that does not tell.
        program: Option<Program>,
        /// By how much its clock is surely ahead of this host's, in milliseconds; negative if it is behind.
        skew_ms: i64,
        /// Its self-fencing, where it is armed; none of an older version.
        #[serde(default)]
        self_fence: Option<DatedSelfFenceReport>,
    },
    /// Nothing, and why.
    Silent(String),
}

impl Survey {
    /// What a node says of its key for Pacemaker remote nodes ([`Program::remote_key`]). `here`: this host.
    ///
    /// # Errors
    /// Why it says nothing, in one line.
    pub fn remote_key(&self, node: &NodeName, here: Option<&NodeName>) -> Result<Option<&str>, &str> {
        let program = match self.nodes.get(node) {
            _ if here == Some(node) => Some(&self.own),
            Some(NodeSurvey::Says { program, .. }) => program.as_ref(),
            Some(NodeSurvey::Silent(why)) => return Err(why),
            None => return Err("it was not asked, as it is offline in Ganeti or refused"),
        };
        Ok(program.and_then(|program| program.remote_key.as_deref()))
    }
}

/// One device of a node, as `ganeti-oob devices` has asked it: each of every level, as the next level may be needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceAnswer {
    /// Its level, from 1.
    pub level: usize,
    /// Its name in the configuration.
    pub device: String,
    /// What it said of the power; none: it did not.
    pub power: Option<Power>,
    /// In words; or why it said nothing.
    pub said: String,
    /// What its configuration could be stricter in, as it has shown; none of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// Each level with its devices.
pub fn levels(asked: &[DeviceAnswer]) -> impl Iterator<Item = &[DeviceAnswer]> {
    asked.chunk_by(|a, b| a.level == b.level)
}

/// What the devices of a level say together: on while one of them is, off when all of them are.
#[must_use]
pub fn level_power(level: &[DeviceAnswer]) -> Option<Power> {
    let known = combined(level.iter().filter_map(|asked| asked.power))?;
    (known == Power::On || level.iter().all(|asked| asked.power.is_some())).then_some(known)
}

/// What the first level that knows says of the power.
///
/// # Errors
/// Why none does, in one line.
pub fn power_of(asked: &[DeviceAnswer]) -> Result<Power, String> {
    let known = levels(asked).find_map(level_power);
    known.ok_or_else(|| {
        let silent = asked.iter().filter(|asked| asked.power.is_none());
        let all: Vec<String> = silent.map(|asked| format!("{}: {}", asked.device, asked.said)).collect();
        if all.is_empty() { "it has no device".to_owned() } else { all.join("; ") }
    })
}

/// By how much a clock that showed `shown_ms` at some time between `asked_ms` and `answered_ms` of this host's is surely ahead.
#[must_use]
pub fn skew_ms(shown_ms: u64, asked_ms: u64, answered_ms: u64) -> i64 {
    let nearest = shown_ms.clamp(asked_ms.min(answered_ms), answered_ms.max(asked_ms));
    i64::try_from(i128::from(shown_ms) - i128::from(nearest)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(level: usize, power: Option<Power>) -> DeviceAnswer {
        DeviceAnswer { level, device: format!("d{level}"), power, said: "no answer".into(), advice: None }
    }

    /// As in fencing: a level counts when all of its devices have answered, and the next is asked where one does not.
    #[test]
    fn the_first_level_that_knows_tells_the_power() {
        let one_feed = [asked(1, Some(Power::Off)), asked(1, Some(Power::On))];
        assert_eq!(power_of(&one_feed), Ok(Power::On));
        let half = [asked(1, Some(Power::Off)), asked(1, None), asked(2, Some(Power::On))];
        assert_eq!(power_of(&half), Ok(Power::On));
        assert_eq!(power_of(&half[..2]), Err("d1: no answer".to_owned()));
        assert!(power_of(&[]).is_err());
    }

    /// An answer that took long says nothing against a clock.
    #[test]
    fn only_what_is_sure_is_a_skew() {
        assert_eq!(skew_ms(5_000, 4_000, 9_000), 0);
        assert_eq!(skew_ms(3_500, 4_000, 9_000), -500);
        assert_eq!(skew_ms(12_000, 4_000, 9_000), 3_000);
        assert_eq!(skew_ms(u64::MAX, 4_000, 9_000), i64::MAX);
        assert_eq!(skew_ms(5_000, 9_000, 4_000), 0, "this host's own clock was set back meanwhile");
    }
}
