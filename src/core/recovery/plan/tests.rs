//! Tests the plan: what is placed and started, in which order, and what an administrator or another job changes.

use super::*;
use crate::core::grade::Grade;
use crate::core::pause::Pause;
use crate::core::recovery::allocator::{AllocatorError, HailAnswer};
use crate::core::recovery::freshness::DrbdSightings;
use crate::core::recovery::instance_breaker::InstanceLimits;
use crate::core::recovery::not_recovered::NodeObjection;
use crate::core::recovery::report::RunningReport;
use crate::core::recovery::state::{DeathProof, RecoveryNode, Suspicion};
use crate::core::recovery::template::DiskTemplate;

mod guards;
mod starts;
mod unreadable;

const NOW: u64 = 1_700_000_000_000;

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn vm(text: &str) -> InstanceName {
    InstanceName::new(text).unwrap()
}

fn node(text: &str) -> RecoveryNode {
    RecoveryNode {
        name: name(text),
        group: "default".to_owned(),
        record: NodeRecord::Online,
        recorded_ms: None,
        version: None,
        drained: false,
        vm_capable: true,
        proof: None,
        runs_again: false,
        suspicion: None,
        running: BTreeSet::new().into(),
    }
}

fn dead(text: &str) -> RecoveryNode {
    let proof = DeathProof { grade: Grade::Off, at_ms: NOW - 5_000, lost_ms: Some(NOW - 9_000), is_of_record: true };
    RecoveryNode { record: NodeRecord::Offline, proof: Some(proof), running: RunningReport::default(), ..node(text) }
}

fn instance(text: &str, template: &str) -> Instance {
    let secondaries = if template == "drbd" { vec![name("n2")] } else { Vec::new() };
    Instance {
        name: vm(text),
        admin_state: AdminState::Up,
        primary: name("n3"),
        secondaries,
        template: DiskTemplate::parse(template),
        tags: Vec::new(),
    }
}

/// n3 is dead and recorded, n1, n2 and n4 live, and the cluster's tag permits failovers.
fn input(instances: Vec<Instance>) -> RecoveryInput {
    RecoveryInput {
        now_ms: NOW,
        stack_started_ms: NOW - 10_000_000,
        is_master: true,
        quorum: true,
        maintenance: false,
        pause: None,
        node_breaker: None,
        instance_breaker: InstanceBreaker::default(),
        is_on: true,
        cluster_tags: vec!["ganeti:watcher:autorepair:failover".to_owned()],
        group_tags: BTreeMap::new(),
        nodes: vec![node("n1"), node("n2"), dead("n3"), node("n4")],
        instances,
        unreadable: Vec::new(),
        jobs: Vec::new(),
        unconfirmed: BTreeSet::new(),
        drbd: BTreeMap::new(),
        allocator: AllocatorState::NotAsked,
    }
}

fn one() -> RecoveryInput {
    input(vec![instance("web", "rbd")])
}

fn decided(input: &RecoveryInput) -> RecoveryPlan {
    plan(input, &RecoverySettings::default())
}

/// The node of the only start.
fn start_node_of(input: &RecoveryInput) -> StartNode {
    let plan = decided(input);
    assert_eq!(plan.not_recovered, [], "no start");
    assert_eq!(plan.starts.len(), 1);
    plan.starts[0].on.clone()
}

/// The reason why the only instance is not started.
fn reason(input: &RecoveryInput) -> NotRecovered {
    let plan = decided(input);
    assert_eq!((&plan.starts, &plan.under_way), (&Vec::new(), &Vec::new()));
    assert_eq!(plan.not_recovered.len(), 1);
    assert!(!plan.not_recovered[0].1.to_string().is_empty());
    plan.not_recovered[0].1.clone()
}

fn job(id: u64, kind: JobKind, status: JobStatus, instance: &str, to: Option<&str>) -> InstanceJob {
    InstanceJob {
        id,
        status,
        kind,
        operation: "OP_X".to_owned(),
        instances: [vm(instance)].into(),
        of_node: None,
        new_primary: to.map(name),
        received_ms: NOW - 4_000,
        ended_ms: (!status.is_unfinished()).then_some(NOW - 1_000),
        error: (status == JobStatus::Failed).then(|| "no bridge".to_owned()),
        interrupted: false,
    }
}

fn answered(moved: &[(&str, &str)], failed: &[(&str, &str)]) -> AllocatorState {
    AllocatorState::Answered(HailAnswer {
        moved: moved.iter().map(|(instance, node)| (vm(instance), name(node))).collect(),
        failed: failed.iter().map(|(instance, why)| (vm(instance), (*why).to_owned())).collect(),
    })
}

#[test]
fn an_instance_of_a_dead_host_is_placed_and_started() {
    let mut state = one();
    assert_eq!(start_node_of(&state), StartNode::AskAllocator);
    assert_eq!(
        decided(&state).to_allocate(),
        [AllocatorRequest { instances: vec![vm("web")], not_on: BTreeSet::new() }]
    );
    state.allocator = answered(&[("web", "n4")], &[]);
    assert_eq!(start_node_of(&state), StartNode::Allocated(name("n4")));
    assert_eq!(decided(&state), decided(&state));
}

/// Instances of nodes that are online, and those that the administrator has stopped, are no matter of recovery: they
/// are not even reported.
#[test]
fn what_was_stopped_by_hand_stays_stopped() {
    for admin_state in [AdminState::Down, AdminState::Offline] {
        let state = input(vec![Instance { admin_state, ..instance("web", "rbd") }]);
        let plan = decided(&state);
        assert!(plan.starts.is_empty() && plan.not_recovered.is_empty(), "{admin_state:?}");
    }
    let state = input(vec![Instance { primary: name("n1"), ..instance("web", "rbd") }]);
    assert!(decided(&state).starts.is_empty() && decided(&state).not_recovered.is_empty());
}

/// A submitted start whose instance was stopped meanwhile is called back before it begins.
#[test]
fn a_stop_cancels_a_start_that_has_not_begun() {
    let mut state = input(vec![Instance { admin_state: AdminState::Down, ..instance("web", "rbd") }]);
    state.jobs = vec![job(7, JobKind::OwnStart, JobStatus::NotBegun, "web", Some("n4"))];
    assert_eq!(decided(&state).cancel, [Cancel { job: 7, instance: vm("web"), why: CancelReason::Stopped }]);
    state.jobs[0].status = JobStatus::Running;
    assert_eq!(decided(&state).cancel, []);
}

#[test]
fn a_readmission_cancels_what_has_not_begun() {
    let mut state = one();
    state.jobs = vec![job(7, JobKind::OwnStart, JobStatus::NotBegun, "web", Some("n4"))];
    assert_eq!(decided(&state).under_way[0].job, 7);
    state.nodes[2] = node("n3");
    let plan = decided(&state);
    assert_eq!(plan.cancel, [Cancel { job: 7, instance: vm("web"), why: CancelReason::PrimaryOnline }]);
    // Another host than the master cancels nothing, and neither does one without quorum.
    let changes: [fn(&mut RecoveryInput); 2] = [|state| state.is_master = false, |state| state.quorum = false];
    for change in changes {
        let mut state = state.clone();
        change(&mut state);
        assert_eq!(decided(&state).cancel, []);
    }
}

/// The job that records the node has ended well, and the record that was read back says online: nothing starts.
#[test]
fn the_record_is_read_back_and_not_believed_from_the_job() {
    let mut state = one();
    state.nodes[2].record = NodeRecord::BeingRecorded;
    assert!(decided(&state).starts[0].after_record);
    state.nodes[2].record = NodeRecord::Offline;
    assert!(!decided(&state).starts[0].after_record);
    state.nodes[2].record = NodeRecord::Online;
    assert!(decided(&state).starts.is_empty());
}

#[test]
fn a_job_of_another_program_is_waited_for() {
    let mut state = one();
    state.jobs = vec![job(9, JobKind::Other, JobStatus::Running, "web", None)];
    assert_eq!(reason(&state), NotRecovered::OtherJob { job: 9, operation: "OP_X".to_owned() });
    state.jobs[0].status = JobStatus::Success;
    assert_eq!(start_node_of(&state), StartNode::AskAllocator);
    state.jobs = vec![InstanceJob { of_node: Some(name("n3")), instances: BTreeSet::new(), ..state.jobs[0].clone() }];
    state.jobs[0].status = JobStatus::NotBegun;
    assert!(matches!(reason(&state), NotRecovered::OtherJob { .. }), "an evacuation of its host");
}

/// The host died in the middle of a migration: the instance may run on any node that has not reported.
#[test]
fn a_migrated_instance_is_searched_on_every_node() {
    let mut state = one();
    state.jobs = vec![job(9, JobKind::Migration, JobStatus::Failed, "web", Some("n4"))];
    state.nodes[3].running = RunningReport::default();
    assert_eq!(reason(&state), NotRecovered::Migrated { job: 9, silent: vec![name("n4")] });
    state.nodes[3].running = RunningReport::from(BTreeSet::from([vm("web")]));
    assert_eq!(reason(&state), NotRecovered::Runs(name("n4")));
    state.nodes[3].running = RunningReport::from(BTreeSet::new());
    assert_eq!(start_node_of(&state), StartNode::AskAllocator);
    // A dead host cannot report, and needs not.
    state.nodes[3] = dead("n4");
    assert_eq!(start_node_of(&state), StartNode::AskAllocator);
    // A migration of yesterday does not matter.
    state.nodes[3] = RecoveryNode { running: RunningReport::default(), ..node("n4") };
    state.jobs[0].ended_ms = Some(NOW - 86_400_000);
    assert_eq!(start_node_of(&state), StartNode::AskAllocator);
}

/// The master starts the instance on n4, and dies before its changed record has reached the next master. noded on n4
/// hangs. A failover or a move by an administrator is the same.
#[test]
fn an_instance_that_was_started_elsewhere_is_searched_there() {
    let mut state = one();
    state.nodes[3].running = RunningReport::default();
    let mut started = job(7, JobKind::OwnStart, JobStatus::Failed, "web", Some("n4"));
    (started.interrupted, started.error) = (true, None);
    let ended = job(7, JobKind::OwnStart, JobStatus::Success, "web", Some("n4"));
    let moved = job(7, JobKind::Move, JobStatus::Failed, "web", Some("n4"));
    for job in [started.clone(), ended, moved.clone()] {
        state.jobs = vec![job];
        assert_eq!(reason(&state), NotRecovered::Migrated { job: 7, silent: vec![name("n4")] });
    }
    // Another node than the target does not matter; without a target, each is.
    state.jobs = vec![InstanceJob { new_primary: Some(name("n2")), ..started.clone() }];
    assert_eq!(start_node_of(&state), StartNode::AskAllocator);
    state.jobs = vec![InstanceJob { new_primary: None, ..moved }];
    assert!(matches!(reason(&state), NotRecovered::Migrated { .. }));
    // A job that has not begun has moved nothing.
    state.jobs = vec![InstanceJob { status: JobStatus::Cancelled, ..started }];
    assert_eq!(start_node_of(&state), StartNode::AskAllocator);
}

#[test]
fn without_room_or_allocator_the_instance_is_named_with_the_reason() {
    let mut state = input(vec![instance("db", "drbd"), instance("web", "rbd")]);
    state.drbd.insert(vm("db"), DrbdSightings { fresh_ms: Some(NOW - 10_000), stale_ms: None });
    state.allocator = answered(&[("db", "n2")], &[("web", "FailMem")]);
    let plan = decided(&state);
    assert_eq!(plan.not_recovered, [(vm("web"), NotRecovered::NoRoom("FailMem".to_owned()))]);
    state.allocator = AllocatorState::Failed(AllocatorError::Missing);
    let plan = decided(&state);
    assert_eq!(plan.not_recovered, [(vm("web"), NotRecovered::NotAllocated(AllocatorError::Missing))]);
    assert_eq!(plan.starts[0].on, StartNode::Secondary(name("n2")), "DRBD needs no allocator");
    state.allocator = answered(&[("web", "n4")], &[("db", "FailMem")]);
    assert_eq!(decided(&state).not_recovered[0].0, vm("db"), "its secondary has no room");
}

#[test]
fn the_order_is_the_priority_and_then_the_name() {
    let with = |text: &str, priority: &str| Instance {
        tags: vec![format!("ocf:recover:priority:{priority}")],
        ..instance(text, "rbd")
    };
    let state = input(vec![with("a", "1"), instance("b", "rbd"), with("c", "900"), with("d", "high"), with("e", "1")]);
    let plan = decided(&state);
    let order: Vec<&str> = plan.starts.iter().map(|start| start.instance.as_str()).collect();
    assert_eq!(order, ["c", "a", "e", "b", "d"]);
    assert_eq!(plan.bad_priorities[0].0, vm("d"));
    assert_eq!(plan.to_allocate()[0].instances[0], vm("c"));
    assert!(plan.starts.iter().all(|start| start.starts_per_host == 4));
}

#[test]
fn too_many_instances_at_once_open_the_breaker_for_all() {
    let all = |count: usize| (0..count).map(|number| instance(&format!("i{number}"), "rbd")).collect();
    let settings =
        RecoverySettings { limits: InstanceLimits { instances: 3, percent: 10 }, ..RecoverySettings::default() };
    assert_eq!(plan(&input(all(3)), &settings).starts.len(), 3);
    let mut state = input(all(4));
    let opened = plan(&state, &settings);
    assert_eq!((opened.starts.len(), opened.not_recovered.len()), (0, 4));
    assert_eq!(opened.not_recovered[0].1, NotRecovered::InstanceBreaker { blocked: 4, limit: 3 });
    // A pause does not forget what the administrator has released.
    state.instance_breaker = opened.breaker.reset();
    state.pause = Pause::new("a fan", "root", 1).ok();
    state.instance_breaker = plan(&state, &settings).breaker;
    state.pause = None;
    assert_eq!(plan(&state, &settings).starts.len(), 4);
}

/// A big cluster: a host of 200 dies, with 20 of 4,000 instances.
#[test]
fn a_host_of_200_with_4000_instances() {
    let mut state = input(Vec::new());
    state.nodes = (0..200).map(|number| node(&format!("n{number}"))).collect();
    state.nodes[7] = dead("n7");
    for number in 0..4_000 {
        let home = number % 200;
        let made = Instance { primary: name(&format!("n{home}")), ..instance(&format!("i{number:04}"), "rbd") };
        if home != 7 {
            let mut running = state.nodes[home].running.complete().cloned().unwrap_or_default();
            running.insert(made.name.clone());
            state.nodes[home].running = running.into();
        }
        state.instances.push(made);
        state.jobs.push(job(number as u64, JobKind::Other, JobStatus::Success, &format!("i{number:04}"), None));
    }
    let plan = decided(&state);
    assert_eq!((plan.starts.len(), plan.not_recovered.len()), (20, 0));
    let moved = plan.starts.iter().map(|start| (start.instance.clone(), name("n8"))).collect();
    state.allocator = AllocatorState::Answered(HailAnswer { moved, failed: BTreeMap::new() });
    let placed = decided(&state);
    assert!(placed.starts.iter().all(|start| start.on == StartNode::Allocated(name("n8"))));
}
