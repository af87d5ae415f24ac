//! The breaker: too many nodes recorded offline at once is no longer the loss of nodes, it is something else.
//!
//! It latches, and says which nodes it holds back, until the administrator resets it or the cluster was whole for a
//! while. Refusing leaves the dead node's instances down, which is safe for their disks.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::node::NodeName;
use super::receipt::Timestamp;

/// How long the cluster must have been whole, in milliseconds, before the breaker forgets.
pub const WHOLE_FOR_MS: u64 = 600_000;

/// The longest pause between two looks, in milliseconds, over which the cluster still counts as watched.
const UNWATCHED_MS: u64 = 60_000;

/// How many nodes may be down by our record at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// That many, however small the cluster is.
    pub nodes: usize,
    /// Or this share of all nodes, in percent, if that is more.
    pub percent: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { nodes: 2, percent: 30 }
    }
}

impl Limits {
    /// The limit for a cluster of `total` nodes.
    #[must_use]
    pub fn of(self, total: usize) -> usize {
        self.nodes.max(total.saturating_mul(self.percent) / 100)
    }
}

/// What is remembered from one reconciliation to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    latched: Option<OpenState>,
    /// Fenced and recorded offline, and not readmitted again since.
    down: BTreeSet<NodeName>,
    /// Held back once and let through by the administrator: they count no more.
    excused: BTreeSet<NodeName>,
    whole: Option<Whole>,
}

/// Why nothing goes through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenState {
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// The nodes that are held back.
    pub held: BTreeSet<NodeName>,
    /// Those that were down already.
    pub down: BTreeSet<NodeName>,
    /// How many the limit allows.
    pub limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Whole {
    since: Timestamp,
    seen: Timestamp,
}

impl Breaker {
    /// The latch, while it holds.
    #[must_use]
    pub const fn latch(&self) -> Option<&OpenState> {
        self.latched.as_ref()
    }

    /// The nodes that count against the limit.
    #[must_use]
    pub const fn down(&self) -> &BTreeSet<NodeName> {
        &self.down
    }

    /// The administrator's reset: lets through what is held back at this moment, and counts anew from here.
    #[must_use]
    pub fn reset(self) -> Self {
        let mut excused = self.excused;
        excused.extend(self.down);
        excused.extend(self.latched.into_iter().flat_map(|latch| latch.held));
        Self { excused, ..Self::default() }
    }

    /// A fenced node is seen recorded offline.
    pub(super) fn recorded(&mut self, node: &NodeName) {
        self.down.insert(node.clone());
    }

    /// A node is seen online in Ganeti; `back` says that it also runs again.
    pub(super) fn readmitted(&mut self, node: &NodeName, back: bool) {
        self.down.remove(node);
        if back {
            self.excused.remove(node);
            if let Some(latch) = &mut self.latched {
                latch.held.remove(node);
            }
        }
    }

    /// Whether this node's absence keeps the cluster from being whole, although Ganeti has it offline.
    pub(super) fn misses(&self, node: &NodeName) -> bool {
        self.down.contains(node)
            || self.excused.contains(node)
            || self.latched.as_ref().is_some_and(|latch| latch.held.contains(node))
    }

    /// Takes in whether the cluster is whole now, and forgets everything after [`WHOLE_FOR_MS`] of that.
    ///
    /// Both clocks must agree that the time has passed: the wall clock may be set, the boot clock begins anew.
    pub(super) fn look(&mut self, whole: bool, now: Timestamp) {
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

    /// As if the whole cluster, if it is whole, had been seen at `now` last.
    pub(super) fn seen_at(&mut self, now: Timestamp) {
        if let Some(whole) = &mut self.whole {
            whole.seen = now;
        }
    }

    /// Asks to let `nodes` through. All of them or none: which of three are recorded must not be chance.
    ///
    /// # Errors
    /// The latch, which holds from now on.
    pub(super) fn pass(
        &mut self,
        nodes: &BTreeSet<NodeName>,
        limits: Limits,
        total: usize,
        now: Timestamp,
    ) -> Result<(), &OpenState> {
        let limit = limits.of(total);
        let together = self.down.union(nodes).filter(|node| !self.excused.contains(*node)).count();
        let must_latch = !nodes.is_empty() && together > limit;
        if self.latched.is_none() && must_latch {
            self.latched = Some(OpenState {
                since_ms: now.wall_ms,
                held: BTreeSet::new(),
                down: &self.down - &self.excused,
                limit,
            });
        }
        match &mut self.latched {
            None => Ok(()),
            Some(latch) => {
                latch.held.extend(nodes.iter().cloned());
                Err(latch)
            }
        }
    }
}

/// The milliseconds between two looks, by the slower and by the faster of both clocks; none if one went back.
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

    /// At most 2 nodes or 30 % at once, whichever is more.
    #[test]
    fn the_limit_is_the_larger_of_both() {
        let limits = Limits::default();
        assert_eq!([1, 3, 6, 7, 9, 10, 20].map(|total| limits.of(total)), [2, 2, 2, 2, 2, 3, 6]);
    }

    #[test]
    fn three_of_five_latch_and_none_of_them_passes() {
        let mut breaker = Breaker::default();
        let latch = breaker.pass(&set(&["n3", "n4", "n5"]), Limits::default(), 5, at(0)).unwrap_err();
        assert_eq!(latch.held, set(&["n3", "n4", "n5"]));
        assert!(breaker.pass(&set(&["n3"]), Limits::default(), 5, at(1)).is_err(), "it latches");
    }

    #[test]
    fn those_that_are_down_count() {
        let mut breaker = Breaker::default();
        breaker.recorded(&NodeName::new("n4").unwrap());
        breaker.recorded(&NodeName::new("n5").unwrap());
        assert!(breaker.pass(&set(&["n5"]), Limits::default(), 5, at(0)).is_ok(), "n5 counts once");
        assert!(breaker.pass(&set(&["n3"]), Limits::default(), 5, at(0)).is_err());
    }

    /// A reset that latched again at once would be none; and it lets only those through that were held.
    #[test]
    fn a_reset_lets_through_what_was_held_and_no_more() {
        let mut breaker = Breaker::default();
        let held = set(&["n1", "n2", "n3"]);
        assert!(breaker.pass(&held, Limits::default(), 8, at(0)).is_err());
        let mut breaker = breaker.reset();
        assert!(breaker.pass(&held, Limits::default(), 8, at(1)).is_ok());
        let mut all = held;
        all.extend(set(&["n4", "n5", "n6"]));
        assert!(breaker.pass(&all, Limits::default(), 8, at(2)).is_err());
    }

    #[test]
    fn ten_minutes_of_a_whole_cluster_reset_it() {
        let mut breaker = Breaker::default();
        assert!(breaker.pass(&set(&["a", "b", "c"]), Limits::default(), 5, at(0)).is_err());
        for s in (0..600).step_by(10) {
            breaker.look(true, at(s));
            assert!(breaker.latch().is_some(), "after {s} s");
        }
        breaker.look(true, at(600));
        assert!(breaker.latch().is_none());
    }

    /// Neither a clock that is set, nor a pause without looking, nor a reboot is ten minutes of being whole.
    #[test]
    fn only_watched_time_counts() {
        let late = Timestamp { wall_ms: at(700).wall_ms, boottime_ms: at(10).boottime_ms };
        let rebooted = Timestamp { wall_ms: at(700).wall_ms, boottime_ms: 5 };
        for second in [late, rebooted, at(700)] {
            let mut breaker = Breaker::default();
            assert!(breaker.pass(&set(&["a", "b", "c"]), Limits::default(), 5, at(0)).is_err());
            breaker.look(true, at(0));
            breaker.look(true, second);
            assert!(breaker.latch().is_some(), "{second:?}");
        }
    }
}
