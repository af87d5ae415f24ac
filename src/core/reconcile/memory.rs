//! What one reconciliation leaves for the next.
//!
//! Every host that may become master keeps its own, by running the reconciliation too: whoever is not master only
//! remembers. So the next master knows which fencings are over, without anything being copied.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::proof::Proof;
use crate::core::breaker::Breaker;
use crate::core::node::NodeName;
use crate::core::receipt::When;

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
    pub(super) looked: When,
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
    /// Ganeti's `offline` at the last look.
    pub(super) offline: Option<bool>,
    /// It was seen in Pacemaker's membership since it was last recorded offline: it can leave.
    pub(super) was_member: bool,
    /// The drain that we had marked as ours was undone by somebody else: what is drained now is not ours.
    pub(super) drain_undone: bool,
}

impl Memory {
    /// Whether the last look was a moment ago, on both clocks.
    pub(super) fn is_fresh(&self, now: When) -> bool {
        self.looked.wall_ms.abs_diff(now.wall_ms) <= FRESH_MS
            && self.looked.boottime_ms.abs_diff(now.boottime_ms) <= FRESH_MS
    }
}

impl NodeMemory {
    pub(super) fn is_settled(&self, proof: &Proof) -> bool {
        proof.keys.iter().any(|key| self.settled.contains_key(key))
    }

    pub(super) fn was_waiting(&self, proof: &Proof) -> bool {
        proof.keys.iter().any(|key| self.waiting.contains(key))
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
