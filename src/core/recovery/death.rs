//! The state of a node for recovery, from what a reconciliation sees of it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::config_data::ConfigNode;
use super::instance::InstanceName;
use super::state::{DeathProof, NodeRecord, RecoveryInput, RecoveryNode, Suspicion};
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::pacemaker::state::{FenceStatus, Membership};
use crate::core::reconcile::peer_receipts::add;
use crate::core::reconcile::{Decision, FencingEvidence, First, Memory, NodeState, Proof, ReconcileInput, proofs};

/// How long after the proof the record may have been written, in milliseconds, to rest on it. A record of later rests on
/// something else: the node may have been readmitted in between, and recorded offline by hand.
const RECORD_AFTER_MS: u64 = 900_000;

/// How far the clocks of two hosts may differ, in milliseconds.
const CLOCKS_DIFFER_MS: u64 = 60_000;

/// What is known of a node besides a reconciliation's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveNodeState {
    /// The instances that the node reports to run; `None` if it was not asked or has not answered.
    pub running: Option<BTreeSet<InstanceName>>,
    /// Whether this host has the node on its shun list.
    pub is_shunned: bool,
}

/// Returns the state of a node: its record as `config` has it, its proof and suspicion as the reconciliation's state
/// `seen` has them. `decision` is what the same reconciliation decides about it, and `first` what it remembers of its
/// fencings.
#[must_use]
pub fn recovery_node(
    config: ConfigNode,
    seen: &NodeState,
    decision: Option<&Decision>,
    first: &First,
    live: LiveNodeState,
) -> RecoveryNode {
    let (record, proof) = match decision {
        // The job of this decision has ended since: `seen` is older than its record.
        Some(Decision::Offline { proof, .. }) if config.offline => (NodeRecord::Offline, Some(proof.clone())),
        Some(Decision::Offline { proof, .. }) => (NodeRecord::BeingRecorded, Some(proof.clone())),
        _ if config.offline => (NodeRecord::Offline, proof_of_record(seen, first)),
        _ => (NodeRecord::Online, None),
    };
    let LiveNodeState { running, is_shunned } = live;
    let answers = seen.answers == Some(true) || running.is_some();
    RecoveryNode {
        name: config.name,
        group: config.group,
        record,
        drained: config.drained,
        vm_capable: config.vm_capable,
        proof: proof.map(|proof| death(&proof)),
        // A node that Pacemaker does not know may run unseen.
        runs_again: answers || !matches!(seen.member, Membership::Absent | Membership::Unclean),
        suspicion: suspicion(seen).or(is_shunned.then_some(Suspicion::Shunned)),
        running,
    }
}

/// The host was lost before its end was proven; when exactly is not known. The later of both times is the one that
/// permits less: what was seen of its disks until then counts.
const fn death(proof: &Proof) -> DeathProof {
    DeathProof { grade: proof.grade, at_ms: proof.at_ms, lost_ms: Some(proof.at_ms) }
}

/// Returns when the end of each node that is out, or is about to be recorded, was proven, in milliseconds since 1970.
#[must_use]
pub fn proven_ms(seen: &NodeState, decision: Option<&Decision>, first: &First) -> Option<u64> {
    match decision {
        Some(Decision::Offline { proof, .. }) => Some(proof.at_ms),
        _ if seen.ganeti.offline => proof_of_record(seen, first).map(|proof| proof.at_ms),
        _ => None,
    }
}

/// Returns the hosts that may have a receipt which proves more of a node that is recorded offline than is known here,
/// each with the nodes in question. These are the nodes whose proof is weaker than `least`.
#[must_use]
pub fn receipts_to_ask(state: &ReconcileInput, memory: &Memory, least: Grade) -> BTreeMap<NodeName, Vec<NodeName>> {
    let all: Vec<NodeName> = state.nodes.iter().map(|node| node.ganeti.name.clone()).collect();
    let mut asked = BTreeMap::new();
    for node in state.nodes.iter().filter(|node| node.ganeti.offline) {
        let name = &node.ganeti.name;
        if let Some(proof) = proof_of_record(node, &memory.first(name)).filter(|proof| proof.grade < least) {
            add(&mut asked, name, &proof.word, &state.here, &all);
        }
    }
    asked
}

/// Returns the proof on which an offline record rests: the strongest of those that came shortly before the record was
/// written.
fn proof_of_record(seen: &NodeState, first: &First) -> Option<Proof> {
    let recorded_ms = seen.changed_ms?;
    let evidence = FencingEvidence { fences: &seen.fences, receipts: &seen.receipts, ways: &seen.ways, first };
    let is_of_record = |at_ms: u64| {
        at_ms <= recorded_ms.saturating_add(CLOCKS_DIFFER_MS) && recorded_ms.saturating_sub(at_ms) <= RECORD_AFTER_MS
    };
    proofs(&evidence)
        .into_iter()
        .filter(|proof| !proof.is_planned && is_of_record(proof.at_ms))
        .max_by_key(|proof| (proof.grade, proof.at_ms))
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
        recovery_node(config, seen, None, &First::new(), LiveNodeState::default())
    }

    /// A node that an administrator records offline a day after it was fenced and readmitted has no proof.
    #[test]
    fn an_offline_record_rests_on_a_fencing_shortly_before() {
        let proof = made(&seen(Some(NOW - 5_000), NOW), true).proof;
        assert_eq!(proof, Some(DeathProof { grade: Grade::Off, at_ms: NOW - 5_000, lost_ms: Some(NOW - 5_000) }));
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

    /// The record's job may end after the reconciliation has read the configuration, and before the recovery reads it.
    #[test]
    fn a_record_of_this_moment_rests_on_the_proof_that_led_to_it() {
        let state = seen(Some(NOW), NOW - 86_400_000);
        let config = |offline| ConfigNode {
            name: state.ganeti.name.clone(),
            group: "default".to_owned(),
            offline,
            drained: false,
            vm_capable: true,
        };
        let proof =
            proofs(&FencingEvidence { fences: &state.fences, receipts: &[], ways: &state.ways, first: &First::new() });
        let decision = Decision::Offline {
            job: crate::core::ganeti::offline_job::OfflineJob {
                node: state.ganeti.name.clone(),
                sets_offline: true,
                powered: None,
                auto_promote: false,
            },
            proof: proof[0].clone(),
            power_too: crate::core::reconcile::PowerAction::default(),
        };
        let of = |offline, decision| {
            let node = recovery_node(config(offline), &state, decision, &First::new(), LiveNodeState::default());
            (node.record, node.proof.map(|proof| proof.at_ms))
        };
        assert_eq!(of(true, Some(&decision)), (NodeRecord::Offline, Some(NOW)));
        assert_eq!(of(false, Some(&decision)), (NodeRecord::BeingRecorded, Some(NOW)));
        assert_eq!(of(true, None), (NodeRecord::Offline, None), "recorded by hand");
    }

    /// A node that reports what it runs is there, and one that this host shuns takes nothing.
    #[test]
    fn what_a_node_reports_and_the_shun_list_count() {
        let state = seen(Some(NOW - 5_000), NOW);
        let config = |offline| ConfigNode {
            name: state.ganeti.name.clone(),
            group: "default".to_owned(),
            offline,
            drained: false,
            vm_capable: true,
        };
        let live = LiveNodeState { running: Some(BTreeSet::new()), is_shunned: false };
        let reports = recovery_node(config(true), &state, None, &First::new(), live);
        assert!(reports.runs_again && reports.running.is_some());
        let online = NodeState { member: Membership::Online, fences: Vec::new(), ..state.clone() };
        let live = LiveNodeState { running: None, is_shunned: true };
        let shunned = recovery_node(config(false), &online, None, &First::new(), live);
        assert_eq!(shunned.suspicion, Some(Suspicion::Shunned));
    }

    /// The host that fenced the node has the receipt; without it, the proof is only as strong as the weakest device.
    #[test]
    fn only_what_may_prove_more_is_asked_for() {
        let name = |text: &str| NodeName::new(text).unwrap();
        let mut lost = seen(None, NOW);
        lost.fences = vec![Fence {
            action: FenceAction::Off,
            status: FenceStatus::Success,
            completed_ms: Some(NOW - 5_000),
            delegate: Delegate::Host(name("n2.lab")),
        }];
        lost.ways = Ways::ours(Grade::Isolated);
        let helper = NodeState {
            ganeti: Node { name: name("n2.lab"), offline: false, ..lost.ganeti.clone() },
            ..seen(None, NOW)
        };
        let state = ReconcileInput {
            now: crate::core::receipt::Timestamp { wall_ms: NOW, boottime_ms: NOW },
            stack_started_ms: 0,
            quorum: true,
            maintenance: false,
            here: name("n1.lab"),
            master: Some(name("n1.lab")),
            role: crate::core::reconcile::MasterRoleState::Unmanaged,
            pause: None,
            candidate_pool_size: 1,
            nodes: vec![lost, helper],
        };
        let asked = |least| receipts_to_ask(&state, &Memory::default(), least);
        assert_eq!(asked(Grade::Bounded), BTreeMap::from([(name("n2.lab"), vec![name("n3.lab")])]));
        assert_eq!(asked(Grade::Isolated), BTreeMap::new());
    }
}
