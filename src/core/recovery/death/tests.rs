use super::*;
use crate::core::ganeti::config::Node;
use crate::core::ganeti::record_version::RecordVersion;
use crate::core::pacemaker::fencing::FencingOptions;
use crate::core::pacemaker::state::{Delegate, Fence, FenceAction};
use crate::core::receipt::Timestamp;
use crate::core::reconcile::{First, MasterRoleState, Settings, reconcile};

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
        version: version(9),
        drained_by_us: false,
        member: Membership::Absent,
        is_remote: false,
        member_since_ms: None,
        answers: None,
        fences: fenced_ms.map(fence).into_iter().collect(),
        receipts: Vec::new(),
        options: FencingOptions::ours(Grade::Bounded),
    }
}

fn version(serial: u64) -> Option<RecordVersion> {
    Some(RecordVersion { uuid: "u3".to_owned(), serial })
}

fn made(seen: &NodeState, offline: bool) -> RecoveryNode {
    let config = ConfigNode {
        name: seen.ganeti.name.clone(),
        group: "default".to_owned(),
        offline,
        drained: false,
        vm_capable: true,
        version: seen.version.clone(),
    };
    recovery_node(config, seen, None, &watched(seen), LiveNodeState::default())
}

fn input(at_ms: u64, nodes: Vec<NodeState>) -> ReconcileInput {
    let name = |text: &str| NodeName::new(text).unwrap();
    ReconcileInput {
        now: Timestamp { wall_ms: at_ms, boottime_ms: at_ms - 1_600_000_000_000 },
        stack_started_ms: 0,
        quorum: true,
        maintenance: false,
        here: name("n1.lab"),
        master: Some(name("n1.lab")),
        role: MasterRoleState::Unmanaged,
        pause: None,
        candidate_pool_size: 1,
        nodes,
    }
}

/// The memory after a reconciliation that sees the node so.
fn after(memory: Memory, at_ms: u64, node: &NodeState) -> Memory {
    reconcile(&input(at_ms, vec![node.clone()]), &Settings::default(), memory).memory
}

/// The memory after a reconciliation each minute that sees the node so.
fn each_minute(memory: Memory, from_ms: u64, to_ms: u64, node: &NodeState) -> Memory {
    (from_ms..=to_ms).step_by(60_000).fold(memory, |memory, at_ms| after(memory, at_ms, node))
}

/// The node while it is online, before it is fenced.
fn online(node: &NodeState) -> NodeState {
    let ganeti = Node { offline: false, ..node.ganeti.clone() };
    NodeState { ganeti, version: version(7), member: Membership::Online, fences: Vec::new(), ..node.clone() }
}

/// The memory of a host that has seen the node online a moment before.
fn watched(node: &NodeState) -> Memory {
    after(after(Memory::default(), NOW - 10_000, &online(node)), NOW, node)
}

/// When the proof was made on which the record of now rests.
fn proven(node: &NodeState, memory: &Memory) -> Option<u64> {
    let config = ConfigNode {
        name: node.ganeti.name.clone(),
        group: "default".to_owned(),
        offline: true,
        drained: false,
        vm_capable: true,
        version: node.version.clone(),
    };
    recovery_node(config, node, None, memory, LiveNodeState::default()).proof.map(|proof| proof.at_ms)
}

#[test]
fn an_offline_record_rests_on_a_fencing() {
    let proof = made(&seen(Some(NOW - 5_000), NOW), true).proof;
    let wanted = DeathProof { grade: Grade::Off, at_ms: NOW - 5_000, lost_ms: Some(NOW), is_of_record: true };
    assert_eq!(proof, Some(wanted), "first seen now");
    assert_eq!(made(&seen(None, NOW), true).proof, None);
    assert_eq!(made(&seen(Some(NOW - 5_000), NOW), false).proof, None, "online in Ganeti");
}

/// A host is fenced, readmitted, and runs its instances again. Then Pacemaker is stopped there, and an administrator
/// records the node offline within a quarter of an hour: the old fencing proves nothing about the host of now.
#[test]
fn a_fencing_that_a_readmission_has_settled_is_no_proof_of_a_later_record() {
    const MINUTE: u64 = 60_000;
    let fenced_ms = NOW - 10 * MINUTE;
    let offline = seen(Some(fenced_ms), fenced_ms + 5_000);
    let memory = after(Memory::default(), fenced_ms - 5_000, &online(&offline));
    let memory = after(memory, fenced_ms + 5_000, &offline);
    assert_eq!(proven(&offline, &memory), Some(fenced_ms));
    let readmitted =
        NodeState { fences: offline.fences.clone(), changed_ms: Some(fenced_ms + 2 * MINUTE), ..online(&offline) };
    let memory = each_minute(memory, fenced_ms + 2 * MINUTE, fenced_ms + 8 * MINUTE, &readmitted);
    for member in [Membership::Absent, Membership::Unclean] {
        let left = NodeState { member, ..readmitted.clone() };
        let memory = after(memory.clone(), fenced_ms + 9 * MINUTE, &left);
        let by_hand = NodeState { member, changed_ms: Some(NOW), ..offline.clone() };
        let memory = after(memory, NOW, &by_hand);
        assert_eq!(proven(&by_hand, &memory), None, "{member:?}");
        // It is confirmed off now: that is a new proof.
        let mut confirmed = by_hand.clone();
        confirmed.fences.extend(seen(Some(NOW + 90_000), NOW).fences);
        let memory = after(memory, NOW + 95_000, &confirmed);
        assert_eq!(proven(&confirmed, &memory), Some(NOW + 90_000));
    }
}

/// The breaker or a pause delays the record for long after the fencing, and a tag changes the record later.
#[test]
fn a_proof_does_not_age_before_the_record_or_after_it() {
    let fenced_ms = NOW - 3_600_000;
    let offline = seen(Some(fenced_ms), NOW);
    let blocked =
        NodeState { member: Membership::Absent, fences: offline.fences.clone(), changed_ms: None, ..online(&offline) };
    let memory = after(Memory::default(), fenced_ms - 5_000, &online(&offline));
    let blocked = NodeState { answers: Some(false), ..blocked };
    let memory = each_minute(memory, fenced_ms + 5_000, NOW, &blocked);
    let memory = after(memory, NOW + 10_000, &offline);
    assert_eq!(proven(&offline, &memory), Some(fenced_ms));
    let tagged = NodeState { changed_ms: Some(NOW + 3_600_000), ..offline };
    let memory = each_minute(memory, NOW + 60_000, NOW + 3_660_000, &tagged);
    assert_eq!(proven(&tagged, &memory), Some(fenced_ms));
}

/// A host is fenced while gnt-ha is paused, and boots without Pacemaker. ganeti-watcher starts its instances there. Hours later
/// an administrator records it offline. Only the master asks a node whether it answers, and only before it records it.
#[test]
fn an_old_fencing_is_no_proof_of_a_record_by_hand() {
    let fenced_ms = NOW - 3_600_000;
    let offline = seen(Some(fenced_ms), NOW);
    let blocked =
        NodeState { member: Membership::Absent, fences: offline.fences.clone(), changed_ms: None, ..online(&offline) };
    for master in ["n1.lab", "n2.lab"] {
        let decide = |memory: Memory, at_ms: u64, node: &NodeState| {
            let master = Some(NodeName::new(master).unwrap());
            let pause = Some(crate::core::pause::Pause::new("a fan", "root", 1).unwrap());
            let state = ReconcileInput { master, pause, ..input(at_ms, vec![node.clone()]) };
            reconcile(&state, &Settings::default(), memory).memory
        };
        let memory = decide(Memory::default(), fenced_ms - 5_000, &online(&offline));
        let paused = |to_ms: u64| {
            (fenced_ms + 5_000..=to_ms)
                .step_by(60_000)
                .fold(memory.clone(), |memory, at_ms| decide(memory, at_ms, &blocked))
        };
        assert_eq!(proven(&offline, &decide(paused(NOW), NOW + 10_000, &offline)), None, "{master}");
        let soon = NodeState { changed_ms: Some(fenced_ms + 90_000), ..offline.clone() };
        let memory = decide(paused(fenced_ms + 80_000), fenced_ms + 95_000, &soon);
        assert_eq!(proven(&soon, &memory), Some(fenced_ms), "{master}");
    }
}

/// The clock of the host that fenced the node is two minutes behind: a link that was lost a minute before the death would
/// count as lost by it. It is dated by the clock of this host, at this reconciliation and at later ones.
#[test]
fn a_death_is_not_dated_before_it_was_seen_here() {
    let offline = seen(Some(NOW - 120_000), NOW);
    let lost = |memory: &Memory| {
        let live = LiveNodeState::default();
        let config = ConfigNode {
            name: offline.ganeti.name.clone(),
            group: "default".to_owned(),
            offline: true,
            drained: false,
            vm_capable: true,
            version: None,
        };
        recovery_node(config, &offline, None, memory, live).proof.and_then(|proof| proof.lost_ms)
    };
    let memory = watched(&offline);
    assert_eq!(lost(&memory), Some(NOW));
    assert_eq!(lost(&each_minute(memory, NOW + 60_000, NOW + 600_000, &offline)), Some(NOW));
}

/// The reconciler does not record a node on a proof of more than a day ago, nor on one after which the record was written,
/// by a readmission for example. If an administrator records it then, the proof is not better.
#[test]
fn a_proof_that_records_nothing_proves_nothing_after_a_record_by_hand() {
    let blocked = |fenced_ms: u64, changed_ms| {
        let offline = seen(Some(fenced_ms), NOW);
        let member = Membership::Absent;
        (NodeState { member, fences: offline.fences.clone(), changed_ms, ..online(&offline) }, offline)
    };
    let (old, offline) = blocked(NOW - 25 * 3_600_000, None);
    let memory = after(Memory::default(), NOW - 3_600_000, &old);
    let memory = after(each_minute(memory, NOW - 3_540_000, NOW, &old), NOW + 10_000, &offline);
    assert_eq!(proven(&offline, &memory), None);
    // This host was away when the record was written.
    let (changed, offline) = blocked(NOW - 7_200_000, Some(NOW - 5_400_000));
    let memory = after(Memory::default(), NOW - 3_600_000, &changed);
    let memory = after(each_minute(memory, NOW - 3_540_000, NOW, &changed), NOW + 10_000, &offline);
    assert_eq!(proven(&offline, &memory), None);
}

/// A host that was away for an hour does not know whether the node was readmitted meanwhile.
#[test]
fn what_a_host_has_not_watched_is_no_proof() {
    let offline = seen(Some(NOW - 5_000), NOW);
    assert_eq!(proven(&offline, &after(Memory::default(), NOW, &offline)), None, "no memory");
    let before = after(Memory::default(), NOW - 3_600_000, &online(&offline));
    assert_eq!(proven(&offline, &after(before, NOW, &offline)), None, "away while it was recorded");
    let memory = watched(&offline);
    assert_eq!(proven(&offline, &after(memory.clone(), NOW + 3_600_000, &offline)), Some(NOW - 5_000));
    let written = NodeState { changed_ms: Some(NOW + 1_800_000), ..offline };
    assert_eq!(proven(&written, &after(memory, NOW + 3_600_000, &written)), None, "away while it was written");
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
        version: None,
    };
    let proof = proofs(&FencingEvidence {
        fences: &state.fences,
        receipts: &[],
        options: &state.options,
        first: &First::new(),
    });
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
        let node = recovery_node(config(offline), &state, decision, &Memory::default(), LiveNodeState::default());
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
        version: None,
    };
    let live = LiveNodeState { running: Some(BTreeSet::new()), is_shunned: false, is_recorded_by_us: false };
    let reports = recovery_node(config(true), &state, None, &Memory::default(), live);
    assert!(reports.runs_again && reports.running.complete().is_some());
    let online = NodeState { member: Membership::Online, fences: Vec::new(), ..state.clone() };
    let live = LiveNodeState { running: Some(BTreeSet::new()), is_shunned: true, is_recorded_by_us: false };
    let shunned = recovery_node(config(false), &online, None, &Memory::default(), live);
    assert_eq!((shunned.suspicion, shunned.running.complete()), (Some(Suspicion::Shunned), None));
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
    lost.options = FencingOptions::ours(Grade::Isolated);
    let helper =
        NodeState { ganeti: Node { name: name("n2.lab"), offline: false, ..lost.ganeti.clone() }, ..seen(None, NOW) };
    let memory = watched(&lost);
    let state = input(NOW, vec![lost, helper]);
    let asked = |least| receipts_to_ask(&state, &memory, least);
    assert_eq!(asked(Grade::Bounded), BTreeMap::from([(name("n2.lab"), vec![name("n3.lab")])]));
    assert_eq!(asked(Grade::Isolated), BTreeMap::new());
}

/// Whether the record of the node, as Ganeti has it now, follows the proof; `None` without a proof.
fn is_of_record(node: &NodeState, memory: &Memory, is_recorded_by_us: bool) -> Option<bool> {
    let config = ConfigNode {
        name: node.ganeti.name.clone(),
        group: "default".to_owned(),
        offline: true,
        drained: false,
        vm_capable: true,
        version: node.version.clone(),
    };
    let live = LiveNodeState { is_recorded_by_us, ..LiveNodeState::default() };
    recovery_node(config, node, None, memory, live).proof.map(|proof| proof.is_of_record)
}

/// The host is fenced and recorded; its power is recorded, and tags of it change.
#[test]
fn a_record_that_follows_its_proof_is_known_by_its_versions() {
    let recorded = seen(Some(NOW - 5_000), NOW - 1_000);
    let mut memory = after(Memory::default(), NOW - 10_000, &online(&recorded));
    let waits = NodeState { member: Membership::Absent, fences: recorded.fences.clone(), ..online(&recorded) };
    memory = after(memory, NOW - 4_000, &waits);
    for (serial, at_ms) in [(9, NOW), (10, NOW + 5_000), (10, NOW + 15_000), (11, NOW + 25_000)] {
        let later = NodeState { version: version(serial), ..recorded.clone() };
        memory = after(memory, at_ms, &later);
        assert_eq!(is_of_record(&later, &memory, false), Some(true), "{serial}");
    }
}

/// Between two reconciliations, the node is readmitted, added again, and set offline by hand while it runs its instances:
/// the record takes 2 updates, `gnt-node add --readd` 1, and the record by hand 2.
#[test]
fn a_node_that_may_have_been_online_since_its_fencing_is_not_proven() {
    let recorded = seen(Some(NOW - 5_000), NOW - 1_000);
    let by_hand = |serial| NodeState { version: version(serial), changed_ms: Some(NOW + 25_000), ..recorded.clone() };
    let watching = after(Memory::default(), NOW - 10_000, &online(&recorded));
    let waits = NodeState { member: Membership::Absent, fences: recorded.fences.clone(), ..online(&recorded) };
    let before_record = after(watching, NOW - 4_000, &waits);
    let after_record = after(before_record.clone(), NOW, &recorded);
    for memory in [before_record, after_record] {
        let memory = after(memory, NOW + 30_000, &by_hand(12));
        assert_eq!(is_of_record(&by_hand(12), &memory, false), Some(false));
        // gnt-ha has recorded it: the queue shows that it was not by hand. Other updates came between.
        assert_eq!(is_of_record(&by_hand(12), &memory, true), Some(true));
        let memory = after(memory, NOW + 40_000, &by_hand(13));
        assert_eq!(is_of_record(&by_hand(13), &memory, false), Some(false), "it stays so");
        // The administrator confirms that it is off.
        let mut confirmed = by_hand(13);
        confirmed.fences.extend(seen(Some(NOW + 50_000), NOW).fences);
        let memory = after(memory, NOW + 55_000, &confirmed);
        assert_eq!(
            (proven(&confirmed, &memory), is_of_record(&confirmed, &memory, false)),
            (Some(NOW + 50_000), Some(true))
        );
    }
}

/// It is readmitted and recorded again between the reconciliation and the recovery, or the node was removed and is another.
#[test]
fn the_configuration_of_the_recovery_is_newer_than_that_of_the_reconciliation() {
    let recorded = seen(Some(NOW - 5_000), NOW - 1_000);
    let memory = watched(&recorded);
    for (now, wanted) in [(version(10), true), (version(12), false), (version(8), false), (None, false)] {
        let config = ConfigNode {
            name: recorded.ganeti.name.clone(),
            group: "default".to_owned(),
            offline: true,
            drained: false,
            vm_capable: true,
            version: now.clone(),
        };
        let proof = recovery_node(config, &recorded, None, &memory, LiveNodeState::default()).proof;
        assert_eq!(proof.map(|proof| proof.is_of_record), Some(wanted), "{now:?}");
    }
    let anew = Some(RecordVersion { uuid: "u9".to_owned(), serial: 9 });
    let other = NodeState { version: anew, ..recorded };
    assert_eq!(is_of_record(&other, &after(memory, NOW + 10_000, &other), false), Some(false));
}

/// A host that knew no versions, of an earlier version of gnt-ha, or a record that followed its proof after long: the queue
/// shows whether it is gnt-ha's.
#[test]
fn without_a_known_version_the_queue_decides() {
    let recorded = seen(Some(NOW - 5_000), NOW - 1_000);
    let before = NodeState { version: None, ..online(&recorded) };
    let memory = after(after(Memory::default(), NOW - 10_000, &before), NOW, &recorded);
    assert_eq!(is_of_record(&recorded, &memory, false), Some(false));
    assert_eq!(is_of_record(&recorded, &memory, true), Some(true));
    let late = seen(Some(NOW - 600_000), NOW + 5_000);
    let waits = NodeState {
        member: Membership::Absent,
        fences: late.fences.clone(),
        answers: Some(false),
        changed_ms: None,
        ..online(&late)
    };
    let memory = each_minute(after(Memory::default(), NOW - 610_000, &online(&late)), NOW - 595_000, NOW, &waits);
    let memory = after(memory, NOW + 10_000, &late);
    assert_eq!((is_of_record(&late, &memory, false), is_of_record(&late, &memory, true)), (Some(false), Some(true)));
}
