//! The decision about one node, before the check whether this host may change records now. Pure, but for the memory.

use std::collections::BTreeSet;

use super::block_reason::{BlockReason, NoActionReason};
use super::memory::{Memory, NodeMemory};
use super::proof::{FencingEvidence, Proof, ProofSource, proofs};
use super::state::{NodeState, PowerAction, ReconcileInput, Settings};
use crate::core::clocks::CLOCKS_DIFFER_MS;
use crate::core::grade::Grade;
use crate::core::pacemaker::state::{Fence, FenceAction, FenceStatus, Membership};

/// How long after a fencing Pacemaker may still show the node running, in milliseconds: the membership takes its time
/// to notice (corosync's token and consensus). What is seen after that is a return.
const STALE_VIEW_MS: u64 = 30_000;

/// The greatest assumed difference of two hosts' clocks, in milliseconds: a fencing that is further from now is long
/// over. One that is nearer must have been known here for [`STALE_VIEW_MS`], too.
const CLOCKS_APART_MS: u64 = 600_000;

/// How long a node that was fenced is certain to run nothing, in milliseconds: a host does not boot faster. After that,
/// its power button may have been pressed, and Ganeti's watcher may have started its instances there. Pacemaker need
/// not be among what started.
const BOOT_MS: u64 = 60_000;

/// How long after a fencing the record may be written on which nothing was started in between, in milliseconds: no host boots
/// and gets an instance so fast, if clocks do not differ by more than a minute.
const RECORD_MS: u64 = 120_000;

/// How long the power that a fencing shows is asked for, and recorded, in milliseconds of the boot clock, counted from
/// when the fencing was first seen here. After that the flag is left to the administrator.
const POWER_MS: u64 = 180_000;

/// The change that one node's state asks for, before the guards of the whole cluster.
pub(super) enum Intention {
    Offline(Proof),
    Powered(Proof),
    /// The node is offline already, and the host that ran the newest fencing may have a receipt that shows its power.
    AskPower(Proof),
    Drain,
    UnDrain,
    ForgetDrain,
    Leave(NoActionReason),
    Block(BlockReason),
}

impl Intention {
    /// Returns the place in the order of the plan: the lowest is done first.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Offline(_) => 0,
            Self::Powered(_) => 1,
            Self::Drain => 2,
            Self::UnDrain => 3,
            Self::ForgetDrain => 4,
            Self::Block(_) => 5,
            Self::Leave(_) | Self::AskPower(_) => 6,
        }
    }
}

/// One reconciliation of all nodes.
pub(super) struct NodeJudge<'a> {
    state: &'a ReconcileInput,
    settings: &'a Settings,
    memory: Memory,
    /// Whether the last reconciliation was a moment ago ([`Memory::is_fresh`]).
    watched: bool,
}

impl<'a> NodeJudge<'a> {
    pub(super) fn new(state: &'a ReconcileInput, settings: &'a Settings, memory: Memory) -> Self {
        let watched = memory.is_fresh(state.now);
        Self { state, settings, memory, watched }
    }

    pub(super) fn into_memory(mut self) -> Memory {
        let is_node = |name: &_| self.state.nodes.iter().any(|node| node.ganeti.name == *name);
        self.memory.nodes.retain(|name, _| is_node(name));
        self.memory.last_run = self.state.now;
        self.memory
    }

    /// Decides about one node, and remembers what was seen of it.
    pub(super) fn judge(&mut self, node: &NodeState) -> Intention {
        let name = &node.ganeti.name;
        let mut known = self.memory.nodes.remove(name).unwrap_or_default();
        let (fences, receipts, options) = (&node.fences, &node.receipts, &node.options);
        let seen = proofs(&FencingEvidence { fences, receipts, options, first: &known.first });
        // A power cycle outside a fencing shows the power of a node that is offline already, and nothing else.
        for proof in seen.iter().filter(|proof| proof.is_planned && !node.ganeti.offline) {
            known.settle(proof);
        }
        let open: Vec<Proof> = seen.iter().filter(|proof| !known.is_settled(proof)).cloned().collect();
        // Those on which a record of now may rest: the last reconciliation found no change of the record after them, or did
        // not see them, and none is too old for a record. After a fencing of long before the record, the node may have run
        // again: only the master asks it, and only before it records it.
        let is_young = |proof: &&Proof| self.state.now.wall_ms.abs_diff(proof.at_ms) <= self.settings.oldest_proof_ms;
        let may_count = |proof: &&Proof| {
            let is_of_record = known.is_recording(proof) || is_shortly_before_record(node, proof);
            is_of_record && (known.was_waiting(proof) || !known.is_noticed(proof))
        };
        let counting: Vec<Proof> = open.iter().filter(is_young).filter(may_count).cloned().collect();
        for proof in &open {
            known.notice(proof, self.state.now);
        }
        let mut waiting = BTreeSet::new();
        let intention = if node.ganeti.offline {
            if open.iter().any(|proof| !proof.is_planned) && known.offline != Some(true) {
                self.memory.breaker.recorded(name);
            }
            let is_shortly_before = |proof: &Proof| is_shortly_before_record(node, proof);
            known.note_record((&seen, &counting), node, is_shortly_before, (self.watched, self.state.now));
            // Only the newest fencing shows the power: if its time is out of bounds, an older one is all the more out of date.
            let newest_ms = seen.iter().map(|proof| proof.at_ms).max();
            let of_power: Vec<Proof> = seen
                .iter()
                .filter(|proof| Some(proof.at_ms) == newest_ms && self.shows_power(node, proof, &known))
                .cloned()
                .collect();
            // For the record they are settled now. Their power may still have to be asked for, or recorded.
            open.iter().for_each(|proof| known.settle(proof));
            let (intention, awaited) = offline_already(node, of_power, self.settings.power_too);
            known.await_power(awaited);
            intention
        } else {
            known.forget_record();
            known.await_power(None);
            self.memory.breaker.readmitted(name, node.member == Membership::Online);
            let intention = self.online_in_ganeti(node, open.clone(), &mut known);
            for proof in open.iter().filter(|proof| !known.is_settled(proof)) {
                if self.is_still_waiting(node, proof, &known) || !changed_since(node, proof) {
                    waiting.extend(proof.keys.iter().cloned());
                }
            }
            intention
        };
        known.offline = Some(node.ganeti.offline);
        known.version.clone_from(&node.version);
        known.had_tag = node.drained_by_us;
        known.un_drained &= known.had_tag && !node.ganeti.offline;
        // A node that is readmitted and does not join has not left.
        known.was_member = !node.ganeti.offline && (known.was_member || node.member.is_member());
        known.tidy(&seen, waiting);
        self.memory.nodes.insert(name.clone(), known);
        intention
    }

    /// Returns whether a fencing of a node that is recorded offline may still show its power. A later power-on that is
    /// not gnt-ha's may be unknown here, so it may show it only for a while, and for the first time, or until the flag
    /// was read back.
    fn shows_power(&self, node: &NodeState, proof: &Proof, known: &NodeMemory) -> bool {
        let is_awaited = || {
            self.watched
                && known.awaits_power(proof)
                && known.noticed_for(proof, self.state.now).is_some_and(|known_ms| known_ms <= POWER_MS)
        };
        self.state.now.wall_ms.abs_diff(proof.at_ms) <= CLOCKS_APART_MS
            && !changed_since(node, proof)
            && (!known.is_settled(proof) || is_awaited())
            && !(is_seen_running(node) && self.is_return(node, proof, known))
    }

    fn online_in_ganeti(&self, node: &NodeState, mut open: Vec<Proof>, known: &mut NodeMemory) -> Intention {
        let is_master = self.state.master.as_ref() == Some(&node.ganeti.name);
        if !open.is_empty() && is_seen_running(node) {
            let (over, moment_ago): (Vec<Proof>, Vec<Proof>) =
                open.into_iter().partition(|proof| self.is_return(node, proof, known));
            for proof in &over {
                known.settle(proof);
                // The node came back, with or without Pacemaker: it has not left gracefully.
                known.was_member = false;
            }
            if !moment_ago.is_empty() {
                return Intention::Block(if is_master { BlockReason::OwnNode } else { BlockReason::StillSeen });
            }
            if !over.is_empty() && !is_master {
                return Intention::Block(BlockReason::Returned);
            }
            open = Vec::new();
        }
        if is_master {
            return if !open.is_empty() {
                Intention::Block(BlockReason::OwnNode)
            } else if node.member == Membership::Unclean {
                Intention::Block(BlockReason::NotFenced { failed: failed(node) })
            } else {
                Intention::Leave(NoActionReason::IsMaster)
            };
        }
        if node.member == Membership::Unclean {
            return Intention::Block(if open.is_empty() {
                BlockReason::NotFenced { failed: failed(node) }
            } else {
                BlockReason::Unclean
            });
        }
        // The strongest first; of equally strong ones, the newer. An old one must not hide a newer one that is enough.
        open.sort_by_key(|proof| std::cmp::Reverse((proof.grade, proof.at_ms)));
        let mut reason = None;
        for proof in open {
            match self.against(node, &proof, known) {
                Some(why) => reason = reason.or(Some(why)),
                None => return Intention::Offline(proof),
            }
        }
        reason.map_or_else(|| self.without_proof(node, known), Intention::Block)
    }

    /// Returns the reason why a proof does not lead to a record offline, if there is one.
    fn against(&self, node: &NodeState, proof: &Proof, known: &NodeMemory) -> Option<BlockReason> {
        let now = self.state.now.wall_ms;
        let age_ms = now.abs_diff(proof.at_ms);
        let least = self.settings.least_grade.max(Grade::Isolated);
        if proof.grade < least {
            return Some(BlockReason::Grade { grade: proof.grade, least, source: proof.source.clone() });
        }
        let started_ms = self.state.stack_started_ms;
        let left_ms = self.settings.start_up_grace_ms.saturating_sub(now.saturating_sub(started_ms));
        if left_ms > 0 && proof.at_ms < started_ms {
            return Some(BlockReason::StartUp { left_ms });
        }
        if age_ms > self.settings.oldest_proof_ms {
            return Some(BlockReason::WrongAge { age_ms });
        }
        if changed_since(node, proof) && !self.is_still_waiting(node, proof, known) {
            return Some(BlockReason::ChangedSince);
        }
        let may_run_unseen = node.member == Membership::Unknown || age_ms > BOOT_MS;
        if may_run_unseen && node.answers != Some(false) {
            return Some(BlockReason::NotAsked { age_ms });
        }
        None
    }

    /// Returns whether a fencing still waits for its record, although Ganeti may have written the record of the node after it.
    ///
    /// The last reconciliation must have been a moment ago, and the versions of the record must exclude that the node was
    /// recorded offline and added again since. It may have been lost again then, and runs its instances.
    fn is_still_waiting(&self, node: &NodeState, proof: &Proof, known: &NodeMemory) -> bool {
        self.watched && known.waits_online(proof, node)
    }

    /// Decides about a node without an open fencing: it is a member, or it left gracefully.
    fn without_proof(&self, node: &NodeState, known: &mut NodeMemory) -> Intention {
        let ours = node.drained_by_us;
        known.was_member |= node.member.is_member();
        // A new tag is a new drain. A master takes the tag away before it drains again, and another host may not have
        // seen that moment.
        let is_new = !known.had_tag || self.state.master.as_ref() != Some(&self.state.here);
        if ours && node.ganeti.drained && is_new {
            known.drain_undone = false;
        }
        if ours && !node.ganeti.drained {
            // A node that is online again has its tag from gnt-ha's own un-drain, half done, or that makes no
            // difference; and it may have left again by now. It may be drained again.
            known.drain_undone = node.member != Membership::Online && !known.un_drained;
            return Intention::ForgetDrain;
        }
        if !ours && node.member == Membership::Online {
            known.drain_undone = false;
        }
        if ours && known.drain_undone {
            return Intention::ForgetDrain;
        }
        match node.member {
            Membership::Unknown => Intention::Leave(NoActionReason::NotInPacemaker),
            Membership::Online if ours => Intention::UnDrain,
            Membership::Online | Membership::Pending | Membership::Unclean => {
                Intention::Leave(NoActionReason::AsItShould)
            }
            // A remote node's connection that is stopped, or being stopped, is not a host that leaves.
            Membership::Absent | Membership::ShuttingDown if node.is_remote => {
                Intention::Leave(NoActionReason::LeftAlone)
            }
            Membership::Absent | Membership::Standby | Membership::ShuttingDown => {
                if node.ganeti.drained {
                    Intention::Leave(NoActionReason::AlreadyDrained)
                } else if !self.settings.drain || known.drain_undone || !known.was_member {
                    Intention::Leave(NoActionReason::LeftAlone)
                } else {
                    self.drain()
                }
            }
        }
    }

    /// Right after a start of the cluster stack, a missing node may still be joining.
    fn drain(&self) -> Intention {
        let age_ms = self.state.now.wall_ms.saturating_sub(self.state.stack_started_ms);
        match self.settings.start_up_grace_ms.saturating_sub(age_ms) {
            0 => Intention::Drain,
            left_ms => Intention::Block(BlockReason::StartUp { left_ms }),
        }
    }

    /// Returns whether a node that is seen running has returned after the fencing. Otherwise the view lags behind the
    /// fencing, which is dated by the clock of another host.
    fn is_return(&self, node: &NodeState, proof: &Proof, known: &NodeMemory) -> bool {
        let age_ms = self.state.now.wall_ms.abs_diff(proof.at_ms);
        let is_known = || known.noticed_for(proof, self.state.now).is_none_or(|known_ms| known_ms > STALE_VIEW_MS);
        node.member_since_ms.is_some_and(|since| node.member.is_member() && since > proof.at_ms)
            || age_ms > CLOCKS_APART_MS
            || age_ms > STALE_VIEW_MS && is_known()
    }
}

/// Returns what to do about a node that is recorded offline already, and the fencing whose power is not recorded yet.
fn offline_already(node: &NodeState, of_power: Vec<Proof>, power_too: PowerAction) -> (Intention, Option<Proof>) {
    // If the node was switched off with the record, Ganeti's flag is newer than the fencing.
    let stale = |powered: bool| powered && power_too.off;
    let newest = of_power.into_iter().max_by_key(|proof| proof.at_ms);
    let newest = newest.filter(|_| node.ganeti.oob_program.is_some());
    let is_wrong =
        |proof: &&Proof| proof.powered.is_some_and(|powered| powered != node.ganeti.powered && !stale(powered));
    if let Some(proof) = newest.as_ref().filter(is_wrong) {
        return (Intention::Powered(proof.clone()), newest);
    }
    let is_asked = |proof: &Proof| {
        proof.powered.is_none() && matches!(proof.source, ProofSource::Device(Some(_))) && node.options.has_ours()
    };
    match newest.filter(is_asked) {
        asked if node.drained_by_us => (Intention::ForgetDrain, asked),
        Some(proof) => (Intention::AskPower(proof.clone()), Some(proof)),
        None => (Intention::Leave(NoActionReason::AlreadyOffline), None),
    }
}

fn is_seen_running(node: &NodeState) -> bool {
    node.member.is_member() || node.answers == Some(true)
}

/// Returns whether the record of a node that is offline was written so shortly after the fencing, or before it, that no
/// instance was started on the node in between. The fencing may be dated by the clock of another host.
fn is_shortly_before_record(node: &NodeState, proof: &Proof) -> bool {
    node.changed_ms.is_some_and(|changed_ms| changed_ms <= proof.at_ms.saturating_add(RECORD_MS))
}

/// Returns whether Ganeti wrote its record, which is online, after the fencing: then it may be a readmission. An
/// administrator does not readmit a node within a minute of its fencing.
fn changed_since(node: &NodeState, proof: &Proof) -> bool {
    node.changed_ms.is_some_and(|changed| changed > proof.at_ms.saturating_add(CLOCKS_DIFFER_MS))
}

fn failed(node: &NodeState) -> usize {
    let is_failed = |fence: &&Fence| fence.status == FenceStatus::Failed && fence.action != FenceAction::On;
    node.fences.iter().filter(is_failed).count()
}

#[cfg(test)]
mod tests;
