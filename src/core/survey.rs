//! What the other nodes' `ganeti-oob` say of themselves, all asked at once: `ganeti-oob survey`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::node::NodeName;
use super::shun::words::Program;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// This host's own.
    pub own: Program,
    /// Each other node's that is not offline.
    pub nodes: BTreeMap<NodeName, Found>,
}

/// What one node said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// This.
    Says {
        /// What stands behind its answer; none of a version that does not tell.
        program: Option<Program>,
        /// By how much its clock is surely ahead of this host's, in milliseconds; negative if it is behind.
        skew_ms: i64,
    },
    /// Nothing, and why.
    Silent(String),
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
