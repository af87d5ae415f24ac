//! The memory that one reconciliation leaves for the next. Pure: the caller stores it.
//!
//! Every host that may become master runs the reconciliation and keeps its own memory; a host that is not master only
//! remembers. So the next master has the settled fencings, and nothing has to be copied.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::block_reason::BlockReason;
use super::proof::{First, Proof, ProofSource};
use super::state::NodeState;
use crate::core::breaker::{Breaker, Limits};
use crate::core::ganeti::record_version::{RecordVersion, stayed_offline, stayed_online};
use crate::core::node::NodeName;
use crate::core::receipt::Timestamp;

/// How many settled fencings are remembered of each node. Pacemaker keeps 500 of all nodes together.
const FENCINGS_KEPT: usize = 100;

/// How long ago the last reconciliation may be, in milliseconds, for its observations still to count: monitors run
/// every 10 s.
const FRESH_MS: u64 = 120_000;

/// The memory of a reconciling host. The default is that of a host that has never reconciled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The state of the breaker.
    pub breaker: Breaker,
    /// When the last reconciliation was, on both clocks.
    pub(super) last_run: Timestamp,
    pub(super) nodes: BTreeMap<NodeName, NodeMemory>,
}

/// The memory of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NodeMemory {
    /// Settled fencings by their keys, with the time when they ended, in milliseconds since 1970. After each, the node
    /// was seen recorded offline or running again. Keys are compared and not times: the clocks of two hosts differ, and
    /// may be set.
    settled: BTreeMap<String, u64>,
    /// Keys of the fencings that waited for their record at the last reconciliation.
    waiting: BTreeSet<String>,
    /// Keys of the fencing on which this host, as the master, decided at the last reconciliation to record the node offline.
    #[serde(default)]
    recording: BTreeSet<String>,
    /// Keys of the fencings that are not settled, with the time since boot, in milliseconds, when they were first seen
    /// here.
    #[serde(default)]
    noticed: BTreeMap<String, u64>,
    /// Keys of the newest fencing of a node that is recorded offline, while Ganeti was not read to have the power state
    /// that the fencing shows.
    #[serde(default)]
    awaits_power: BTreeSet<String>,
    /// What those that rest on a device without a receipt were worth when they were first seen.
    #[serde(default)]
    pub(super) first: First,
    /// The record of a node that is recorded offline; `None` while it is online.
    #[serde(default)]
    record: Option<OfflineRecord>,
    /// Ganeti's `offline` flag at the last reconciliation; `None` before the first.
    pub(super) offline: Option<bool>,
    /// The version of Ganeti's record of the node at the last reconciliation, if it was known.
    #[serde(default)]
    pub(super) version: Option<RecordVersion>,
    /// Whether the node was seen in Pacemaker's membership since it was last recorded offline: only then can it leave.
    pub(super) was_member: bool,
    /// Whether another program or the administrator undid gnt-ha's drain: a drain of now is not gnt-ha's.
    pub(super) drain_undone: bool,
    /// Whether the node had gnt-ha's tag at the last reconciliation.
    #[serde(default)]
    pub(super) had_tag: bool,
    /// Whether this host has decided to undo gnt-ha's drain since the node has the tag.
    #[serde(default)]
    pub(super) un_drained: bool,
}

/// What is known here of a record offline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct OfflineRecord {
    /// Keys of the fencings on which it rests, with the time when each was first seen here, in milliseconds since 1970. None
    /// of them was settled when the node was first seen recorded offline, or it was first seen later.
    keys: BTreeMap<String, u64>,
    /// Those of the keys after which the node may have been online in Ganeti, for all that was seen here.
    #[serde(default)]
    uncertain: BTreeSet<String>,
    /// When Ganeti last wrote the node's record, in milliseconds since 1970, at the last reconciliation.
    changed_ms: Option<u64>,
}

impl Memory {
    /// Returns whether the last reconciliation is at most 120 s away from `now`, on both clocks.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        self.last_run.wall_ms.abs_diff(now.wall_ms) <= FRESH_MS
            && self.last_run.boottime_ms.abs_diff(now.boottime_ms) <= FRESH_MS
    }

    /// Returns whether this memory differs from `before` only in the time of the last reconciliation.
    #[must_use]
    pub fn is_only_later_than(&self, before: &Self) -> bool {
        let mut same = Self { last_run: self.last_run, ..before.clone() };
        same.breaker.seen_at(self.last_run);
        same == *self
    }

    /// Returns how long ago the last reconciliation was, in milliseconds of the boot clock; `None` if this host has
    /// booted since.
    #[must_use]
    pub fn age_ms(&self, now: Timestamp) -> Option<u64> {
        now.boottime_ms.checked_sub(self.last_run.boottime_ms)
    }

    /// Returns whether Ganeti had the node offline at the last reconciliation.
    #[must_use]
    pub fn is_offline(&self, node: &NodeName) -> bool {
        self.nodes.get(node).is_some_and(|known| known.offline == Some(true))
    }

    /// Notes on which fencing this host has decided to record the node offline; `None` if it has not.
    pub(super) fn note_recording(&mut self, node: &NodeName, proof: Option<&Proof>) {
        if let Some(known) = self.nodes.get_mut(node) {
            known.recording = proof.map(|proof| proof.keys.iter().cloned().collect()).unwrap_or_default();
        }
    }

    /// Notes that gnt-ha's drain of the node is being undone.
    pub(super) fn un_drain(&mut self, node: &NodeName) {
        if let Some(known) = self.nodes.get_mut(node) {
            known.un_drained = true;
        }
    }

    /// Returns what the node's unsettled fencings were worth when they were first seen, by their devices alone.
    #[must_use]
    pub fn first(&self, node: &NodeName) -> First {
        self.nodes.get(node).map(|known| known.first.clone()).unwrap_or_default()
    }

    /// Returns whether the record of a node that is offline rests on this fencing. A fencing that a readmission has
    /// settled proves nothing about a record of later, which an administrator may have written of a host that runs.
    #[must_use]
    pub fn rests_on(&self, node: &NodeName, proof: &Proof) -> bool {
        self.nodes.get(node).is_some_and(|known| known.rests_on(proof))
    }

    /// Returns whether the node was certainly not online in Ganeti between this fencing and the last reconciliation. If not,
    /// it may have been readmitted, have started its instances, and have been recorded offline by hand while it runs.
    #[must_use]
    pub fn is_certain(&self, node: &NodeName, proof: &Proof) -> bool {
        self.nodes.get(node).is_some_and(|known| known.is_certain(proof))
    }

    /// Returns when the fencing was first seen here, in milliseconds since 1970 (wall clock of this host); `None` if it is
    /// unknown. The proof itself is dated by the clock of another host.
    #[must_use]
    pub fn noticed_ms(&self, node: &NodeName, proof: &Proof) -> Option<u64> {
        self.nodes.get(node)?.noticed_ms(proof, self.last_run)
    }

    /// Asks the breaker for one fenced node, outside of a reconciliation, and counts the node as recorded offline.
    ///
    /// `online` are the other nodes that Ganeti has online and that are not about to be recorded: those of them that
    /// counted as down are back.
    ///
    /// # Errors
    /// [`BlockReason::Breaker`] if the breaker is open. The memory has changed then, too.
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

    /// Returns whether the fencing waited for its record at the last reconciliation, and the node was certainly online in Ganeti
    /// all the time since: a later change of its record is not a readmission.
    pub(super) fn waits_online(&self, proof: &Proof, node: &NodeState) -> bool {
        let was_online = self.offline == Some(false);
        let has_new_tag = self.had_tag != node.drained_by_us;
        let stayed = stayed_online(self.version.as_ref(), node.version.as_ref(), has_new_tag);
        self.was_waiting(proof) && was_online && stayed
    }

    /// Returns whether this host has just decided to record the node offline on this fencing: it has found then, as the
    /// master does, that the node does not answer.
    pub(super) fn is_recording(&self, proof: &Proof) -> bool {
        proof.keys.iter().any(|key| self.recording.contains(key))
    }

    /// Returns whether the fencing was seen here at an earlier reconciliation, and is not settled.
    pub(super) fn is_noticed(&self, proof: &Proof) -> bool {
        proof.keys.iter().any(|key| self.noticed.contains_key(key))
    }

    /// Notes the fencings on which the record of a node that is offline rests. `counting` are those of `seen` that are not
    /// settled and may lead to a record, and `changed_ms` is when Ganeti last wrote the record.
    ///
    /// If the last reconciliation was not a moment ago (`watched` is false), the node may have been fenced, readmitted and
    /// recorded offline by hand since: no new fencing counts then, and those of before only if Ganeti has not written
    /// the record since.
    ///
    /// Between two reconciliations, a node may be readmitted and recorded offline again, too. Unless the version of its
    /// record excludes that, the fencings are uncertain. `is_shortly_before` returns whether the record was written so
    /// shortly after a fencing that nothing was started in between.
    pub(super) fn note_record(
        &mut self,
        (seen, counting): (&[Proof], &[Proof]),
        node: &NodeState,
        is_shortly_before: impl Fn(&Proof) -> bool,
        (watched, now): (bool, Timestamp),
    ) {
        let changed_ms = node.changed_ms;
        let stayed = stayed_offline(self.version.as_ref(), self.offline == Some(true), node.version.as_ref());
        let before = self.record.take().filter(|_| self.offline == Some(true));
        let is_same = |before: &OfflineRecord| watched || changed_ms.is_some() && before.changed_ms == changed_ms;
        let OfflineRecord { mut keys, mut uncertain, .. } = before.filter(is_same).unwrap_or_default();
        if !stayed {
            uncertain.extend(keys.keys().cloned());
        }
        if watched && self.offline.is_some() {
            for proof in counting.iter().filter(|proof| !proof.is_planned) {
                let noticed_ms = self.noticed_ms(proof, now).unwrap_or(now.wall_ms);
                keys.extend(proof.keys.iter().map(|key| (key.clone(), noticed_ms)));
                if !(stayed && is_shortly_before(proof)) {
                    uncertain.extend(proof.keys.iter().cloned());
                }
            }
        }
        for proof in seen {
            if let Some(noticed_ms) = proof.keys.iter().filter_map(|key| keys.get(key)).min().copied() {
                keys.extend(proof.keys.iter().map(|key| (key.clone(), noticed_ms)));
            }
            if proof.keys.iter().any(|key| uncertain.contains(key)) {
                uncertain.extend(proof.keys.iter().cloned());
            }
        }
        self.record = Some(OfflineRecord { keys, uncertain, changed_ms });
    }

    /// Notes that the node is online.
    pub(super) fn forget_record(&mut self) {
        self.record = None;
    }

    fn rests_on(&self, proof: &Proof) -> bool {
        self.record.as_ref().is_some_and(|record| proof.keys.iter().any(|key| record.keys.contains_key(key)))
    }

    fn is_certain(&self, proof: &Proof) -> bool {
        self.rests_on(proof)
            && self.record.as_ref().is_some_and(|record| proof.keys.iter().all(|key| !record.uncertain.contains(key)))
    }

    fn noticed_ms(&self, proof: &Proof, now: Timestamp) -> Option<u64> {
        let of_record = proof.keys.iter().filter_map(|key| self.record.as_ref()?.keys.get(key)).min().copied();
        of_record.or_else(|| Some(now.wall_ms.saturating_sub(self.noticed_for(proof, now)?)))
    }

    /// Returns whether the power state that the fencing shows was not yet read in Ganeti's record.
    pub(super) fn awaits_power(&self, proof: &Proof) -> bool {
        proof.keys.iter().any(|key| self.awaits_power.contains(key))
    }

    /// Notes which fencing's power state is still to be recorded, if one is, and forgets the others.
    pub(super) fn await_power(&mut self, proof: Option<Proof>) {
        self.awaits_power = proof.map(|proof| proof.keys.into_iter().collect()).unwrap_or_default();
    }

    /// Notes that the fencing is seen here at `now`, if it was not seen before.
    pub(super) fn notice(&mut self, proof: &Proof, now: Timestamp) {
        let first = proof.keys.iter().filter_map(|key| self.noticed.get(key)).min().copied();
        for key in &proof.keys {
            self.noticed.entry(key.clone()).or_insert(first.unwrap_or(now.boottime_ms));
            if matches!(proof.source, ProofSource::Device(_)) {
                self.first.entry(key.clone()).or_insert(proof.worth());
            }
        }
    }

    /// Returns for how long the fencing is known here, in milliseconds of the boot clock. `None` if this host has
    /// booted since, or the fencing was never noticed.
    pub(super) fn noticed_for(&self, proof: &Proof, now: Timestamp) -> Option<u64> {
        let first = proof.keys.iter().filter_map(|key| self.noticed.get(key)).min()?;
        now.boottime_ms.checked_sub(*first)
    }

    /// Marks the fencing as settled: it never again leads to a record offline.
    pub(super) fn settle(&mut self, proof: &Proof) {
        for key in &proof.keys {
            self.settled.insert(key.clone(), proof.at_ms);
        }
    }

    /// Settles every key of a settled fencing, because any one of them may be seen next. Then forgets the oldest, but
    /// none that can still be seen.
    pub(super) fn tidy(&mut self, seen: &[Proof], waiting: BTreeSet<String>) {
        self.waiting = waiting;
        let open: BTreeSet<&String> = seen
            .iter()
            .filter(|proof| !self.is_settled(proof) || self.awaits_power(proof))
            .flat_map(|proof| &proof.keys)
            .collect();
        self.noticed.retain(|key, _| open.contains(key));
        let of_record = self.record.as_ref().map(|record| &record.keys);
        self.first.retain(|key, _| open.contains(key) || of_record.is_some_and(|keys| keys.contains_key(key)));
        for proof in seen {
            if self.is_settled(proof) {
                self.settle(proof);
            }
        }
        if self.settled.len() > FENCINGS_KEPT {
            let visible: BTreeSet<&String> = seen.iter().flat_map(|proof| &proof.keys).collect();
            let mut times: Vec<u64> = self.settled.values().copied().collect();
            times.sort_unstable();
            let from = times[times.len() - FENCINGS_KEPT];
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

    /// Fencings one after the other, without a reconciliation between them, count as many as at once do.
    #[test]
    fn the_third_of_five_that_is_let_through_alone_opens_the_breaker() {
        let mut memory = Memory::default();
        let mut ask = |node: &str, online: &[NodeName]| {
            memory.let_through(&name(node), online, Limits::default(), 5, Timestamp::default())
        };
        assert_eq!([ask("n3", &[]), ask("n4", &[]), ask("n4", &[])], [Ok(()), Ok(()), Ok(())]);
        let Err(BlockReason::Breaker { blocked, down, limit }) = ask("n5", &[]) else { panic!("let through") };
        assert_eq!((blocked, down, limit), ([name("n5")].into(), [name("n3"), name("n4")].into(), 2));
        assert!(ask("n3", &[]).is_err(), "it opens");
    }

    /// The memory is flushed to disk when it has changed. A later time alone is not a change; that the cluster became
    /// whole is one.
    #[test]
    fn a_later_reading_of_the_same_is_no_change() {
        let seen = |whole, s: u64| {
            let mut memory = Memory { last_run: Timestamp { wall_ms: s, boottime_ms: s }, ..Memory::default() };
            memory.breaker.observe(true, Timestamp::default());
            memory.breaker.observe(whole, memory.last_run);
            memory
        };
        assert!(seen(true, 7).is_only_later_than(&seen(true, 5)));
        assert!(!seen(false, 7).is_only_later_than(&seen(true, 5)));
        let mut other = seen(true, 7);
        other.nodes.insert(name("n2"), NodeMemory::default());
        assert!(!other.is_only_later_than(&seen(true, 5)));
    }

    /// Without the OCF agents no reconciliation sees a readmission: single losses over years must not add up.
    #[test]
    fn who_is_online_again_counts_no_more() {
        let mut memory = Memory::default();
        for node in ["n2", "n3", "n4", "n5"] {
            let online: Vec<NodeName> = ["n1", "n2", "n3", "n4", "n5"].map(name).into();
            assert_eq!(memory.let_through(&name(node), &online, Limits::default(), 5, Timestamp::default()), Ok(()));
        }
    }
}
