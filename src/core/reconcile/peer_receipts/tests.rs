use std::path::Path;

use super::*;
use crate::core::history::join_entries;
use crate::core::pacemaker::fencing::FencingOptions;
use crate::core::receipt::tests::intent;
use crate::core::receipt::{Action, Intent, LogEntry, Timestamp};
use crate::core::reconcile::{MasterRoleState, Membership, Memory, ReconcileInput, Settings, reconcile};

const NOW: u64 = 1_700_000_000_000;

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn all() -> Vec<NodeName> {
    ["n1.lab", "n2.lab", "n3.lab"].map(name).to_vec()
}

fn receipt(id: &str, ended_ms: u64, grade: Grade) -> PowerReceipt {
    let (action, outcome, proven_by) = (Action::Off, Outcome::Done, "bmc".to_owned());
    PowerReceipt { id: id.to_owned(), action, outcome, grade, proven_by, ended_ms, by_fencer: true, unfinished: false }
}

fn node(of: &str, fences: Vec<Fence>) -> NodeState {
    let ganeti = Node {
        name: name(of),
        oob_program: Some("/usr/lib/gnt-ha/ganeti-oob".into()),
        offline: false,
        drained: false,
        powered: true,
        master_candidate: true,
        master_capable: true,
    };
    NodeState {
        ganeti,
        changed_ms: None,
        version: None,
        drained_by_us: false,
        is_remote: false,
        member: if fences.is_empty() { Membership::Online } else { Membership::Absent },
        member_since_ms: None,
        answers: Some(false),
        fences,
        receipts: Vec::new(),
        options: FencingOptions::ours(Grade::Bounded),
    }
}

/// The master is n1; n3 was fenced by `delegate` 5 s ago.
fn state(delegate: &str) -> ReconcileInput {
    let (action, status, delegate) = (FenceAction::Off, FenceStatus::Success, Delegate::Host(name(delegate)));
    let fence = Fence { action, status, completed_ms: Some(NOW - 5_000), delegate };
    ReconcileInput {
        now: Timestamp { wall_ms: NOW, boottime_ms: 10_000_000 },
        stack_started_ms: NOW - 10_000_000,
        quorum: true,
        maintenance: false,
        here: name("n1.lab"),
        master: Some(name("n1.lab")),
        role: MasterRoleState::Unmanaged,
        pause: None,
        candidate_pool_size: 3,
        nodes: vec![node("n1.lab", vec![]), node("n2.lab", vec![]), node("n3.lab", vec![fence])],
    }
}

fn decided(state: &ReconcileInput) -> Plan {
    reconcile(state, &Settings::default(), Memory::default())
}

/// Returns what is recorded of n3.lab: the grade and the power flag.
fn recorded(state: &ReconcileInput) -> (Grade, Option<bool>) {
    let plan = decided(state);
    let of = plan.decisions.iter().find(|entry| entry.node == name("n3.lab")).map(|entry| &entry.decision);
    let Some(Decision::Offline { job, proof, .. }) = of else { panic!("{of:?}") };
    (proof.grade, job.powered)
}

/// If a device without a receipt decides and another node has run it, that node is asked. Its receipt counts; without
/// it the weakest device did.
#[test]
fn the_receipt_of_the_host_that_fenced_is_asked_for_and_counts() {
    let mut state = state("n2");
    assert_eq!(to_ask(&decided(&state), &state.here, &all()), [(name("n2.lab"), vec![name("n3.lab")])].into());
    assert_eq!(recorded(&state), (Grade::Bounded, None));
    take(&mut state.nodes[2], &name("n2.lab"), &[receipt("a-1", NOW - 6_000, Grade::Off)], Grade::Off, &all());
    assert_eq!(recorded(&state), (Grade::Off, Some(false)));
    assert!(to_ask(&decided(&state), &state.here, &all()).is_empty(), "it is known now");
}

/// An administrator sets a node offline, and another host than the master fences it then. The receipt on that host shows
/// that the node has no power, so that host is asked, by the master alone; and the answer is asked for until Ganeti's
/// record has it, or 3 minutes are over.
#[test]
fn the_power_of_a_node_that_is_offline_already_is_asked_for_too() {
    let mut state = state("n2");
    state.nodes[2].ganeti.offline = true;
    let asked = || BTreeMap::from([(name("n2.lab"), vec![name("n3.lab")])]);
    let later = |state: &ReconcileInput, s: u64| {
        let now = Timestamp { wall_ms: state.now.wall_ms + s * 1000, boottime_ms: state.now.boottime_ms + s * 1000 };
        ReconcileInput { now, ..state.clone() }
    };
    let again = |state: &ReconcileInput, memory| reconcile(state, &Settings::default(), memory);
    let of_n3 = |plan: &Plan| plan.decisions.iter().find(|of| of.node == name("n3.lab")).unwrap().decision.to_string();

    let plan = decided(&state);
    assert_eq!(to_ask(&plan, &state.here, &all()), asked(), "{}", of_n3(&plan));
    let silent = again(&later(&state, 60), plan.memory.clone());
    assert_eq!(to_ask(&silent, &state.here, &all()), asked(), "n2.lab did not answer: {}", of_n3(&silent));
    let still = again(&later(&state, 120), silent.memory.clone());
    assert_eq!(
        of_n3(&still),
        "nothing: it is recorded offline already; its power is asked for (a fence device, run by n2)"
    );
    let over = again(&later(&state, 181), still.memory.clone());
    assert!(to_ask(&over, &state.here, &all()).is_empty(), "{}", of_n3(&over));
    let changed = |changed_ms| {
        let mut state = later(&state, 70);
        state.nodes[2].changed_ms = Some(changed_ms);
        to_ask(&again(&state, silent.memory.clone()), &state.here, &all())
    };
    assert_eq!(changed(NOW), asked(), "the record was written before the fencing, as far as two clocks show");
    assert!(changed(NOW + 61_000).is_empty(), "the administrator has the last word");
    assert!(to_ask(&again(&later(&state, 200), silent.memory.clone()), &state.here, &all()).is_empty(), "not watched");
    // A fencing of long ago shows nothing of today's power, wherever it is seen first.
    assert!(to_ask(&decided(&later(&state, 601)), &state.here, &all()).is_empty());
    let elsewhere = ReconcileInput { here: name("n2.lab"), ..state.clone() };
    assert!(to_ask(&decided(&elsewhere), &name("n1.lab"), &all()).is_empty(), "n2.lab is not the master");

    take(&mut state.nodes[2], &name("n2.lab"), &[receipt("a-1", NOW - 6_000, Grade::Off)], Grade::Off, &all());
    let received = again(&later(&state, 70), silent.memory);
    assert_eq!(of_n3(&received), "power, powered=no: off (bmc, as n2.lab reports, receipt a-1)");
    // Its job may fail. The decision stays until the record has the flag.
    let failed = again(&later(&state, 80), received.memory.clone());
    assert_eq!(of_n3(&failed), of_n3(&received));
    let mut written = later(&state, 70);
    written.nodes[2].changed_ms = Some(NOW + 61_000);
    assert_eq!(
        of_n3(&decided(&written)),
        "nothing: it is recorded offline already",
        "since the fencing, and not by it"
    );
    state.nodes[2].ganeti.powered = false;
    let read_back = again(&later(&state, 90), failed.memory);
    assert_eq!(of_n3(&read_back), "nothing: it is recorded offline already");
    // From now on the flag is the administrator's.
    state.nodes[2].ganeti.powered = true;
    assert_eq!(of_n3(&again(&later(&state, 100), read_back.memory.clone())), of_n3(&read_back));
}

/// The dead node itself is not asked, nor this host, a host outside Ganeti, or a name that may mean two nodes.
#[test]
fn no_other_is_asked() {
    for delegate in ["n1", "n3", "n9", "n3.lab"] {
        let state = state(delegate);
        assert!(to_ask(&decided(&state), &state.here, &all()).is_empty(), "{delegate}");
    }
    let two = ["n1.lab", "n2.lab", "n2.other", "n3.lab"].map(name);
    assert!(to_ask(&decided(&state("n2")), &name("n1.lab"), &two).is_empty());
}

/// A host's receipt counts for its own fencing of the node in question, with at most the grade that the devices of that
/// node give.
#[test]
fn a_peers_receipt_is_believed_within_limits() {
    let off = || receipt("a-1", NOW - 6_000, Grade::Off);
    let weakest = (Grade::Bounded, None);
    for (host, sent, most, expected) in [
        ("n2.lab", off(), Grade::Bounded, weakest),
        ("n2.lab", off(), Grade::Isolated, (Grade::Unknown, None)),
        // Another host than the one that Pacemaker names as delegate.
        ("n1.lab", off(), Grade::Off, weakest),
        ("n2.lab", PowerReceipt { ended_ms: NOW - 5_000 - SAME_MS - 1, ..off() }, Grade::Off, weakest),
        ("n2.lab", PowerReceipt { by_fencer: false, ..off() }, Grade::Off, weakest),
        ("n2.lab", PowerReceipt { outcome: Outcome::Unknown, ..off() }, Grade::Off, weakest),
        ("n2.lab", off(), Grade::Unknown, weakest),
    ] {
        let mut state = state("n2");
        take(&mut state.nodes[2], &name(host), std::slice::from_ref(&sent), most, &all());
        if expected.0 == Grade::Unknown {
            assert!(state.nodes[2].receipts.iter().all(|receipt| receipt.grade <= most));
            continue;
        }
        assert_eq!(recorded(&state), expected, "{host} {sent:?} {most}");
    }
    // If Pacemaker cannot have used a `fence_ganeti` device, the receipt is not of its fencing.
    let mut state = state("n2");
    state.nodes[2].options = FencingOptions::of_kinds(&[&[crate::core::fence_agents::FenceDeviceKind::Fabric]]);
    take(&mut state.nodes[2], &name("n2.lab"), &[off()], Grade::Off, &all());
    assert!(state.nodes[2].receipts.is_empty());
    // A fencing gets one receipt: the nearest.
    let mut state = self::state("n2");
    let sent = [receipt("a-1", NOW - 40_000, Grade::Off), receipt("a-2", NOW - 6_000, Grade::Bounded)];
    take(&mut state.nodes[2], &name("n2.lab"), &sent, Grade::Off, &all());
    assert_eq!(state.nodes[2].receipts.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["a-2"]);
}

/// The highest grade that a node's devices give comes from this host's own configuration.
#[test]
fn the_most_that_a_receipt_may_say_is_of_our_own_configuration() {
    let config = |levels: &str| {
        let text = format!(
            "[devices.bmc]\ndriver = \"ipmi\"\naddress = \"{{short}}-bmc\"\nusername = \"u\"\npassword_file = \"/p\"\n\
             [devices.shun]\ndriver = \"shun\"\n[default]\nlevels = {levels}\n"
        );
        Config::parse(&text, Path::new("config.toml")).unwrap()
    };
    let ours = node("n3.lab", vec![]).ganeti;
    for (levels, expected) in [
        ("[[\"bmc\"]]", Grade::Off),
        ("[[\"shun\"]]", Grade::Bounded),
        ("[[\"bmc\", \"shun\"]]", Grade::Bounded),
        ("[[\"shun\"], [\"bmc\"]]", Grade::Off),
    ] {
        assert_eq!(most(&ours, Some(&config(levels))), expected, "{levels}");
    }
    assert_eq!(most(&ours, None), Grade::Unknown);
    let own_word = Node { oob_program: Some("/usr/local/sbin/theirs".into()), ..ours };
    assert_eq!(most(&own_word, None), Grade::Off);
}

/// The un-drain job removes the flag before the tag. A reconciliation between the two does not take that for an
/// administrator's change, and a node that leaves again at once is drained again.
#[test]
fn who_leaves_again_during_our_undrain_is_drained_again() {
    let run = |member, drained, drained_by_us, memory| {
        let mut state = state("n1.lab");
        let ganeti = Node { drained, ..node("n3.lab", vec![]).ganeti };
        state.nodes[2] = NodeState { ganeti, member, drained_by_us, ..node("n3.lab", vec![]) };
        let plan = reconcile(&state, &Settings::default(), memory);
        let of = plan.decisions.iter().find(|entry| entry.node == name("n3.lab")).map(|entry| &entry.decision);
        (of.cloned(), plan.memory)
    };
    let (first, memory) = run(Membership::Online, true, true, Memory::default());
    assert_eq!(first, Some(Decision::UnDrain));
    let (half, memory) = run(Membership::Online, false, true, memory);
    assert_eq!(half, Some(Decision::ForgetDrain));
    let (again, memory) = run(Membership::Standby, false, false, memory);
    assert!(matches!(again, Some(Decision::Drain { .. })), "{again:?}");
    // A drain that an administrator undid while the node was away stays undone until the node is back.
    let (undone, memory) = run(Membership::Standby, false, true, memory);
    assert_eq!(undone, Some(Decision::ForgetDrain));
    let (left, _) = run(Membership::Standby, false, false, memory);
    assert!(!matches!(left, Some(Decision::Drain { .. })), "{left:?}");
}

/// An action that left no receipt may have switched the node on since it began. It counts on this host only: other
/// hosts are sent receipts alone.
#[test]
fn what_left_no_receipt_is_remembered_here_and_reported_to_no_node() {
    let intent = Intent { action: Action::On, at: Timestamp { wall_ms: NOW, boottime_ms: 1 }, ..intent("a", "n3.lab") };
    let actions = join_entries(vec![LogEntry::Intent(intent)], None);
    let own = PowerReceipt::all_of(&actions, &name("n3.lab"), &all());
    let proven_by = "nothing".to_owned();
    let begun =
        PowerReceipt { action: Action::On, outcome: Outcome::Unknown, proven_by, ..receipt("a", NOW, Grade::Unknown) };
    assert_eq!(own, [PowerReceipt { unfinished: true, ..begun }]);
    assert!(reported(&actions, &[name("n3.lab")], &all())[&name("n3.lab")].is_empty());
}
