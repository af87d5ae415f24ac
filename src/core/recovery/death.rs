//! The state of a node for recovery, from what a reconciliation sees of it. Pure.

use std::collections::BTreeSet;

use super::config_data::ConfigNode;
use super::instance::InstanceName;
use super::state::{DeathProof, NodeRecord, RecoveryInput, RecoveryNode, Suspicion};
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::pacemaker::state::{FenceStatus, Membership};
use crate::core::reconcile::{Decision, FencingEvidence, First, NodeState, proofs};

/// How long after the proof the record may have been written, in milliseconds, to rest on it. A record of later rests on
/// something else: the node may have been readmitted in between, and recorded offline by hand.
const RECORD_AFTER_MS: u64 = 900_000;

/// How far the clocks of two hosts may differ, in milliseconds.
const CLOCKS_DIFFER_MS: u64 = 60_000;

/// Returns the state of a node: its record as `config` has it, its proof and suspicion as the reconciliation's state
/// `seen` has them. `decision` is what the same reconciliation decides about it, and `first` what it remembers of its
/// fencings. `running` has what the node reports of its instances.
#[must_use]
pub fn recovery_node(
    config: ConfigNode,
    seen: &NodeState,
    decision: Option<&Decision>,
    first: &First,
    running: Option<BTreeSet<InstanceName>>,
) -> RecoveryNode {
    let (record, proof) = match decision {
        _ if config.offline => (NodeRecord::Offline, proof_of_record(seen, first)),
        Some(Decision::Offline { proof, .. }) => {
            (NodeRecord::BeingRecorded, Some(DeathProof { grade: proof.grade, at_ms: proof.at_ms, lost_ms: None }))
        }
        _ => (NodeRecord::Online, None),
    };
    RecoveryNode {
        name: config.name,
        group: config.group,
        record,
        drained: config.drained,
        vm_capable: config.vm_capable,
        proof,
        // A node that Pacemaker does not know may run unseen.
        runs_again: seen.answers == Some(true) || !matches!(seen.member, Membership::Absent | Membership::Unclean),
        suspicion: suspicion(seen),
        running,
    }
}

/// Returns the proof on which an offline record rests: the strongest of those that came shortly before the record was
/// written.
fn proof_of_record(seen: &NodeState, first: &First) -> Option<DeathProof> {
    let recorded_ms = seen.changed_ms?;
    let evidence = FencingEvidence { fences: &seen.fences, receipts: &seen.receipts, ways: &seen.ways, first };
    let is_of_record = |at_ms: u64| {
        at_ms <= recorded_ms.saturating_add(CLOCKS_DIFFER_MS) && recorded_ms.saturating_sub(at_ms) <= RECORD_AFTER_MS
    };
    proofs(&evidence)
        .into_iter()
        .filter(|proof| !proof.is_planned && is_of_record(proof.at_ms))
        .max_by_key(|proof| (proof.grade, proof.at_ms))
        .map(|proof| DeathProof { grade: proof.grade, at_ms: proof.at_ms, lost_ms: None })
}

fn suspicion(seen: &NodeState) -> Option<Suspicion> {
    if seen.fences.iter().any(|fence| fence.status == FenceStatus::Pending) {
        return Some(Suspicion::FencingPending);
    }
    match seen.member {
        Membership::Unclean => Some(Suspicion::Unclean),
        Membership::Absent | Membership::Pending | Membership::ShuttingDown => Some(Suspicion::Lost),
        // A node that is not in Pacemaker's configuration is judged by Ganeti's record alone.
        Membership::Online | Membership::Standby | Membership::Unknown => None,
    }
}

impl RecoveryInput {
    /// Returns the state as it would be right after the death of `died`, proven off and recorded.
    #[must_use]
    pub fn after_death(mut self, died: &NodeName) -> Self {
        let at_ms = self.now_ms;
        for node in self.nodes.iter_mut().filter(|node| node.name == *died) {
            node.record = NodeRecord::Offline;
            node.proof = Some(DeathProof { grade: Grade::Off, at_ms, lost_ms: Some(at_ms) });
            node.runs_again = false;
            node.suspicion = Some(Suspicion::Lost);
            node.running = None;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ganeti::config::Node;
    use crate::core::pacemaker::fencing::Ways;
    use crate::core::pacemaker::state::{Delegate, Fence, FenceAction};

    const NOW: u64 = 1_700_000_000_000;

    fn seen(fenced_ms: Option<u64>, recorded_ms: u64) -> NodeState {
        let name = NodeName::new("n3.lab").unwrap();
        let fence = |completed_ms| Fence {
            action: FenceAction::Off,
            status: FenceStatus::Success,
            completed_ms: Some(completed_ms),
            delegate: Delegate::Human,
        };
        NodeState {
            ganeti: Node {
                name,
                oob_program: None,
                offline: true,
                drained: false,
                powered: true,
                master_candidate: false,
                master_capable: true,
            },
            changed_ms: Some(recorded_ms),
            drained_by_us: false,
            member: Membership::Absent,
            is_remote: false,
            member_since_ms: None,
            answers: None,
            fences: fenced_ms.map(fence).into_iter().collect(),
            receipts: Vec::new(),
            ways: Ways::ours(Grade::Bounded),
        }
    }

    fn made(seen: &NodeState, offline: bool) -> RecoveryNode {
        let config = ConfigNode {
            name: seen.ganeti.name.clone(),
            group: "default".to_owned(),
            offline,
            drained: false,
            vm_capable: true,
        };
        recovery_node(config, seen, None, &First::new(), None)
    }

    /// A node that an administrator records offline a day after it was fenced and readmitted has no proof.
    #[test]
    fn an_offline_record_rests_on_a_fencing_shortly_before() {
        let proof = made(&seen(Some(NOW - 5_000), NOW), true).proof;
        assert_eq!(proof, Some(DeathProof { grade: Grade::Off, at_ms: NOW - 5_000, lost_ms: None }));
        assert_eq!(made(&seen(Some(NOW - 86_400_000), NOW), true).proof, None);
        assert_eq!(made(&seen(Some(NOW + 120_000), NOW), true).proof, None, "fenced again later: the record is older");
        assert_eq!(made(&seen(None, NOW), true).proof, None);
        assert_eq!(made(&seen(Some(NOW - 5_000), NOW), false).proof, None, "online in Ganeti");
    }

    #[test]
    fn a_node_that_is_not_online_is_suspect_and_one_that_answers_runs() {
        let mut state = seen(None, NOW);
        assert_eq!((made(&state, true).suspicion, made(&state, true).runs_again), (Some(Suspicion::Lost), false));
        state.answers = Some(true);
        assert!(made(&state, true).runs_again);
        state.member = Membership::Online;
        assert_eq!(made(&state, false).suspicion, None);
        state.member = Membership::Unknown;
        state.answers = None;
        assert!(made(&state, true).runs_again, "unknown");
    }
}
