use super::*;
use crate::core::ganeti::config::Node;
use crate::core::ganeti::record_version::RecordVersion;
use crate::core::node::NodeName;
use crate::core::pacemaker::fencing::FencingOptions;
use crate::core::pacemaker::state::Delegate;
use crate::core::receipt::Timestamp;
use crate::core::reconcile::{Decision, MasterRoleState, reconcile};

const NOW: u64 = 1_700_000_000_000;

fn node(of: &str, member: Membership, is_remote: bool) -> NodeState {
    let ganeti = Node {
        name: NodeName::new(of).unwrap(),
        oob_program: None,
        offline: false,
        drained: false,
        powered: true,
        master_candidate: !is_remote,
        master_capable: !is_remote,
    };
    NodeState {
        ganeti,
        changed_ms: None,
        version: None,
        drained_by_us: false,
        member,
        is_remote,
        member_since_ms: None,
        answers: None,
        fences: Vec::new(),
        receipts: Vec::new(),
        options: FencingOptions::ours(Grade::Bounded),
    }
}

/// Returns the decision about n3 after the last of these states of it, which follow each other by 10 s. `change`
/// changes the rest of what is read for a state, by its place.
fn after_all(states: &[NodeState], change: impl Fn(usize, &mut ReconcileInput)) -> Decision {
    let mut memory = Memory::default();
    let mut last = None;
    for (place, (state, at_ms)) in states.iter().zip((0..).step_by(10_000)).enumerate() {
        let master = node("n1.lab", Membership::Online, false);
        let mut input = ReconcileInput {
            now: Timestamp { wall_ms: NOW + at_ms, boottime_ms: 10_000_000 + at_ms },
            stack_started_ms: NOW - 10_000_000,
            quorum: true,
            maintenance: false,
            here: master.ganeti.name.clone(),
            master: Some(master.ganeti.name.clone()),
            role: MasterRoleState::Unmanaged,
            pause: None,
            candidate_pool_size: 1,
            nodes: vec![master, state.clone()],
        };
        change(place, &mut input);
        let plan = reconcile(&input, &Settings::default(), memory);
        last = plan.decisions.into_iter().find(|entry| entry.node.as_str() == "n3.lab");
        memory = plan.memory;
    }
    last.unwrap().decision
}

/// Returns the decision about a node that was a member at one reconciliation and is `member` 10 s later.
fn after(member: Membership, is_remote: bool) -> Decision {
    after_all(&[Membership::Online, member].map(|member| node("n3.lab", member, is_remote)), |_, _| {})
}

fn drained(member: Membership, drained: bool, drained_by_us: bool) -> NodeState {
    let mut state = node("n3.lab", member, false);
    (state.ganeti.drained, state.drained_by_us) = (drained, drained_by_us);
    state
}

const ONLINE: Membership = Membership::Online;
const AWAY: Membership = Membership::Standby;

/// The node was a member, left, and was drained by gnt-ha.
fn left() -> Vec<NodeState> {
    vec![drained(ONLINE, false, false), drained(AWAY, false, false), drained(AWAY, true, true)]
}

/// The drain is undone, and then the tag taken away, while the node is not online.
fn undone() -> Vec<NodeState> {
    vec![drained(AWAY, false, true), drained(AWAY, false, false)]
}

/// Ganeti shows a node without its drain before gnt-ha's tag is gone. One that leaves again between the two is
/// drained again; a drain that the administrator undoes while the node is away is not repeated.
#[test]
fn a_node_that_leaves_during_our_un_drain_is_drained_again() {
    let back = vec![drained(ONLINE, true, true)];
    let again = [left(), back, undone()].concat();
    assert!(matches!(after_all(&again, |_, _| {}), Decision::Drain { .. }));
    let by_hand = [left(), undone()].concat();
    assert_eq!(after_all(&by_hand, |_, _| {}), Decision::Nothing(NoActionReason::LeftAlone));
    // In a pause gnt-ha did not undo it.
    let is_back = |place, input: &mut ReconcileInput| input.maintenance = place == 3;
    assert_eq!(after_all(&again, is_back), Decision::Nothing(NoActionReason::LeftAlone));
}

/// A host that is not master may see the node in the middle of an un-drain, and not online before. The next drain is
/// gnt-ha's to undo, also when this host has become master.
#[test]
fn the_next_master_knows_a_new_drain_as_ours() {
    let missed = [left(), vec![drained(AWAY, false, true), drained(AWAY, true, true), drained(AWAY, true, true)]];
    let becomes_master = |place, input: &mut ReconcileInput| {
        if place < 5 {
            input.here = NodeName::new("n3.lab").unwrap();
        }
    };
    let decision = after_all(&missed.concat(), becomes_master);
    assert_eq!(decision, Decision::Nothing(NoActionReason::AlreadyDrained));
}

/// A stop of the connection is seen twice: while it is being stopped, and after. The node runs all the time.
#[test]
fn a_remote_node_whose_connection_is_stopped_is_not_drained() {
    for member in [Membership::ShuttingDown, Membership::Absent] {
        assert_eq!(after(member, true), Decision::Nothing(NoActionReason::LeftAlone), "{member:?}");
        assert!(matches!(after(member, false), Decision::Drain { .. }), "{member:?}: a host that leaves");
    }
    assert!(
        matches!(after(Membership::Standby, true), Decision::Drain { .. }),
        "that a source has reported of the node"
    );
}

/// A fencing waits for its record, and the record of the node changes. Two updates may be a record and its end, after which
/// the node was lost again: the fencing proves nothing about that.
#[test]
fn a_fencing_that_waits_ends_with_a_possible_readmission() {
    let lost = |serial: Option<u64>, changed_ms| {
        let fence = Fence {
            action: FenceAction::Off,
            status: FenceStatus::Success,
            completed_ms: Some(NOW + 5_000),
            delegate: Delegate::Unnamed,
        };
        let version = serial.map(|serial| RecordVersion { uuid: "u3".to_owned(), serial });
        NodeState {
            changed_ms: Some(NOW + changed_ms),
            version,
            answers: Some(false),
            fences: vec![fence],
            ..node("n3.lab", Membership::Absent, false)
        }
    };
    let waits = |place, input: &mut ReconcileInput| {
        input.quorum = place > 1;
        let late_ms = if place > 1 { 90_000 } else { 0 };
        input.now.wall_ms += late_ms;
        input.now.boottime_ms += late_ms;
    };
    let online = node("n3.lab", Membership::Online, false);
    let decide = |serial| after_all(&[online.clone(), lost(Some(7), 0), lost(serial, 100_000)], waits);
    for serial in [Some(7), Some(8)] {
        assert!(matches!(decide(serial), Decision::Offline { .. }), "{serial:?}");
    }
    for serial in [Some(9), Some(6), None] {
        assert_eq!(decide(serial), Decision::Blocked(BlockReason::ChangedSince), "{serial:?}");
    }
    // gnt-ha's drain, which had waited in Ganeti's queue, is two updates: a flag and a tag.
    let drained = |serial| NodeState { drained_by_us: true, ..lost(serial, 100_000) };
    let after_drain = |serial| after_all(&[online.clone(), lost(Some(7), 0), drained(Some(serial))], waits);
    assert!(matches!(after_drain(9), Decision::Offline { .. }));
    assert_eq!(after_drain(10), Decision::Blocked(BlockReason::ChangedSince));
    let later = [online.clone(), lost(Some(7), 0), lost(Some(9), 100_000), lost(Some(9), 100_000)];
    assert_eq!(after_all(&later, waits), Decision::Blocked(BlockReason::ChangedSince), "it counts no more");
}
