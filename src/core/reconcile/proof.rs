//! What proves that a node was stopped: Pacemaker's fence history and our receipts, put together.

use std::collections::BTreeSet;
use std::fmt;

use super::state::{Delegate, Fence, FenceAction, FenceStatus, Removal};
use crate::core::grade::Grade;
use crate::core::node::{self, NodeName};
use crate::core::receipt::{Action, Outcome};

/// A receipt and an entry of the history that ended this close together, in milliseconds, are the same fencing. They
/// are written by two programs within a second, on hosts whose clocks may differ.
const SAME_MS: u64 = 60_000;

/// A weaker receipt this close, in milliseconds, keeps a fencing without a receipt from counting for more: the clocks may
/// differ by more than [`SAME_MS`].
const NEAR_MS: u64 = 600_000;

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
    pub word: Word,
    /// What is known of the node's power since.
    pub powered: Option<bool>,
}

/// Whose word a proof stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// A receipt of ours.
    Receipt {
        /// Its id.
        id: String,
        /// What it names.
        word_of: String,
    },
    /// A device that left no receipt, run by this host.
    Device(Option<NodeName>),
    /// A human's, by `stonith_admin --confirm`.
    Human,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Receipt { id, word_of } => write!(f, "{word_of}, receipt {id}"),
            Self::Device(Some(host)) => write!(f, "a fence device, run by {host}"),
            Self::Device(None) => f.write_str("a fence device"),
            Self::Human => f.write_str("a human, who confirmed it to Pacemaker"),
        }
    }
}

/// What is written of a node's fencings.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// Pacemaker's fence history of it.
    pub fences: &'a [Fence],
    /// What the receipts say that was done to it.
    pub receipts: &'a [Removal],
    /// The hosts whose receipts are among these.
    pub ledgers: &'a BTreeSet<NodeName>,
    /// As in [`Settings`](super::Settings::device_grade).
    pub device_grade: Grade,
}

/// A node's fencings that succeeded, oldest first.
#[must_use]
pub fn proofs(written: &Written<'_>) -> Vec<Proof> {
    let fences: Vec<(&Fence, u64)> = written.fences.iter().filter_map(succeeded).collect();
    let receipts: Vec<&Removal> = written.receipts.iter().filter(|receipt| is_proof(receipt)).collect();
    let pairs = pairs(&fences, &receipts);
    let alone: Vec<&Removal> = (0..receipts.len())
        .filter(|receipt| !pairs.iter().any(|pair| pair.1 == *receipt))
        .map(|receipt| receipts[receipt])
        .collect();
    let mut proofs: Vec<Proof> = alone.iter().map(|receipt| by_receipt(receipt)).collect();
    for (index, (fence, at_ms)) in fences.iter().enumerate() {
        let key = fence_key(fence, *at_ms);
        let proof = match pairs.iter().find(|pair| pair.0 == index) {
            Some((_, receipt)) => {
                let mut proof = by_receipt(receipts[*receipt]);
                proof.keys.push(key);
                proof.at_ms = *at_ms;
                proof
            }
            None => by_word(fence, *at_ms, key, weakest_near(&alone, *at_ms), written),
        };
        proofs.push(proof);
    }
    proofs.sort_by_key(|proof| proof.at_ms);
    let on_ms = last_on(written);
    for proof in &mut proofs {
        if on_ms.is_some_and(|on_ms| on_ms > proof.at_ms) {
            proof.powered = Some(true);
        }
    }
    proofs
}

fn succeeded(fence: &Fence) -> Option<(&Fence, u64)> {
    let counts = fence.status == FenceStatus::Success && fence.action != FenceAction::On;
    fence.completed_ms.filter(|_| counts).map(|at_ms| (fence, at_ms))
}

fn is_proof(receipt: &Removal) -> bool {
    receipt.action != Action::On
        && matches!(receipt.outcome, Outcome::Done | Outcome::AlreadySo | Outcome::OffOnly)
        && receipt.grade > Grade::Unknown
}

/// Which receipt is of which fence, nearest first, each used once: two fencings within a minute are two.
fn pairs(fences: &[(&Fence, u64)], receipts: &[&Removal]) -> Vec<(usize, usize)> {
    let mut near: Vec<(u64, usize, usize)> = Vec::new();
    for (f, (fence, at_ms)) in fences.iter().enumerate() {
        for (r, receipt) in receipts.iter().enumerate() {
            let apart = receipt.ended_ms.abs_diff(*at_ms);
            if apart <= SAME_MS && fence.delegate != Delegate::Human {
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

fn by_receipt(receipt: &Removal) -> Proof {
    let stays_off = receipt.outcome == Outcome::OffOnly || receipt.action == Action::Off;
    Proof {
        keys: vec![format!("receipt {}", receipt.id)],
        at_ms: receipt.ended_ms,
        grade: receipt.grade,
        word: Word::Receipt { id: receipt.id.clone(), word_of: receipt.word_of.clone() },
        // Who shunned a node, or waited for its watchdog, has not seen its power.
        powered: (receipt.grade == Grade::Off).then_some(!stays_off),
    }
}

/// A fencing without a receipt of ours.
fn by_word(fence: &Fence, at_ms: u64, key: String, weaker: Option<Grade>, written: &Written<'_>) -> Proof {
    let (grade, word) = match &fence.delegate {
        Delegate::Human => (Grade::Off, Word::Human),
        // Its ledger was read and has nothing of this: another device did it. Where some device of ours may only isolate,
        // that one may have done it without a receipt, on a disk that was full.
        Delegate::Host(host) if node::find(host, written.ledgers).is_ok() => {
            let isolates = written.device_grade < Grade::Bounded;
            (if isolates { written.device_grade } else { Grade::Off }, Word::Device(Some(host.clone())))
        }
        Delegate::Host(host) => (written.device_grade, Word::Device(Some(host.clone()))),
        Delegate::Nobody => (written.device_grade, Word::Device(None)),
    };
    let grade = if word == Word::Human { grade } else { weaker.map_or(grade, |weaker| grade.min(weaker)) };
    Proof {
        keys: vec![key],
        at_ms,
        grade,
        word,
        // Pacemaker calls a reboot a success when the off part was, whatever became of the on part.
        powered: (fence.action == FenceAction::Off && grade == Grade::Off).then_some(false),
    }
}

fn weakest_near(alone: &[&Removal], at_ms: u64) -> Option<Grade> {
    alone.iter().filter(|receipt| receipt.ended_ms.abs_diff(at_ms) <= NEAR_MS).map(|receipt| receipt.grade).min()
}

/// When the node was last switched on, and only that.
#[must_use]
pub fn last_on(written: &Written<'_>) -> Option<u64> {
    let fences = written
        .fences
        .iter()
        .filter(|fence| fence.action == FenceAction::On && fence.status == FenceStatus::Success)
        .filter_map(|fence| fence.completed_ms);
    let receipts = written
        .receipts
        .iter()
        .filter(|receipt| receipt.action == Action::On && receipt.outcome != Outcome::Refused)
        .map(|receipt| receipt.ended_ms);
    fences.chain(receipts).max()
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
mod tests {
    use super::*;

    fn fence(at_ms: u64) -> Fence {
        let delegate = Delegate::Host(NodeName::new("n1").unwrap());
        Fence { action: FenceAction::Off, status: FenceStatus::Success, completed_ms: Some(at_ms), delegate }
    }

    fn receipt(id: &str, ended_ms: u64, grade: Grade) -> Removal {
        let (action, outcome, word_of) = (Action::Off, Outcome::Done, "bmc".to_owned());
        Removal { id: id.to_owned(), action, outcome, grade, word_of, ended_ms }
    }

    /// What is proven, as (grade, keys), where the ledger of n1 was read or not.
    fn found(fences: Vec<Fence>, receipts: Vec<Removal>, read: bool) -> Vec<(Grade, Vec<String>)> {
        let ledgers = NodeName::new("n1").into_iter().filter(|_| read).collect();
        let written = Written { fences: &fences, receipts: &receipts, ledgers: &ledgers, device_grade: Grade::Bounded };
        proofs(&written).into_iter().map(|proof| (proof.grade, proof.keys)).collect()
    }

    fn keys(keys: &[&str]) -> Vec<String> {
        keys.iter().map(ToString::to_string).collect()
    }

    /// One fencing is one, though two programs wrote it down a moment apart.
    #[test]
    fn a_receipt_and_its_entry_are_one_fencing_with_the_grade_of_the_receipt() {
        let found = found(vec![fence(100_000)], vec![receipt("a", 99_500, Grade::Isolated)], true);
        assert_eq!(found, [(Grade::Isolated, keys(&["receipt a", "fence off 100"]))]);
    }

    #[test]
    fn each_receipt_is_of_one_fencing_only_the_nearest() {
        let fences = vec![fence(100_000), fence(130_000)];
        let found = found(fences, vec![receipt("b", 129_000, Grade::Bounded)], true);
        assert_eq!(found[1], (Grade::Bounded, keys(&["receipt b", "fence off 130"])));
        assert_eq!(found[0], (Grade::Off, keys(&["fence off 100"])));
    }

    /// An isolation by our own agent must not become `off` because its receipt is out of reach.
    #[test]
    fn without_the_ledger_of_its_host_a_fencing_is_worth_what_any_device_promises() {
        assert_eq!(found(vec![fence(100_000)], vec![], false)[0].0, Grade::Bounded);
        assert_eq!(found(vec![fence(100_000)], vec![], true)[0].0, Grade::Off);
    }

    /// A full disk takes no receipt: where a device may only isolate, silence of the ledger proves no more than that.
    #[test]
    fn without_a_receipt_a_device_that_may_only_isolate_proves_isolation() {
        let ledgers = NodeName::new("n1").into_iter().collect();
        let fences = [fence(100_000)];
        for (device_grade, expected) in [(Grade::Isolated, Grade::Isolated), (Grade::Bounded, Grade::Off)] {
            let written = Written { fences: &fences, receipts: &[], ledgers: &ledgers, device_grade };
            assert_eq!(proofs(&written)[0].grade, expected);
        }
    }

    /// Clocks that are further apart than a minute: the receipt matches nothing and still lowers the word.
    #[test]
    fn a_weaker_receipt_nearby_lowers_a_fencing_without_one() {
        let found = found(vec![fence(700_000)], vec![receipt("a", 500_000, Grade::Isolated)], true);
        assert!(found.iter().all(|(grade, _)| *grade == Grade::Isolated));
    }

    #[test]
    fn what_failed_proves_nothing() {
        let failed = Fence { status: FenceStatus::Failed, ..fence(100_000) };
        let on = Fence { action: FenceAction::On, ..fence(100_000) };
        let pending = Fence { status: FenceStatus::Pending, completed_ms: None, ..fence(0) };
        let unknown = Removal { outcome: Outcome::Unknown, ..receipt("a", 1, Grade::Off) };
        let graded_unknown = receipt("b", 1, Grade::Unknown);
        assert!(found(vec![failed, on, pending], vec![unknown, graded_unknown], true).is_empty());
    }
}
