//! What one reconciliation leaves for the next.
//!
//! Every host that may become master keeps its own, by running the reconciliation too: whoever is not master only
//! remembers. So the next master knows which fencings are over, without anything being copied.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::block_reason::BlockReason;
use super::proof::{First, Proof, ProofSource};
use crate::core::breaker::{Breaker, Limits};
use crate::core::node::NodeName;
use crate::core::receipt::Timestamp;

/// How many fencings that are over are remembered of each node. Pacemaker keeps 500 of all nodes together.
const KEPT: usize = 100;

/// How old the last look may be, in milliseconds, for what it saw to be known still: monitors come every 10 s.
const FRESH_MS: u64 = 120_000;

/// What is remembered. The default is that of a host that never looked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The breaker.
    pub breaker: Breaker,
    /// When the last look was.
    pub(super) looked: Timestamp,
    pub(super) nodes: BTreeMap<NodeName, NodeMemory>,
}

/// What is remembered of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NodeMemory {
    /// Fencings that are over, by their keys, with the time they ended: the node was seen recorded offline after them,
    /// or seen running again. By name and not by a point in time: clocks of two hosts differ, and may be set.
    settled: BTreeMap<String, u64>,
    /// Fencings that were seen waiting for their record at the last look.
    waiting: BTreeSet<String>,
    /// Fencings that are not over, by their keys, with the time since boot when they were first seen here.
    #[serde(default)]
    noticed: BTreeMap<String, u64>,
    /// Of those that stand on a device's word: what they were worth then.
    #[serde(default)]
    pub(super) first: First,
    /// Ganeti's `offline` at the last look.
    pub(super) offline: Option<bool>,
    /// It was seen in Pacemaker's membership since it was last recorded offline: it can leave.
    pub(super) was_member: bool,
    /// The drain that we had marked as ours was undone by somebody else: what is drained now is not ours.
    pub(super) drain_undone: bool,
}

impl Memory {
    /// Whether the last look was a moment ago, on both clocks.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.looked.wall_ms.abs_diff(now.wall_ms) <= FRESH_MS
            && self.looked.boottime_ms.abs_diff(now.boottime_ms) <= FRESH_MS
    }

    /// Whether it holds no more than `before`, but for when that was.
    #[must_use]
    pub fn is_only_later_than(&self, before: &Self) -> bool {
        let mut same = Self { looked: self.looked, ..before.clone() };
        same.breaker.seen_at(self.looked);
        same == *self
    }

    /// How long ago the last look was, in milliseconds by the clock since boot; none if this host has booted since.
    #[must_use]
    pub fn age_ms(&self, now: Timestamp) -> Option<u64> {
        now.boottime_ms.checked_sub(self.looked.boottime_ms)
    }

    /// Whether Ganeti had the node offline at the last look.
    #[must_use]
    pub fn is_offline(&self, node: &NodeName) -> bool {
        self.nodes.get(node).is_some_and(|known| known.offline == Some(true))
    }

    /// What the node's fencings that are not over were worth when they were first seen, by a device's word alone.
    #[must_use]
    pub fn first(&self, node: &NodeName) -> First {
        self.nodes.get(node).map(|known| known.first.clone()).unwrap_or_default()
    }

    /// Asks the breaker for one node that was fenced, outside of a look, and counts it as recorded. `online` are the
    /// other nodes that Ganeti has online and nobody is about to record: those that were down are back.
    ///
    /// # Errors
    /// Why it is held back. What is remembered has changed then, too.
    pub fn let_through(
        &mut self,
        node: &NodeName,
        online: &[NodeName],
        limits: Limits,
        total: usize,
        now: Timestamp,
    ) -> Result<(), BlockReason> {
        for back in online.iter().filter(|back| *back != node) {
            self.breaker.readmitted(back, false);
        }
        let one = BTreeSet::from([node.clone()]);
        self.breaker.pass(&one, limits, total, now).map_err(BlockReason::from)?;
        self.breaker.recorded(node);
        Ok(())
    }
}

impl NodeMemory {
    pub(super) fn is_settled(&self, proof: &Proof) -> bool {
        proof.keys.iter().any(|key| self.settled.contains_key(key))
    }

    pub(super) fn was_waiting(&self, proof: &Proof) -> bool {
        proof.keys.iter().any(|key| self.waiting.contains(key))
    }

    /// The fencing is seen here at `now`, if not before.
    pub(super) fn notice(&mut self, proof: &Proof, now: Timestamp) {
        let first = proof.keys.iter().filter_map(|key| self.noticed.get(key)).min().copied();
        for key in &proof.keys {
            self.noticed.entry(key.clone()).or_insert(first.unwrap_or(now.boottime_ms));
            if matches!(proof.word, ProofSource::Device(_)) {
                self.first.entry(key.clone()).or_insert(proof.worth());
            }
        }
    }

    /// For how long, in milliseconds, the fencing is known here; none if this host has booted since.
    pub(super) fn noticed_for(&self, proof: &Proof, now: Timestamp) -> Option<u64> {
        let first = proof.keys.iter().filter_map(|key| self.noticed.get(key)).min()?;
        now.boottime_ms.checked_sub(*first)
    }

    /// The fencing is over: it never again offlines the node.
    pub(super) fn settle(&mut self, proof: &Proof) {
        for key in &proof.keys {
            self.settled.insert(key.clone(), proof.at_ms);
        }
    }

    /// Every key of a fencing that is over is known: which one is seen next is not ours to choose. Then the oldest are
    /// forgotten, but none that can still be seen.
    pub(super) fn tidy(&mut self, seen: &[Proof], waiting: BTreeSet<String>) {
        self.waiting = waiting;
        let open: BTreeSet<&String> =
            seen.iter().filter(|proof| !self.is_settled(proof)).flat_map(|proof| &proof.keys).collect();
        self.noticed.retain(|key, _| open.contains(key));
        self.first.retain(|key, _| open.contains(key));
        for proof in seen {
            if self.is_settled(proof) {
                self.settle(proof);
            }
        }
        if self.settled.len() > KEPT {
            let visible: BTreeSet<&String> = seen.iter().flat_map(|proof| &proof.keys).collect();
            let mut times: Vec<u64> = self.settled.values().copied().collect();
            times.sort_unstable();
            let from = times[times.len() - KEPT];
            self.settled.retain(|key, at_ms| *at_ms >= from || visible.contains(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    /// Fencings one after the other, with no look between them, are as many as at once.
    #[test]
    fn the_third_of_five_that_is_let_through_alone_latches() {
        let mut memory = Memory::default();
        let mut ask = |node: &str, online: &[NodeName]| {
            memory.let_through(&name(node), online, Limits::default(), 5, Timestamp::default())
        };
        assert_eq!([ask("n3", &[]), ask("n4", &[]), ask("n4", &[])], [Ok(()), Ok(()), Ok(())]);
        let Err(BlockReason::Breaker { held, down, limit }) = ask("n5", &[]) else { panic!("let through") };
        assert_eq!((held, down, limit), ([name("n5")].into(), [name("n3"), name("n4")].into(), 2));
        assert!(ask("n3", &[]).is_err(), "it latches");
    }

    /// What is remembered is flushed to disk when it has changed; that time has passed is no change, that the cluster
    /// became whole is one.
    #[test]
    fn a_later_look_at_the_same_is_no_change() {
        let look = |whole, s: u64| {
            let mut memory = Memory { looked: Timestamp { wall_ms: s, boottime_ms: s }, ..Memory::default() };
            memory.breaker.look(true, Timestamp::default());
            memory.breaker.look(whole, memory.looked);
            memory
        };
        assert!(look(true, 7).is_only_later_than(&look(true, 5)));
        assert!(!look(false, 7).is_only_later_than(&look(true, 5)));
        let mut other = look(true, 7);
        other.nodes.insert(name("n2"), NodeMemory::default());
        assert!(!other.is_only_later_than(&look(true, 5)));
    }

    /// Without the agents nobody else sees who was readmitted: years of single losses must not add up.
    #[test]
    fn who_is_online_again_counts_no_more() {
        let mut memory = Memory::default();
        for node in ["n2", "n3", "n4", "n5"] {
            let online: Vec<NodeName> = ["n1", "n2", "n3", "n4", "n5"].map(name).into();
            assert_eq!(memory.let_through(&name(node), &online, Limits::default(), 5, Timestamp::default()), Ok(()));
        }
    }
}
