//! The proof that a node is gone, so that the master role may be taken without its vote. Pure.

use super::NodeRole;
use super::master_claims::MasterClaim;
use crate::core::clocks::CLOCKS_DIFFER_MS;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::reconcile::{self, FencingEvidence, Membership, Proof, last_on, proofs};

/// The greatest age of a proof, in milliseconds. A fenced node may be back and be lost again without a fencing. Once
/// the node is recorded offline, that record is the proof, and does not age.
const FRESH_MS: u64 = 600_000;

/// Returns the proof that a node is gone that could not be reached just now, if there is one. `member` is its state in
/// Pacemaker; `None` if Pacemaker could not be asked: then only receipts count.
///
/// A member of the cluster is not gone, nor is a node that is still to be fenced, whatever happened to it before. After
/// a power-on nothing before it proves anything.
#[must_use]
pub fn proof_that_gone(member: Option<Membership>, written: &FencingEvidence<'_>, now_ms: u64) -> Option<Proof> {
    last_that_counts(member, written, now_ms).filter(|proof| proof.grade >= Grade::Bounded)
}

/// Returns the source of a proof that is too weak to take the role. The receipt of the host that did the fencing may
/// prove more.
#[must_use]
pub fn source_that_proves_too_little(
    member: Option<Membership>,
    written: &FencingEvidence<'_>,
    now_ms: u64,
) -> Option<reconcile::ProofSource> {
    let last = last_that_counts(member, written, now_ms).filter(|proof| proof.grade < Grade::Bounded);
    last.map(|proof| proof.source)
}

fn last_that_counts(member: Option<Membership>, written: &FencingEvidence<'_>, now_ms: u64) -> Option<Proof> {
    let may_be_gone = member.is_none_or(|member| !member.is_member() && member != Membership::Unclean);
    if !may_be_gone {
        return None;
    }
    // The last proof counts: a stronger one before it is of another loss.
    let proof = proofs(written).into_iter().rfind(|proof| !proof.is_planned)?;
    let is_fresh = proof.at_ms <= now_ms + CLOCKS_DIFFER_MS && now_ms.saturating_sub(proof.at_ms) <= FRESH_MS;
    let is_void = last_on(written).is_some_and(|on_ms| on_ms >= proof.at_ms);
    (is_fresh && !is_void).then_some(proof)
}

/// Another node, when the role is to be taken without a majority of votes.
#[derive(Clone, Debug)]
pub struct OtherNode {
    /// The node's name in Ganeti.
    pub name: NodeName,
    /// Whether the node is a master candidate, by this node's files.
    pub is_candidate: bool,
    /// Whether the node can be expected to vote: it is not offline, and its noded accepts connections.
    pub votes: bool,
    /// Whether the node's confd has named the same master as this node's configuration ([`names_old_master`]).
    pub names_same_master: bool,
    /// The node's state in Pacemaker; `None` if Pacemaker could not be asked.
    pub member: Option<Membership>,
}

impl OtherNode {
    /// Returns whether Pacemaker keeps the role from the node: it gives the role to one of the members, each of which
    /// has been asked.
    const fn is_kept_from_the_role(&self) -> bool {
        matches!(self.member, Some(Membership::Online | Membership::Standby))
    }
}

/// Returns whether `claim` is a claim of `node` that counts and names `old_master`. A node that names itself, or a third
/// node, may hold the role, or know which node holds it, whatever its serial number is.
#[must_use]
pub fn names_old_master(claim: &MasterClaim, node: &NodeName, old_master: Option<&NodeName>) -> bool {
    let is = |name: &str, other: &NodeName| name.eq_ignore_ascii_case(other.as_str());
    let names_old_master = old_master.is_some_and(|old_master| is(&claim.master, old_master));
    !claim.own && !claim.shunned && is(&claim.from, node) && names_old_master
}

/// Returns the nodes that must be proven gone before a node of this `rank` takes the role without a majority of votes.
///
/// For a start on the master itself these are all nodes that do not vote. For a failover these are the old master and
/// some of the other candidates. Such a candidate has not named the old master, and Pacemaker does not keep the role
/// from it. It may have taken the role while this node was away, and this node's configuration still names the master
/// before it.
#[must_use]
pub fn must_be_gone<'a>(rank: NodeRole, old_master: &'a NodeName, others: &'a [OtherNode]) -> Vec<&'a NodeName> {
    let may_hold_it = |other: &&OtherNode| match rank {
        NodeRole::Master => !other.votes,
        NodeRole::Candidate | NodeRole::Other => {
            other.is_candidate && !other.names_same_master && !other.is_kept_from_the_role()
        }
    };
    let others = others.iter().filter(|other| other.name != *old_master).filter(may_hold_it).map(|other| &other.name);
    (rank != NodeRole::Master).then_some(old_master).into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fence_agents::FenceDeviceKind;
    use crate::core::pacemaker::fencing::FencingOptions;
    use crate::core::receipt::{Action, Outcome};
    use crate::core::reconcile::{Delegate, Fence, FenceAction, FenceStatus, First, PowerReceipt};

    const NOW: u64 = 1_700_000_000_000;

    fn other(name: &str) -> OtherNode {
        let name = name.parse().unwrap();
        OtherNode { name, is_candidate: true, votes: false, names_same_master: false, member: Some(Membership::Absent) }
    }

    /// A candidate that this node cannot reach may have taken the role from the master in this node's files.
    #[test]
    fn a_candidate_of_which_nothing_is_known_must_be_gone_too() {
        let old = "n1.lab".parse().unwrap();
        let names = |rank, others: &[OtherNode]| -> Vec<String> {
            must_be_gone(rank, &old, others).into_iter().map(ToString::to_string).collect()
        };
        let candidate = NodeRole::Candidate;
        assert_eq!(names(candidate, &[other("n1.lab"), other("n3.lab")]), ["n1.lab", "n3.lab"]);
        let fine = [
            OtherNode { is_candidate: false, ..other("n3.lab") },
            OtherNode { names_same_master: true, ..other("n4.lab") },
            OtherNode { member: Some(Membership::Online), ..other("n5.lab") },
            OtherNode { member: Some(Membership::Standby), ..other("n6.lab") },
        ];
        assert_eq!(names(candidate, &fine), ["n1.lab"]);
        for member in [Membership::Unknown, Membership::Unclean, Membership::Pending, Membership::ShuttingDown] {
            let doubtful = [OtherNode { member: Some(member), ..other("n3.lab") }];
            assert_eq!(names(candidate, &doubtful), ["n1.lab", "n3.lab"], "{member:?}");
        }
        assert_eq!(names(candidate, &[OtherNode { member: None, ..other("n3.lab") }]), ["n1.lab", "n3.lab"]);
        // The master itself is not one of the other nodes.
        let here = "n2.lab".parse().unwrap();
        let voting = OtherNode { votes: true, ..other("n3.lab") };
        assert_eq!(
            must_be_gone(NodeRole::Master, &here, &[voting, fine[0].clone()]).len(),
            1,
            "a node that does not vote"
        );
    }

    fn fence(action: FenceAction, ago_ms: u64) -> Fence {
        let status = FenceStatus::Success;
        Fence { action, status, completed_ms: Some(NOW - ago_ms), delegate: Delegate::Human }
    }

    fn receipt(action: Action, grade: Grade, ago_ms: u64) -> PowerReceipt {
        let (outcome, proven_by) = (Outcome::Done, "bmc".to_owned());
        let (id, ended_ms) = ("a".to_owned(), NOW - ago_ms);
        PowerReceipt { id, action, outcome, grade, proven_by, ended_ms, by_fencer: true, unfinished: false }
    }

    fn is_gone(member: Option<Membership>, fences: &[Fence], receipts: &[PowerReceipt]) -> bool {
        is_gone_by(&FencingOptions::ours(Grade::Bounded), member, fences, receipts)
    }

    fn is_gone_by(
        options: &FencingOptions,
        member: Option<Membership>,
        fences: &[Fence],
        receipts: &[PowerReceipt],
    ) -> bool {
        proof_that_gone(member, &FencingEvidence { fences, receipts, options, first: &First::new() }, NOW).is_some()
    }

    /// The claim of a candidate that names itself master does not prove that there is no other master.
    #[test]
    fn only_who_names_the_old_master_speaks_for_a_take_over() {
        let (node, old) = ("n3.lab".parse().unwrap(), "n1.lab".parse().unwrap());
        let claim =
            MasterClaim { own: false, from: "N3.lab".into(), master: "n1.lab".into(), serial: 7, shunned: false };
        assert!(names_old_master(&claim, &node, Some(&old)));
        assert!(!names_old_master(&MasterClaim { master: "n3.lab".into(), ..claim.clone() }, &node, Some(&old)));
        assert!(!names_old_master(&MasterClaim { from: "n4.lab".into(), ..claim.clone() }, &node, Some(&old)));
        assert!(!names_old_master(&MasterClaim { shunned: true, ..claim.clone() }, &node, Some(&old)));
        assert!(!names_old_master(&MasterClaim { own: true, ..claim.clone() }, &node, Some(&old)));
        assert!(!names_old_master(&claim, &node, None));
    }

    /// A fencing by a device that cuts a path, or of an unknown kind, is not enough to take the role without a vote.
    #[test]
    fn who_was_only_cut_off_is_not_gone() {
        let by_device = Fence { delegate: Delegate::Unnamed, ..fence(FenceAction::Off, 5_000) };
        let absent = Some(Membership::Absent);
        for (kind, expected) in [
            (FenceDeviceKind::Power { reads_reboot: true }, true),
            (FenceDeviceKind::Watchdog, true),
            (FenceDeviceKind::Fabric, false),
            (FenceDeviceKind::Unknown, false),
        ] {
            assert_eq!(
                is_gone_by(&FencingOptions::of_kinds(&[&[kind]]), absent, std::slice::from_ref(&by_device), &[]),
                expected,
                "{kind:?}"
            );
        }
    }

    /// A node that is power-cycled on purpose is on its way back.
    #[test]
    fn a_planned_power_cycle_does_not_make_a_node_gone() {
        let cycle = PowerReceipt { by_fencer: false, ..receipt(Action::Cycle, Grade::Off, 5_000) };
        assert!(!is_gone(Some(Membership::Absent), &[], std::slice::from_ref(&cycle)));
        assert!(!is_gone(Some(Membership::Absent), &[fence(FenceAction::Off, 9_000)], &[cycle]), "it is on since");
        let fenced = receipt(Action::Reboot, Grade::Off, 5_000);
        assert!(is_gone(Some(Membership::Absent), &[], &[fenced]), "its earlier boot is gone");
    }

    /// A power-on that was sent and not seen may have worked.
    #[test]
    fn a_power_on_that_was_not_seen_ends_every_proof() {
        let by_hand =
            |action, outcome, grade| PowerReceipt { outcome, by_fencer: false, ..receipt(action, grade, 5_000) };
        let unknown = |action| by_hand(action, Outcome::Unknown, Grade::Unknown);
        let unfinished = |later| PowerReceipt { unfinished: true, ..later };
        let fences = [fence(FenceAction::Off, 200_000)];
        let all = [
            unknown(Action::On),
            unknown(Action::Cycle),
            unknown(Action::Reboot),
            by_hand(Action::Cycle, Outcome::OffOnly, Grade::Off),
            by_hand(Action::Reboot, Outcome::OffOnly, Grade::Off),
            unfinished(unknown(Action::On)),
            unfinished(unknown(Action::Cycle)),
            unfinished(PowerReceipt { by_fencer: true, ..unknown(Action::Reboot) }),
        ];
        let is_still_gone =
            |later: &&PowerReceipt| is_gone(Some(Membership::Absent), &fences, std::slice::from_ref(*later));
        assert_eq!(all.iter().filter(is_still_gone).collect::<Vec<_>>(), [&all[0]; 0]);
        for other in [
            unfinished(unknown(Action::Off)),
            PowerReceipt { by_fencer: true, ..unknown(Action::Reboot) },
            by_hand(Action::Cycle, Outcome::Refused, Grade::Unknown),
        ] {
            assert!(is_gone(Some(Membership::Absent), &fences, std::slice::from_ref(&other)), "{other:?}");
        }
    }

    /// A fencing whose receipt was not written does not count as a power-on after itself, however coarse the time of
    /// the history is. Neither does a fencing that did not switch the power off.
    #[test]
    fn no_fencing_makes_itself_void() {
        let absent = Some(Membership::Absent);
        let fences = [fence(FenceAction::Reboot, 5_000)].map(|fence| Fence { delegate: Delegate::Unnamed, ..fence });
        let outcome = Outcome::Unknown;
        let begun = PowerReceipt { outcome, unfinished: true, ..receipt(Action::Reboot, Grade::Unknown, 4_500) };
        assert!(is_gone(absent, &fences, &[begun]));
        let bounded = PowerReceipt { outcome: Outcome::OffOnly, ..receipt(Action::Reboot, Grade::Bounded, 5_000) };
        assert!(is_gone(absent, &[], &[PowerReceipt { by_fencer: false, ..bounded.clone() }]), "no power was switched");
        assert!(is_gone(absent, &[], &[bounded]));
    }

    /// The on half of a fencing does not make it void, however coarse the time of the history is.
    #[test]
    fn the_on_half_of_a_reboot_is_part_of_it() {
        let fences = [fence(FenceAction::Reboot, 5_000)].map(|fence| Fence { delegate: Delegate::Unnamed, ..fence });
        let receipts = [receipt(Action::Off, Grade::Off, 9_000), receipt(Action::On, Grade::Unknown, 4_500)];
        assert!(is_gone(Some(Membership::Absent), &fences, &receipts));
        assert!(!is_gone(Some(Membership::Absent), &[], &receipts), "switched on by a reboot without a delegate");
    }

    #[test]
    fn only_a_fresh_off_proves() {
        let absent = Some(Membership::Absent);
        for action in [FenceAction::Off, FenceAction::Reboot] {
            assert!(is_gone(absent, &[fence(action, 5_000)], &[]));
            assert!(is_gone(absent, &[fence(action, 599_000)], &[]));
            assert!(!is_gone(absent, &[fence(action, 601_000)], &[]));
        }
        assert!(!is_gone(absent, &[fence(FenceAction::On, 0)], &[]));
        assert!(!is_gone(absent, &[], &[]));
    }

    #[test]
    fn who_is_a_member_or_still_to_be_fenced_is_not_gone() {
        let fences = [fence(FenceAction::Off, 5_000)];
        for member in [Membership::Unknown, Membership::Absent] {
            assert!(is_gone(Some(member), &fences, &[]), "{member:?}");
        }
        for member in [Membership::Online, Membership::Pending, Membership::Standby, Membership::Unclean] {
            assert!(!is_gone(Some(member), &fences, &[]), "{member:?}");
        }
    }

    /// A node that every survivor shuns may still serve: its role is not taken without a vote.
    #[test]
    fn isolation_is_not_enough_and_a_power_on_ends_every_proof() {
        let off = |grade| receipt(Action::Off, grade, 5_000);
        assert!(is_gone(None, &[], &[off(Grade::Off)]));
        assert!(is_gone(None, &[], &[off(Grade::Bounded)]));
        assert!(!is_gone(None, &[], &[off(Grade::Isolated)]));
        assert!(!is_gone(None, &[], &[off(Grade::Off), receipt(Action::On, Grade::Unknown, 1_000)]));
        let before = receipt(Action::Reboot, Grade::Off, 500_000);
        assert!(!is_gone(None, &[], &[before, off(Grade::Isolated)]), "it came back in between");
    }
}
