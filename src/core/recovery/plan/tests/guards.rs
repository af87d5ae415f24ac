//! Tests the guards: the state of the whole cluster, the proof, permission, the disks, and the nodes.

use super::*;
use crate::core::breaker::OpenState;
use crate::core::recovery::freshness::NotFresh;
use crate::core::recovery::harep::HarepRepair;
use crate::core::recovery::permission::NotPermitted;
use crate::core::recovery::report::RunningReport;

#[test]
fn guards_of_the_whole_cluster_block_every_start() {
    let pause = Pause::new("a fan", "root", 1).unwrap();
    let open = OpenState { since_ms: 1, blocked: BTreeSet::new(), down: BTreeSet::new(), limit: 2 };
    type Change = Box<dyn Fn(&mut RecoveryInput)>;
    let (reason_pause, reason_open) = (pause.clone(), open.clone());
    let guards: Vec<(Change, NotRecovered)> = vec![
        (Box::new(|state| state.is_master = false), NotRecovered::NotMaster),
        (Box::new(|state| state.quorum = false), NotRecovered::NoQuorum),
        (Box::new(|state| state.maintenance = true), NotRecovered::Maintenance),
        (Box::new(move |state| state.pause = Some(pause.clone())), NotRecovered::Paused(reason_pause)),
        (Box::new(move |state| state.node_breaker = Some(open.clone())), NotRecovered::NodeBreaker(reason_open)),
    ];
    for (change, expected) in guards {
        let mut state = one();
        change(&mut state);
        assert_eq!(reason(&state), expected);
    }
}

/// A pause holds back what has not begun, too.
#[test]
fn a_pause_cancels_what_has_not_begun() {
    let mut state = one();
    state.pause = Pause::new("a fan", "root", 1).ok();
    state.jobs = vec![job(7, JobKind::OwnStart, JobStatus::NotBegun, "web", Some("n4"))];
    assert_eq!(decided(&state).cancel.len(), 1);
}

#[test]
fn the_grace_after_a_start_of_the_stack_holds_old_proofs() {
    let mut state = one();
    state.stack_started_ms = NOW - 1_000;
    assert_eq!(reason(&state), NotRecovered::StartUp { left_ms: 299_000 });
    state.stack_started_ms = NOW - 6_000;
    assert_eq!(start_node_of(&state), StartNode::AskAllocator, "the proof is of this start");
}

/// An isolated host still writes to storage outside the cluster.
#[test]
fn isolated_is_never_enough_for_storage_outside_the_cluster() {
    let isolated = |template: &str| {
        let mut state = input(vec![instance("web", template)]);
        if let Some(proof) = &mut state.nodes[2].proof {
            proof.grade = Grade::Isolated;
        }
        state.drbd.insert(vm("web"), DrbdSightings { fresh_ms: Some(NOW - 10_000), stale_ms: None });
        let weakest = RecoverySettings { least_grade: Grade::Unknown, ..RecoverySettings::default() };
        plan(&state, &weakest)
    };
    for template in ["sharedfile", "rbd", "ext", "gluster", "blockdev", "diskless"] {
        let expected = NotRecovered::Grade { grade: Grade::Isolated, least: Grade::Bounded };
        assert_eq!(isolated(template).not_recovered, [(vm("web"), expected)], "{template}");
    }
    assert_eq!(isolated("drbd").starts.len(), 1, "DRBD's traffic is dropped with the rest");
    let mut state = input(vec![instance("web", "drbd")]);
    if let Some(proof) = &mut state.nodes[2].proof {
        proof.grade = Grade::Unknown;
    }
    assert!(matches!(reason(&state), NotRecovered::Grade { grade: Grade::Unknown, .. }));
}

#[test]
fn nothing_starts_without_a_proof() {
    let mut state = one();
    state.nodes[2].proof = None;
    assert_eq!(reason(&state), NotRecovered::NoProof);
}

/// A host that is not shunned is believed.
#[test]
fn a_host_that_runs_again_has_to_report_what_it_runs() {
    let mut state = one();
    state.nodes[2].runs_again = true;
    assert_eq!(reason(&state), NotRecovered::HostRunsAgain);
    state.nodes[2].running = RunningReport::from(BTreeSet::new());
    assert_eq!(start_node_of(&state), StartNode::AskAllocator);
    state.nodes[2].running = RunningReport::from(BTreeSet::from([vm("web")]));
    assert_eq!(reason(&state), NotRecovered::Runs(name("n3")));
}

/// The host was fenced by a reboot and is back, shunned. What it says to run is not started elsewhere; that it does not run
/// an instance permits nothing, and what was submitted while it was gone goes on.
#[test]
fn a_shunned_host_only_prevents_starts() {
    let mut state = one();
    state.nodes[2].runs_again = true;
    state.nodes[2].running = RunningReport::new(Some(BTreeSet::new()), true);
    assert_eq!(reason(&state), NotRecovered::HostRunsAgain);
    state.jobs = vec![job(7, JobKind::OwnStart, JobStatus::NotBegun, "web", Some("n2"))];
    assert_eq!((decided(&state).cancel.len(), decided(&state).under_way.len()), (0, 1));
    state.nodes[2].running = RunningReport::new(Some([vm("web")].into()), true);
    let why = CancelReason::NotRecovered(NotRecovered::Runs(name("n3")));
    assert_eq!(decided(&state).cancel, [Cancel { job: 7, instance: vm("web"), why }]);
}

/// Pacemaker wants the host fenced again: what was proven before it ran again is over.
#[test]
fn a_host_that_is_to_be_fenced_is_not_gone() {
    for why in [Suspicion::Unclean, Suspicion::FencingPending] {
        let mut state = one();
        state.nodes[2].suspicion = Some(why);
        assert_eq!(reason(&state), NotRecovered::HostSuspect(why));
    }
}

#[test]
fn an_instance_that_runs_anywhere_is_not_started() {
    let mut state = one();
    state.nodes[3].running = RunningReport::from(BTreeSet::from([vm("web")]));
    assert_eq!(reason(&state), NotRecovered::Runs(name("n4")));
}

/// Clusters with the tags for harep have not asked gnt-ha to start anything. What is submitted when an administrator
/// switches recovery off does not begin.
#[test]
fn without_the_tag_of_the_cluster_nothing_starts() {
    let mut state = one();
    state.is_on = false;
    let made = plan(&state, &RecoverySettings::default());
    assert_eq!((made.starts.len(), made.not_recovered), (0, Vec::new()));
    state.jobs = vec![job(7, JobKind::OwnStart, JobStatus::NotBegun, "web", Some("n2"))];
    let made = plan(&state, &RecoverySettings::default());
    assert_eq!(made.cancel.iter().map(|cancel| cancel.job).collect::<Vec<_>>(), [7]);
}

#[test]
fn permission_comes_from_the_nearest_tags() {
    let mut state = one();
    state.cluster_tags.clear();
    assert_eq!(reason(&state), NotRecovered::NotPermitted(NotPermitted::NoTag));
    state.group_tags.insert("default".to_owned(), vec!["ganeti:watcher:autorepair:failover".to_owned()]);
    assert_eq!(start_node_of(&state), StartNode::AskAllocator);
    state.instances[0].tags = vec!["ganeti:watcher:autorepair:suspend".to_owned()];
    assert!(matches!(reason(&state), NotRecovered::NotPermitted(NotPermitted::Suspended { .. })));
}

#[test]
fn a_repair_of_harep_keeps_gnt_ha_away() {
    let mut state = one();
    state.instances[0].tags = vec!["ganeti:watcher:autorepair:pending:failover:u:1700000000:12".to_owned()];
    assert!(matches!(reason(&state), NotRecovered::Harep(HarepRepair::Pending { .. })));
}

#[test]
fn disks_of_one_host_do_not_move() {
    for template in ["plain", "file"] {
        let state = input(vec![instance("web", template)]);
        assert_eq!(reason(&state), NotRecovered::NotMovable(DiskTemplate::parse(template)));
    }
    let mixed = input(vec![instance("web", "mixed")]);
    assert_eq!(reason(&mixed), NotRecovered::UnknownTemplate(DiskTemplate::parse("mixed")));
}

#[test]
fn drbd_starts_on_its_secondary_if_that_was_fresh() {
    let mut state = input(vec![instance("web", "drbd")]);
    assert_eq!(reason(&state), NotRecovered::NotFresh(NotFresh::NeverSeen));
    let seen = |fresh_ms, stale_ms| DrbdSightings { fresh_ms: Some(fresh_ms), stale_ms };
    state.drbd.insert(vm("web"), seen(NOW - 14_000, None));
    assert_eq!(start_node_of(&state), StartNode::Secondary(name("n2")));
    assert_eq!(decided(&state).to_allocate(), [], "Ganeti knows its place");
    state.drbd.insert(vm("web"), seen(NOW - 14_000, Some(NOW - 10_000)));
    assert_eq!(reason(&state), NotRecovered::NotFresh(NotFresh::Stale { before_death_ms: 1_000 }));
    state.drbd.insert(vm("web"), seen(NOW - 70_000, None));
    assert!(matches!(reason(&state), NotRecovered::NotFresh(NotFresh::TooOld { age_ms: 61_000, .. })));
    state.instances[0].secondaries.clear();
    assert_eq!(reason(&state), NotRecovered::Secondaries(0));
}

#[test]
fn nothing_starts_on_a_suspect_or_unusable_node() {
    type Change = fn(&mut RecoveryNode);
    let unusable: [(Change, NodeObjection); 7] = [
        (|node| node.suspicion = Some(Suspicion::Lost), NodeObjection::Suspect(Suspicion::Lost)),
        (|node| node.suspicion = Some(Suspicion::Unclean), NodeObjection::Suspect(Suspicion::Unclean)),
        (|node| node.suspicion = Some(Suspicion::Shunned), NodeObjection::Suspect(Suspicion::Shunned)),
        (|node| node.suspicion = Some(Suspicion::FencingPending), NodeObjection::Suspect(Suspicion::FencingPending)),
        (|node| node.drained = true, NodeObjection::Drained),
        (|node| node.vm_capable = false, NodeObjection::NotVmCapable),
        (|node| node.record = NodeRecord::Offline, NodeObjection::Offline),
    ];
    for (change, why) in unusable {
        let mut state = input(vec![instance("web", "drbd")]);
        state.drbd.insert(vm("web"), DrbdSightings { fresh_ms: Some(NOW - 10_000), stale_ms: None });
        change(&mut state.nodes[1]);
        let expected = NotRecovered::Unfit { node: name("n2"), why };
        assert_eq!(reason(&state), expected);
        // The same node chosen by the allocator, and in a job that has not begun.
        let mut state = one();
        change(&mut state.nodes[1]);
        state.allocator = answered(&[("web", "n2")], &[]);
        assert_eq!(reason(&state), expected);
        state.jobs = vec![job(7, JobKind::OwnStart, JobStatus::NotBegun, "web", Some("n2"))];
        let why = CancelReason::NotRecovered(expected);
        assert_eq!(decided(&state).cancel, [Cancel { job: 7, instance: vm("web"), why }]);
    }
}
