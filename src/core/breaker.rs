//! The breaker, a guard: too many nodes recorded offline at once have another cause than the loss of nodes. Pure.
//!
//! It opens and names the nodes that it blocks. It closes when the administrator resets it, or when the cluster was
//! whole for a while. While it is open, the dead nodes' instances stay down, which is safe for their disks.
//!
//! ```
//! use gnt_ha::core::breaker::{Breaker, Limits};
//!
//! assert_eq!(Limits::default().of(3), 2);
//! assert_eq!(Limits::default().of(20), 6, "30 % of 20 nodes");
//! assert!(Breaker::default().open_state().is_none(), "it is closed");
//! ```

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::node::NodeName;
use super::receipt::Timestamp;

/// How long the cluster must have been whole, in milliseconds, before the breaker closes and forgets.
pub const WHOLE_FOR_MS: u64 = 600_000;

/// The longest pause between two reconciliations, in milliseconds, over which the cluster still counts as watched.
const UNWATCHED_MS: u64 = 60_000;

/// How many nodes may be recorded offline at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The number of nodes, however small the cluster is.
    pub nodes: usize,
    /// The share of all nodes, in percent, which counts if it is more.
    pub percent: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { nodes: 2, percent: 30 }
    }
}

impl Limits {
    /// Returns the limit for a cluster of `total` nodes.
    #[must_use]
    pub fn of(self, total: usize) -> usize {
        self.nodes.max(total.saturating_mul(self.percent) / 100)
    }
}

/// The state of the breaker between two reconciliations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// The open state; `None` while the breaker is closed.
    open: Option<OpenState>,
    /// Nodes that were fenced and recorded offline, and not readmitted since.
    down: BTreeSet<NodeName>,
    /// Nodes that were counted or blocked at a reset by the administrator: they count no more.
    excused: BTreeSet<NodeName>,
    whole: Option<Whole>,
}

/// The open breaker: since when, and for which nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenState {
    /// Since when it is open, in milliseconds since 1970 (wall clock).
    pub since_ms: u64,
    /// The nodes that it blocks: they were about to be recorded offline when it opened.
    pub blocked: BTreeSet<NodeName>,
    /// The nodes that were recorded offline when it opened.
    pub down: BTreeSet<NodeName>,
    /// The number of nodes at a time that the breaker lets be recorded, which was exceeded.
    pub limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Whole {
    since: Timestamp,
    seen: Timestamp,
}

impl Breaker {
    /// Returns the open state; `None` while the breaker is closed.
    #[must_use]
    pub const fn open_state(&self) -> Option<&OpenState> {
        self.open.as_ref()
    }

    /// Returns the nodes that were fenced and recorded offline, and not readmitted since.
    #[must_use]
    pub const fn down(&self) -> &BTreeSet<NodeName> {
        &self.down
    }

    /// Resets the breaker for the administrator: the nodes that are blocked or down now count no more, and counting
    /// starts anew.
    #[must_use]
    pub fn reset(self) -> Self {
        let mut excused = self.excused;
        excused.extend(self.down);
        excused.extend(self.open.into_iter().flat_map(|open| open.blocked));
        Self { excused, ..Self::default() }
    }

    /// Notes that a fenced node is seen recorded offline.
    pub(super) fn recorded(&mut self, node: &NodeName) {
        self.down.insert(node.clone());
    }

    /// Notes that a node is seen online in Ganeti; `back` means that it also runs again.
    pub(super) fn readmitted(&mut self, node: &NodeName, back: bool) {
        self.down.remove(node);
        if back {
            self.excused.remove(node);
            if let Some(open) = &mut self.open {
                open.blocked.remove(node);
            }
        }
    }

    /// Returns whether the cluster is not whole without this node, although it is recorded offline.
    pub(super) fn misses(&self, node: &NodeName) -> bool {
        self.down.contains(node)
            || self.excused.contains(node)
            || self.open.as_ref().is_some_and(|open| open.blocked.contains(node))
    }

    /// Notes whether the cluster is whole now. After [`WHOLE_FOR_MS`] of that, the breaker forgets everything.
    ///
    /// The time must have passed on both clocks: the wall clock may be set, and the boot clock starts again at a boot.
    pub(super) fn observe(&mut self, whole: bool, now: Timestamp) {
        if !whole {
            self.whole = None;
            return;
        }
        let watched = self.whole.filter(|whole| passed(whole.seen, now).is_some_and(|(_, most)| most <= UNWATCHED_MS));
        let since = watched.map_or(now, |whole| whole.since);
        if passed(since, now).is_some_and(|(least, _)| least >= WHOLE_FOR_MS) {
            *self = Self::default();
        }
        self.whole = Some(Whole { since, seen: now });
    }

    /// Sets the time at which a whole cluster was last seen whole.
    pub(super) fn seen_at(&mut self, now: Timestamp) {
        if let Some(whole) = &mut self.whole {
            whole.seen = now;
        }
    }

    /// Asks to record `nodes` offline. The answer is for all of them: chance must not choose which of three are
    /// recorded.
    ///
    /// # Errors
    /// The [`OpenState`] if the breaker is open, or opens now.
    pub(super) fn pass(
        &mut self,
        nodes: &BTreeSet<NodeName>,
        limits: Limits,
        total: usize,
        now: Timestamp,
    ) -> Result<(), &OpenState> {
        let limit = limits.of(total);
        let together = self.down.union(nodes).filter(|node| !self.excused.contains(*node)).count();
        let must_open = !nodes.is_empty() && together > limit;
        if self.open.is_none() && must_open {
            self.open = Some(OpenState {
                since_ms: now.wall_ms,
                blocked: BTreeSet::new(),
                down: &self.down - &self.excused,
                limit,
            });
        }
        match &mut self.open {
            None => Ok(()),
            Some(open) => {
                open.blocked.extend(nodes.iter().cloned());
                Err(open)
            }
        }
    }
}

/// Returns the milliseconds between two times, by the slower and by the faster of both clocks; `None` if one went back.
fn passed(from: Timestamp, to: Timestamp) -> Option<(u64, u64)> {
    let wall = to.wall_ms.checked_sub(from.wall_ms)?;
    let boot = to.boottime_ms.checked_sub(from.boottime_ms)?;
    Some((wall.min(boot), wall.max(boot)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<NodeName> {
        names.iter().map(|name| NodeName::new(name).unwrap()).collect()
    }

    fn at(s: u64) -> Timestamp {
        Timestamp { wall_ms: 1_000_000 + s * 1_000, boottime_ms: s * 1_000 }
    }

    /// The limit is 2 nodes or 30 % of all, whichever is more.
    #[test]
    fn the_limit_is_the_larger_of_both() {
        let limits = Limits::default();
        assert_eq!([1, 3, 6, 7, 9, 10, 20].map(|total| limits.of(total)), [2, 2, 2, 2, 2, 3, 6]);
    }

    #[test]
    fn three_of_five_open_the_breaker_and_none_of_them_passes() {
        let mut breaker = Breaker::default();
        let open = breaker.pass(&set(&["n3", "n4", "n5"]), Limits::default(), 5, at(0)).unwrap_err();
        assert_eq!(open.blocked, set(&["n3", "n4", "n5"]));
        assert!(breaker.pass(&set(&["n3"]), Limits::default(), 5, at(1)).is_err(), "it opens");
    }

    #[test]
    fn those_that_are_down_count() {
        let mut breaker = Breaker::default();
        breaker.recorded(&NodeName::new("n4").unwrap());
        breaker.recorded(&NodeName::new("n5").unwrap());
        assert!(breaker.pass(&set(&["n5"]), Limits::default(), 5, at(0)).is_ok(), "n5 counts once");
        assert!(breaker.pass(&set(&["n3"]), Limits::default(), 5, at(0)).is_err());
    }

    /// A reset does not open again at once, and it frees only the nodes that were blocked.
    #[test]
    fn a_reset_lets_through_what_was_held_and_no_more() {
        let mut breaker = Breaker::default();
        let blocked = set(&["n1", "n2", "n3"]);
        assert!(breaker.pass(&blocked, Limits::default(), 8, at(0)).is_err());
        let mut breaker = breaker.reset();
        assert!(breaker.pass(&blocked, Limits::default(), 8, at(1)).is_ok());
        let mut all = blocked;
        all.extend(set(&["n4", "n5", "n6"]));
        assert!(breaker.pass(&all, Limits::default(), 8, at(2)).is_err());
    }

    #[test]
    fn ten_minutes_of_a_whole_cluster_reset_it() {
        let mut breaker = Breaker::default();
        assert!(breaker.pass(&set(&["a", "b", "c"]), Limits::default(), 5, at(0)).is_err());
        for s in (0..600).step_by(10) {
            breaker.observe(true, at(s));
            assert!(breaker.open_state().is_some(), "after {s} s");
        }
        breaker.observe(true, at(600));
        assert!(breaker.open_state().is_none());
    }

    /// A clock that is set, a pause without reconciliation and a reboot do not count as ten minutes of a whole cluster.
    #[test]
    fn only_watched_time_counts() {
        let late = Timestamp { wall_ms: at(700).wall_ms, boottime_ms: at(10).boottime_ms };
        let rebooted = Timestamp { wall_ms: at(700).wall_ms, boottime_ms: 5 };
        for second in [late, rebooted, at(700)] {
            let mut breaker = Breaker::default();
            assert!(breaker.pass(&set(&["a", "b", "c"]), Limits::default(), 5, at(0)).is_err());
            breaker.observe(true, at(0));
            breaker.observe(true, second);
            assert!(breaker.open_state().is_some(), "{second:?}");
        }
    }

    /// A breaker that was open under an older key must not read as closed.
    #[test]
    fn an_older_key_is_an_error() {
        let reads = |open: &str| {
            let text = format!(r#"{{"{open}": null, "down": [], "excused": [], "whole": null}}"#);
            serde_json::from_str::<Breaker>(&text).is_ok()
        };
        assert!(reads("open") && !reads("latched")); // gnt:allow-word
    }
}
