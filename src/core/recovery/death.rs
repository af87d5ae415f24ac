//! The state of a node for recovery, from what a reconciliation sees of it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::config_data::ConfigNode;
use super::instance::InstanceName;
use super::report::RunningReport;
use super::state::{DeathProof, NodeRecord, RecoveryInput, RecoveryNode, Suspicion};
use crate::core::ganeti::record_version::stayed_offline;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::pacemaker::state::{FenceStatus, Membership};
use crate::core::reconcile::peer_receipts::add;
use crate::core::reconcile::{Decision, FencingEvidence, Memory, NodeState, Proof, ReconcileInput, proofs};

/// The facts about a node that a reconciliation does not collect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveNodeState {
    /// The instances that the node reports to run; `None` if it was not asked or has not answered.
    pub running: Option<BTreeSet<InstanceName>>,
    /// Whether this host has the node on its shun list.
    pub is_shunned: bool,
    /// Whether gnt-ha's own record is the last operation of the job queue that may have put the node offline or online.
    pub is_recorded_by_us: bool,
}

/// Returns the state of a node: its record as `config` has it, its proof and suspicion as the reconciliation's state
/// `seen` has them. `decision` is what the same reconciliation decides about it, and `memory` what it remembers.
#[must_use]
pub fn recovery_node(
    config: ConfigNode,
    seen: &NodeState,
    decision: Option<&Decision>,
    memory: &Memory,
    live: LiveNodeState,
) -> RecoveryNode {
    // The record of this moment is not in `seen`.
    let recorded_ms = seen.changed_ms.filter(|_| config.offline && !matches!(decision, Some(Decision::Offline { .. })));
    let LiveNodeState { running, is_shunned, is_recorded_by_us } = live;
    // The configuration is newer than `seen`.
    let stayed = stayed_offline(seen.version.as_ref(), seen.ganeti.offline, config.version.as_ref());
    let (record, proof, is_certain) = match decision {
        // The job of this decision has ended since: `seen` is older than its record.
        Some(Decision::Offline { proof, .. }) if config.offline => (NodeRecord::Offline, Some(proof.clone()), stayed),
        Some(Decision::Offline { proof, .. }) => (NodeRecord::BeingRecorded, Some(proof.clone()), true),
        _ if config.offline => {
            let found = proof_of_record(seen, memory, is_recorded_by_us);
            let is_certain = found.as_ref().is_some_and(|proof| stayed && memory.is_certain(&seen.ganeti.name, proof));
            (NodeRecord::Offline, found, is_certain)
        }
        _ => (NodeRecord::Online, None, false),
    };
    // gnt-ha recorded it on a proof, and it was not put online since.
    let is_of_record = is_certain || is_recorded_by_us;
    let answers = seen.answers == Some(true) || running.is_some();
    RecoveryNode {
        name: config.name,
        group: config.group,
        record,
        recorded_ms,
        version: config.version,
        drained: config.drained,
        vm_capable: config.vm_capable,
        proof: proof.map(|proof| death(&proof, memory.noticed_ms(&seen.ganeti.name, &proof), is_of_record)),
        // A node that Pacemaker does not have may run unseen.
        runs_again: answers || !matches!(seen.member, Membership::Absent | Membership::Unclean),
        suspicion: suspicion(seen).or(is_shunned.then_some(Suspicion::Shunned)),
        running: RunningReport::new(running, is_shunned),
    }
}

/// The host was lost before its end was proven; when exactly is unknown. The latest time is the one that permits least:
/// what was seen of its disks until then counts. The proof has the clock of the host that fenced it; `noticed_ms` has the
/// clock of this host, and no death is later.
fn death(proof: &Proof, noticed_ms: Option<u64>, is_of_record: bool) -> DeathProof {
    let lost_ms = noticed_ms.unwrap_or(proof.at_ms);
    DeathProof { grade: proof.grade, at_ms: proof.at_ms, lost_ms: Some(lost_ms), is_of_record }
}

/// Returns when the end of each node that is out, or is about to be recorded, was proven, in milliseconds since 1970.
#[must_use]
pub fn proven_ms(seen: &NodeState, decision: Option<&Decision>, memory: &Memory) -> Option<u64> {
    match decision {
        Some(Decision::Offline { proof, .. }) => Some(proof.at_ms),
        _ if seen.ganeti.offline => proof_of_record(seen, memory, false).map(|proof| proof.at_ms),
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
        if let Some(proof) = proof_of_record(node, memory, false).filter(|proof| proof.grade < least) {
            add(&mut asked, name, &proof.source, &state.here, &all);
        }
    }
    asked
}

/// Returns the proof on which an offline record rests: the strongest of the fencings that no readmission has settled. One
/// after which the node may have been online is returned only if there is no other, unless gnt-ha has recorded the node
/// last. How old it is does not matter: a breaker or a pause may have delayed the record, and a later change of the
/// record, such as a tag, makes it no weaker.
fn proof_of_record(seen: &NodeState, memory: &Memory, is_recorded_by_us: bool) -> Option<Proof> {
    let name = &seen.ganeti.name;
    let first = memory.first(name);
    let evidence =
        FencingEvidence { fences: &seen.fences, receipts: &seen.receipts, options: &seen.options, first: &first };
    proofs(&evidence)
        .into_iter()
        .filter(|proof| !proof.is_planned && memory.rests_on(name, proof))
        .max_by_key(|proof| (is_recorded_by_us || memory.is_certain(name, proof), proof.grade, proof.at_ms))
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
            node.recorded_ms = Some(at_ms);
            node.proof = Some(DeathProof { grade: Grade::Off, at_ms, lost_ms: Some(at_ms), is_of_record: true });
            node.runs_again = false;
            node.suspicion = Some(Suspicion::Lost);
            node.running = RunningReport::default();
        }
        self
    }
}

#[cfg(test)]
mod tests;
