//! What proves that a node was stopped: Pacemaker's fence history and our receipts, put together.

use std::collections::BTreeMap;
use std::fmt;

use super::state::PowerReceipt;
use crate::core::evidence::{Evidence, Worth};
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::pacemaker::fencing::Ways;
use crate::core::pacemaker::state::{Delegate, Fence, FenceAction, FenceStatus};
use crate::core::receipt::{Action, Outcome};

/// A receipt and an entry of the history that ended this close together, in milliseconds, are the same fencing. They
/// are written by two programs within a second, on hosts whose clocks may differ.
pub(super) const SAME_MS: u64 = 60_000;

/// A weaker receipt this close, in milliseconds, keeps a fencing without a receipt from counting for more: the clocks may
/// differ by more than [`SAME_MS`].
const NEAR_MS: u64 = 600_000;

/// Who is fenced again this much later, in milliseconds, may have been back in between; no host boots faster.
const BOOT_MS: u64 = 60_000;

/// One fencing that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// By what it is known again; one is enough. The history may lose its entry, the ledger may be out of reach.
    pub keys: Vec<String>,
    /// When it ended, in milliseconds since 1970.
    pub at_ms: u64,
    /// How strong it is.
    pub grade: Grade,
    /// Whose word it is.
    pub word: ProofSource,
    /// What is known of the node's power since.
    pub powered: Option<bool>,
    /// It is a power cycle that Pacemaker did not ask for: the node is on again, and was not lost.
    pub is_planned: bool,
}

/// Whose word a proof stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProofSource {
    /// A receipt of ours.
    Receipt {
        /// Its id.
        id: String,
        /// What it names.
        proven_by: String,
    },
    /// A device that left no receipt, run by this host.
    Device(Option<NodeName>),
    /// A human's, by `stonith_admin --confirm`.
    Human,
    /// Pacemaker's, which trusts the node's watchdog.
    Watchdog,
}

impl fmt::Display for ProofSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Receipt { id, proven_by } => write!(f, "{proven_by}, receipt {id}"),
            Self::Device(Some(host)) => write!(f, "a fence device, run by {host}"),
            Self::Device(None) => f.write_str("a fence device"),
            Self::Human => f.write_str("a human, who confirmed it to Pacemaker"),
            Self::Watchdog => f.write_str("watchdog self-fencing, as Pacemaker reports"),
        }
    }
}

/// What each fencing was worth by a device's word alone when it was first seen here, by its keys.
pub type First = BTreeMap<String, Worth>;

/// What is written of a node's fencings.
#[derive(Clone, Copy, Debug)]
pub struct FencingEvidence<'a> {
    /// Pacemaker's fence history of it.
    pub fences: &'a [Fence],
    /// What the receipts say that was done to it.
    pub receipts: &'a [PowerReceipt],
    /// The ways in which Pacemaker may fence it now.
    pub ways: &'a Ways,
    /// What its fencings were worth by the devices that it had when they were first seen: no device that it has since makes one
    /// worth more.
    pub first: &'a First,
}

/// A node's fencings that succeeded, oldest first.
#[must_use]
pub fn proofs(written: &FencingEvidence<'_>) -> Vec<Proof> {
    let fences: Vec<(&Fence, u64)> = written.fences.iter().filter_map(succeeded).collect();
    let receipts: Vec<(&PowerReceipt, Worth)> = written.receipts.iter().filter_map(proven).collect();
    let pairs = pairs(&fences, &receipts);
    let alone: Vec<(&PowerReceipt, Worth)> = (0..receipts.len())
        .filter(|receipt| !pairs.iter().any(|pair| pair.1 == *receipt))
        .map(|receipt| receipts[receipt])
        .collect();
    let mut proofs: Vec<Proof> = alone.iter().map(|receipt| by_receipt(*receipt)).collect();
    for (index, (fence, at_ms)) in fences.iter().enumerate() {
        let key = fence_key(fence, *at_ms);
        let proof = match pairs.iter().find(|pair| pair.0 == index) {
            Some((_, receipt)) => {
                let mut proof = by_receipt(receipts[*receipt]);
                proof.keys.push(key);
                proof.at_ms = *at_ms;
                // Of a reboot by several devices Pacemaker makes an off of each, then an on of each (advance_topology_level).
                if fence.action == FenceAction::Reboot && receipts[*receipt].0.action == Action::Off {
                    proof.be(proof.worth().perhaps_switched_on());
                }
                proof
            }
            None => by_word(fence, *at_ms, key, weakest_near(&alone, *at_ms), written),
        };
        proofs.push(proof);
    }
    proofs.sort_by_key(|proof| proof.at_ms);
    let on = power_ons(written).into_iter().max();
    for proof in &mut proofs {
        match on {
            Some((on_ms, true)) if on_ms > proof.at_ms => proof.be(proof.worth().switched_on()),
            // Nobody saw it on; or the two times may be of two clocks, and which came first is not known.
            Some((on_ms, _)) if on_ms.saturating_add(SAME_MS) > proof.at_ms => {
                proof.be(proof.worth().perhaps_switched_on());
            }
            _ => {}
        }
    }
    let rebooted_ms = last_reboot(&fences, &receipts).into_iter().chain(begun_reboots(written)).max();
    for proof in &mut proofs {
        if rebooted_ms.is_some_and(|rebooted_ms| rebooted_ms > proof.at_ms) {
            proof.be(proof.worth().perhaps_switched_on());
        }
    }
    // What was stronger before a later loss is of another boot.
    let later: Vec<(u64, Worth)> =
        proofs.iter().filter(|proof| !proof.is_planned).map(|proof| (proof.at_ms, proof.worth())).collect();
    for proof in &mut proofs {
        let after = later.iter().filter(|(at_ms, _)| *at_ms > proof.at_ms.saturating_add(BOOT_MS));
        proof.be(after.fold(proof.worth(), |worth, (_, later)| worth.weaker(*later)));
    }
    proofs
}

/// When it was last fenced in a way that ends with the power on, for all that is known.
fn last_reboot(fences: &[(&Fence, u64)], receipts: &[(&PowerReceipt, Worth)]) -> Option<u64> {
    let cycled =
        receipts.iter().filter(|(receipt, _)| matches!(evidence(receipt), Evidence::PowerCycled | Evidence::Rebooted));
    // Whose power was not switched off was not switched on.
    let stayed_off = |at_ms: u64| {
        receipts.iter().any(|(receipt, _)| {
            receipt.by_fencer && was_not_switched(receipt) && receipt.ended_ms.abs_diff(at_ms) <= SAME_MS
        })
    };
    let reboots = fences.iter().filter(|(fence, at_ms)| fence.action == FenceAction::Reboot && !stayed_off(*at_ms));
    cycled.map(|(receipt, _)| receipt.ended_ms).chain(reboots.map(|(_, at_ms)| *at_ms)).max()
}

impl Proof {
    /// What it proves.
    pub(super) const fn worth(&self) -> Worth {
        Worth { grade: self.grade, powered: self.powered }
    }

    const fn be(&mut self, worth: Worth) {
        self.grade = worth.grade;
        self.powered = worth.powered;
    }
}

fn succeeded(fence: &Fence) -> Option<(&Fence, u64)> {
    let counts = fence.status == FenceStatus::Success && fence.action != FenceAction::On;
    fence.completed_ms.filter(|_| counts).map(|at_ms| (fence, at_ms))
}

fn evidence(receipt: &PowerReceipt) -> Evidence {
    Evidence::of_receipt(receipt.action, receipt.outcome, receipt.grade)
}

fn proven(receipt: &PowerReceipt) -> Option<(&PowerReceipt, Worth)> {
    let worth = evidence(receipt).worth();
    (worth.grade > Grade::Unknown).then_some((receipt, worth))
}

/// A power cycle that nobody fenced for: its power-on was sent, and the node was not lost by it.
fn is_planned(receipt: &PowerReceipt) -> bool {
    !receipt.by_fencer && matches!(evidence(receipt), Evidence::PowerCycled | Evidence::Rebooted)
}

/// Which receipt is of which fencing of Pacemaker's, nearest first, each used once: two fencings within a minute are two.
/// Only the fencer's own call left a receipt of its fencing.
fn pairs(fences: &[(&Fence, u64)], receipts: &[(&PowerReceipt, Worth)]) -> Vec<(usize, usize)> {
    let mut near: Vec<(u64, usize, usize)> = Vec::new();
    for (f, (fence, at_ms)) in fences.iter().enumerate() {
        let by_device = matches!(fence.delegate, Delegate::Host(_) | Delegate::Nobody);
        for (r, (receipt, _)) in receipts.iter().enumerate().filter(|_| by_device) {
            let apart = receipt.ended_ms.abs_diff(*at_ms);
            if apart <= SAME_MS && receipt.by_fencer {
                near.push((apart, f, r));
            }
        }
    }
    near.sort_unstable();
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (_, fence, receipt) in near {
        if pairs.iter().all(|pair| pair.0 != fence && pair.1 != receipt) {
            pairs.push((fence, receipt));
        }
    }
    pairs
}

fn by_receipt((receipt, worth): (&PowerReceipt, Worth)) -> Proof {
    Proof {
        keys: vec![format!("receipt {}", receipt.id)],
        at_ms: receipt.ended_ms,
        grade: worth.grade,
        word: ProofSource::Receipt { id: receipt.id.clone(), proven_by: receipt.proven_by.clone() },
        powered: worth.powered,
        is_planned: is_planned(receipt),
    }
}

/// A fencing without a receipt of ours: whatever device may have done it, the weakest counts.
fn by_word(fence: &Fence, at_ms: u64, key: String, nearby: Option<Worth>, written: &FencingEvidence<'_>) -> Proof {
    let of_devices = || {
        let today = written.ways.worth(fence.action == FenceAction::Off);
        [nearby, written.first.get(&key).copied()].into_iter().flatten().fold(today, Worth::weaker)
    };
    let (worth, word) = match &fence.delegate {
        Delegate::Human => (Evidence::Confirmed.worth(), ProofSource::Human),
        Delegate::Watchdog => (Evidence::Watchdog.worth(), ProofSource::Watchdog),
        Delegate::Host(host) => (of_devices(), ProofSource::Device(Some(host.clone()))),
        Delegate::Nobody => (of_devices(), ProofSource::Device(None)),
    };
    Proof { keys: vec![key], at_ms, grade: worth.grade, word, powered: worth.powered, is_planned: false }
}

/// A weaker receipt nearby keeps a fencing without one from counting for more.
fn weakest_near(alone: &[(&PowerReceipt, Worth)], at_ms: u64) -> Option<Worth> {
    let near = alone.iter().filter(|(receipt, _)| !is_planned(receipt) && receipt.ended_ms.abs_diff(at_ms) <= NEAR_MS);
    near.map(|(_, worth)| *worth).reduce(Worth::weaker)
}

/// When the node may last have been switched on by anything but a fencing that succeeded, in milliseconds since 1970: a power-on that
/// was sent and not seen counts, too. What was proven before it is proven no more.
#[must_use]
pub fn last_on(written: &FencingEvidence<'_>) -> Option<u64> {
    let all = power_ons(written).into_iter().map(|(at_ms, _)| at_ms);
    all.chain(begun_reboots(written)).max()
}

/// When something other than a fencing may have switched the node on, and whether the power was seen on then.
fn power_ons(written: &FencingEvidence<'_>) -> Vec<(u64, bool)> {
    let of_fencer = written.fences.iter().filter(|fence| fence.action == FenceAction::On);
    let of_fencer = of_fencer.filter_map(|fence| Some((fence.completed_ms?, fence.status == FenceStatus::Success)));
    let of_receipts = written.receipts.iter().filter(|receipt| !is_half(receipt, written));
    of_fencer.chain(of_receipts.filter_map(|receipt| Some((receipt.ended_ms, power_on(receipt)?)))).collect()
}

/// Whether a receipt, or an intent without one, tells of a power-on that is no part of a fencing, and whether the power was seen on.
fn power_on(receipt: &PowerReceipt) -> Option<bool> {
    match (receipt.action, receipt.outcome) {
        (Action::Off, _) | (_, Outcome::Refused) => None,
        (Action::Reboot | Action::Cycle, _) if receipt.by_fencer || was_not_switched(receipt) => None,
        // A cycle that fails half-way gives the power back.
        (_, outcome) => Some(matches!(outcome, Outcome::Done | Outcome::Unchanged)),
    }
}

/// When Pacemaker began a reboot that left no receipt and is none of its successes: it may have been killed after its power-on. One
/// with a receipt that proves nothing has sent none: `fence_ganeti` proves the off first.
fn begun_reboots<'a>(written: &FencingEvidence<'a>) -> impl Iterator<Item = u64> + use<'a> {
    let written = *written;
    let is_begun = move |receipt: &&PowerReceipt| {
        receipt.unfinished && receipt.by_fencer && receipt.action == Action::Reboot && !is_half(receipt, &written)
    };
    written.receipts.iter().filter(is_begun).map(|receipt| receipt.ended_ms)
}

/// Whether it is a half of a reboot that succeeded. Of several devices Pacemaker makes one of an off and an on of each.
fn is_half(receipt: &PowerReceipt, written: &FencingEvidence<'_>) -> bool {
    let mut reboots = written.fences.iter().filter(|fence| fence.action == FenceAction::Reboot).filter_map(succeeded);
    receipt.by_fencer && reboots.any(|(_, at_ms)| receipt.ended_ms.abs_diff(at_ms) <= SAME_MS)
}

/// A reboot that proved the node's end without its power, which is switched neither off nor on then.
fn was_not_switched(receipt: &PowerReceipt) -> bool {
    (receipt.action, receipt.outcome) == (Action::Reboot, Outcome::OffOnly) && receipt.grade < Grade::Off
}

/// Whole seconds: that is what Pacemaker 2.1.5 prints, and what every member keeps of an entry it was sent.
fn fence_key(fence: &Fence, at_ms: u64) -> String {
    let action = match fence.action {
        FenceAction::Off => "off",
        FenceAction::Reboot => "reboot",
        FenceAction::On => "on",
    };
    format!("fence {action} {}", at_ms / 1_000)
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
