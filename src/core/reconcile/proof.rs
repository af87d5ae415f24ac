//! Proofs that a node was stopped, from Pacemaker's fence history and gnt-ha's receipts together. Pure.

use std::collections::BTreeMap;
use std::fmt;

use super::state::PowerReceipt;
use crate::core::evidence::{Evidence, Worth};
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::pacemaker::fencing::FencingOptions;
use crate::core::pacemaker::state::{Delegate, Fence, FenceAction, FenceStatus};
use crate::core::receipt::{Action, Outcome};

/// The greatest distance, in milliseconds, at which a receipt and an entry of the history are the same fencing. Two
/// programs write them within a second, on hosts whose clocks may differ.
pub(super) const SAME_MS: u64 = 60_000;

/// The distance, in milliseconds, within which a weaker receipt limits the grade of a fencing without a receipt: the
/// clocks may differ by more than [`SAME_MS`].
const NEAR_MS: u64 = 600_000;

/// A node that is fenced again this much later, in milliseconds, may have been back in between; no host boots faster.
const BOOT_MS: u64 = 60_000;

/// A proof from one fencing or one power cycle that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The keys by which the same proof is recognized later; one of them is enough. The history may lose its entry, and
    /// the receipt log may be out of reach.
    pub keys: Vec<String>,
    /// When it ended, in milliseconds since 1970 (wall clock).
    pub at_ms: u64,
    /// The grade, which `core::evidence` computes from what was done and read.
    pub grade: Grade,
    /// The source, which `gnt-ha status` names.
    pub source: ProofSource,
    /// Whether the node has power since; `None` if that is unknown.
    pub powered: Option<bool>,
    /// Whether this is a power cycle that Pacemaker did not ask for. Its power-on was sent, and the node was not lost.
    pub is_planned: bool,
}

/// The receipt, device, administrator or watchdog on which a proof rests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProofSource {
    /// A receipt of gnt-ha.
    Receipt {
        /// The id of the receipt.
        id: String,
        /// What the receipt names as its source.
        proven_by: String,
    },
    /// A device without a receipt, and the host that ran it if the history names one.
    Device(Option<NodeName>),
    /// An administrator, by `stonith_admin --confirm`.
    Administrator,
    /// Pacemaker, which trusts the node's watchdog.
    Watchdog,
}

impl fmt::Display for ProofSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Receipt { id, proven_by } => write!(f, "{proven_by}, receipt {id}"),
            Self::Device(Some(host)) => write!(f, "a fence device, run by {host}"),
            Self::Device(None) => f.write_str("a fence device"),
            Self::Administrator => f.write_str("the administrator, who confirmed it to Pacemaker"),
            Self::Watchdog => f.write_str("watchdog self-fencing, as Pacemaker reports"),
        }
    }
}

/// What each fencing was worth by its devices alone when it was first seen here, by its keys.
pub type First = BTreeMap<String, Worth>;

/// All that is known of the fencings of one node, from both clusters.
#[derive(Clone, Copy, Debug)]
pub struct FencingEvidence<'a> {
    /// Pacemaker's fence history of the node.
    pub fences: &'a [Fence],
    /// The actions on the node that receipts report.
    pub receipts: &'a [PowerReceipt],
    /// The options that Pacemaker has now to fence the node.
    pub options: &'a FencingOptions,
    /// What the node's fencings were worth by the devices that it had when they were first seen. A device that was
    /// added since makes no fencing worth more.
    pub first: &'a First,
}

/// Returns the proofs of a node, oldest first. A later power-on, reboot or weaker fencing lowers the grades of earlier
/// ones.
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
                // With several devices in a level, Pacemaker makes a reboot into an off of each, then an on of each
                // (`advance_topology_level`).
                if fence.action == FenceAction::Reboot && receipts[*receipt].0.action == Action::Off {
                    proof.be(proof.worth().perhaps_switched_on());
                }
                proof
            }
            None => proof_without_receipt(fence, *at_ms, key, weakest_near(&alone, *at_ms), written),
        };
        proofs.push(proof);
    }
    proofs.sort_by_key(|proof| proof.at_ms);
    let on = power_ons(written).into_iter().max();
    for proof in &mut proofs {
        match on {
            Some((on_ms, true)) if on_ms > proof.at_ms => proof.be(proof.worth().switched_on()),
            // The power was not seen on; or the two times are of two clocks, and their order is unknown.
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
    // A stronger proof from before a later loss is of another boot.
    let later: Vec<(u64, Worth)> =
        proofs.iter().filter(|proof| !proof.is_planned).map(|proof| (proof.at_ms, proof.worth())).collect();
    for proof in &mut proofs {
        let after = later.iter().filter(|(at_ms, _)| *at_ms > proof.at_ms.saturating_add(BOOT_MS));
        proof.be(after.fold(proof.worth(), |worth, (_, later)| worth.weaker(*later)));
    }
    proofs
}

/// Returns when the node was last fenced in a way that ends with the power on, as far as is known, in milliseconds
/// since 1970.
fn last_reboot(fences: &[(&Fence, u64)], receipts: &[(&PowerReceipt, Worth)]) -> Option<u64> {
    let cycled =
        receipts.iter().filter(|(receipt, _)| matches!(evidence(receipt), Evidence::PowerCycled | Evidence::Rebooted));
    // A reboot that did not switch the power off did not switch it on either.
    let stayed_off = |at_ms: u64| {
        receipts.iter().any(|(receipt, _)| {
            receipt.by_fencer && was_not_switched(receipt) && receipt.ended_ms.abs_diff(at_ms) <= SAME_MS
        })
    };
    let reboots = fences.iter().filter(|(fence, at_ms)| fence.action == FenceAction::Reboot && !stayed_off(*at_ms));
    cycled.map(|(receipt, _)| receipt.ended_ms).chain(reboots.map(|(_, at_ms)| *at_ms)).max()
}

impl Proof {
    /// Returns the grade and the power state.
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

/// Returns whether a receipt is of a power cycle outside a fencing: its power-on was sent, and the node was not lost by
/// it.
fn is_planned(receipt: &PowerReceipt) -> bool {
    !receipt.by_fencer && matches!(evidence(receipt), Evidence::PowerCycled | Evidence::Rebooted)
}

/// Returns which receipt belongs to which fencing of Pacemaker's, as indices. The nearest come first, and each is used
/// once: two fencings within a minute are two. Only the fencer's own call leaves a receipt of its fencing.
fn pairs(fences: &[(&Fence, u64)], receipts: &[(&PowerReceipt, Worth)]) -> Vec<(usize, usize)> {
    let mut near: Vec<(u64, usize, usize)> = Vec::new();
    for (f, (fence, at_ms)) in fences.iter().enumerate() {
        let by_device = matches!(fence.delegate, Delegate::Host(_) | Delegate::Unnamed);
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
        source: ProofSource::Receipt { id: receipt.id.clone(), proven_by: receipt.proven_by.clone() },
        powered: worth.powered,
        is_planned: is_planned(receipt),
    }
}

/// Makes the proof of a fencing without a receipt. If a device did it, the weakest of the possible devices counts.
fn proof_without_receipt(
    fence: &Fence,
    at_ms: u64,
    key: String,
    nearby: Option<Worth>,
    written: &FencingEvidence<'_>,
) -> Proof {
    let of_devices = || {
        let today = written.options.worth(fence.action == FenceAction::Off);
        [nearby, written.first.get(&key).copied()].into_iter().flatten().fold(today, Worth::weaker)
    };
    let (worth, source) = match &fence.delegate {
        Delegate::Human => (Evidence::Confirmed.worth(), ProofSource::Administrator),
        Delegate::Watchdog => (Evidence::Watchdog.worth(), ProofSource::Watchdog),
        Delegate::Host(host) => (of_devices(), ProofSource::Device(Some(host.clone()))),
        Delegate::Unnamed => (of_devices(), ProofSource::Device(None)),
    };
    Proof { keys: vec![key], at_ms, grade: worth.grade, source, powered: worth.powered, is_planned: false }
}

/// Returns the weakest receipt within [`NEAR_MS`], which limits the grade of a fencing without a receipt.
fn weakest_near(alone: &[(&PowerReceipt, Worth)], at_ms: u64) -> Option<Worth> {
    let near = alone.iter().filter(|(receipt, _)| !is_planned(receipt) && receipt.ended_ms.abs_diff(at_ms) <= NEAR_MS);
    near.map(|(_, worth)| *worth).reduce(Worth::weaker)
}

/// Returns when the node may last have been switched on by anything but a fencing that succeeded, in milliseconds since
/// 1970.
///
/// A power-on that was sent and not seen counts, too. What was proven before that time is no longer proven.
#[must_use]
pub fn last_on(written: &FencingEvidence<'_>) -> Option<u64> {
    let all = power_ons(written).into_iter().map(|(at_ms, _)| at_ms);
    all.chain(begun_reboots(written)).max()
}

/// Returns when something other than a fencing may have switched the node on, in milliseconds since 1970, and whether
/// the power was seen on then.
fn power_ons(written: &FencingEvidence<'_>) -> Vec<(u64, bool)> {
    let of_fencer = written.fences.iter().filter(|fence| fence.action == FenceAction::On);
    let of_fencer = of_fencer.filter_map(|fence| Some((fence.completed_ms?, fence.status == FenceStatus::Success)));
    let of_receipts = written.receipts.iter().filter(|receipt| !is_half(receipt, written));
    of_fencer.chain(of_receipts.filter_map(|receipt| Some((receipt.ended_ms, power_on(receipt)?)))).collect()
}

/// Returns whether the power was seen on, for a receipt or an unfinished intent of a power-on outside a fencing; `None`
/// for all others.
fn power_on(receipt: &PowerReceipt) -> Option<bool> {
    match (receipt.action, receipt.outcome) {
        (Action::Off, _) | (_, Outcome::Refused) => None,
        (Action::Reboot | Action::Cycle, _) if receipt.by_fencer || was_not_switched(receipt) => None,
        // A cycle that fails half-way restores the power.
        (_, outcome) => Some(matches!(outcome, Outcome::Done | Outcome::Unchanged)),
    }
}

/// Returns when Pacemaker began each reboot that left no receipt and does not belong to one of its successes. Such a
/// reboot may have been killed after its power-on. A reboot with a receipt that proves nothing has sent no power-on:
/// `fence_ganeti` proves the off first.
fn begun_reboots<'a>(written: &FencingEvidence<'a>) -> impl Iterator<Item = u64> + use<'a> {
    let written = *written;
    let is_begun = move |receipt: &&PowerReceipt| {
        receipt.unfinished && receipt.by_fencer && receipt.action == Action::Reboot && !is_half(receipt, &written)
    };
    written.receipts.iter().filter(is_begun).map(|receipt| receipt.ended_ms)
}

/// Returns whether the receipt is one half of a reboot that succeeded. With several devices in a level, Pacemaker makes
/// a reboot into an off and an on of each.
fn is_half(receipt: &PowerReceipt, written: &FencingEvidence<'_>) -> bool {
    let mut reboots = written.fences.iter().filter(|fence| fence.action == FenceAction::Reboot).filter_map(succeeded);
    receipt.by_fencer && reboots.any(|(_, at_ms)| receipt.ended_ms.abs_diff(at_ms) <= SAME_MS)
}

/// Returns whether the receipt is of a reboot that proved the node's end by other means than its power. The power is
/// switched neither off nor on then.
fn was_not_switched(receipt: &PowerReceipt) -> bool {
    (receipt.action, receipt.outcome) == (Action::Reboot, Outcome::OffOnly) && receipt.grade < Grade::Off
}

/// Returns the key of a fencing. It has whole seconds: Pacemaker 2.1.5 prints these, and every member keeps these of an
/// entry that it received.
fn fence_key(fence: &Fence, at_ms: u64) -> String {
    let action = match fence.action {
        FenceAction::Off => "off",
        FenceAction::Reboot => "reboot",
        FenceAction::On => "on",
    };
    format!("fence {action} {}", at_ms / 1_000)
}

#[cfg(test)]
mod tests;
