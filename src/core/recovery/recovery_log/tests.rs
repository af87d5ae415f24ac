//! Tests the course of instances after the death of their host.

use super::*;
use crate::core::grade::Grade;
use crate::core::recovery::allocator::AllocatorState;
use crate::core::recovery::instance::{AdminState, Instance};
use crate::core::recovery::instance_breaker::InstanceBreaker;
use crate::core::recovery::not_recovered::NotRecovered;
use crate::core::recovery::plan::{Start, UnderWay};
use crate::core::recovery::priority::Priority;
use crate::core::recovery::report::RunningReport;
use crate::core::recovery::start_node::StartNode;
use crate::core::recovery::state::DeathProof;
use crate::core::recovery::template::DiskTemplate;

const NOW: u64 = 1_700_000_000_000;

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn vm(text: &str) -> InstanceName {
    InstanceName::new(text).unwrap()
}

fn node(text: &str, runs: &[&str]) -> RecoveryNode {
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
        running: runs.iter().map(|text| vm(text)).collect::<BTreeSet<_>>().into(),
    }
}

/// n3 died 9 s ago, and n2 runs these instances.
fn input(instances: &[&str], runs: &[&str]) -> RecoveryInput {
    let proof = DeathProof { grade: Grade::Off, at_ms: NOW - 5_000, lost_ms: Some(NOW - 9_000), is_of_record: true };
    let dead = RecoveryNode {
        record: NodeRecord::Offline,
        proof: Some(proof),
        running: RunningReport::default(),
        ..node("n3", &[])
    };
    let instance = |text: &&str| Instance {
        name: vm(text),
        admin_state: AdminState::Up,
        primary: name("n3"),
        secondaries: Vec::new(),
        template: DiskTemplate::parse("rbd"),
        tags: Vec::new(),
    };
    RecoveryInput {
        now_ms: NOW,
        stack_started_ms: 0,
        is_master: true,
        quorum: true,
        maintenance: false,
        pause: None,
        node_breaker: None,
        instance_breaker: InstanceBreaker::default(),
        is_on: true,
        cluster_tags: Vec::new(),
        group_tags: BTreeMap::new(),
        nodes: vec![node("n2", runs), dead],
        instances: instances.iter().map(instance).collect(),
        unreadable: Vec::new(),
        jobs: Vec::new(),
        unconfirmed: BTreeSet::new(),
        drbd: BTreeMap::new(),
        allocator: AllocatorState::NotAsked,
    }
}

fn nothing() -> RecoveryPlan {
    RecoveryPlan {
        starts: Vec::new(),
        under_way: Vec::new(),
        not_recovered: Vec::new(),
        cancel: Vec::new(),
        bad_priorities: Vec::new(),
        breaker: InstanceBreaker::default(),
    }
}

fn starts(text: &str) -> RecoveryPlan {
    let start = Start {
        instance: vm(text),
        off: name("n3"),
        on: StartNode::Allocated(name("n2")),
        priority: Priority::default(),
        after_record: false,
        moves_again: false,
        starts_per_host: 4,
        failed_on: BTreeSet::new(),
        off_version: None,
    };
    RecoveryPlan { starts: vec![start], ..nothing() }
}

fn under_way(text: &str) -> RecoveryPlan {
    RecoveryPlan { under_way: vec![UnderWay { instance: vm(text), job: 50, on: Some(name("n2")) }], ..nothing() }
}

fn not(text: &str, why: NotRecovered) -> RecoveryPlan {
    RecoveryPlan { not_recovered: vec![(vm(text), why)], ..nothing() }
}

fn job() -> BTreeMap<InstanceName, u64> {
    [(vm("web"), 50)].into()
}

fn lines(course: &InstanceCourse) -> Vec<String> {
    let line = |step: ActionStep| format!("{} {}: {}: {}", step.at_ms, step.actor, step.request, step.response);
    course.steps(NOW - 9_000).into_iter().map(line).collect()
}

#[test]
fn an_instance_has_a_step_for_its_start_and_one_for_its_first_sight() {
    let (mut log, none) = (RecoveryLog::default(), BTreeMap::new());
    assert!(log.note(&input(&["web"], &[]), &starts("web"), &job(), NOW));
    assert!(!log.note(&input(&["web"], &[]), &under_way("web"), &none, NOW + 1_000), "the same job");
    assert!(log.note(&input(&["web"], &["web"]), &under_way("web"), &none, NOW + 2_000));
    assert!(!log.instances[0].is_over, "the job may fail");
    assert!(log.note(&input(&["web"], &["web"]), &nothing(), &none, NOW + 3_000));
    assert_eq!(
        lines(&log.instances[0]),
        ["9000 recovery: web: start on n2: job 50 is submitted", "11000 recovery: web: seen running on n2"]
    );
    assert!(log.instances[0].is_over);
    assert_eq!(log.recovery_ms(), [(name("n3"), 11_000)].into());
    assert!(!log.note(&input(&["web"], &[]), &nothing(), &none, NOW + 9_000));
}

/// Another master has submitted the start. The queue has the time of it.
#[test]
fn a_new_master_notes_the_starts_of_the_last_one() {
    let mut log = RecoveryLog::default();
    assert!(log.note(&input(&["web"], &[]), &under_way("web"), &BTreeMap::new(), NOW));
    assert_eq!(lines(&log.instances[0]), ["9000 recovery: web: start on n2: job 50 is submitted"]);
}

#[test]
fn a_reason_is_kept_from_when_it_was_found_first() {
    let (mut log, none) = (RecoveryLog::default(), BTreeMap::new());
    let state = input(&["web"], &[]);
    log.note(&state, &not("web", NotRecovered::StartUp { left_ms: 9_000 }), &none, NOW);
    assert!(!log.note(&state, &not("web", NotRecovered::StartUp { left_ms: 2_000 }), &none, NOW + 7_000));
    log.note(&state, &not("web", NotRecovered::NoQuorum), &none, NOW + 9_000);
    assert_eq!(lines(&log.instances[0]), ["18000 recovery: web: not started: Pacemaker has no quorum here"]);
    log.note(&state, &starts("web"), &job(), NOW + 10_000);
    assert_eq!(log.instances[0].not_started, None);
    // The job has ended, and no node reports the instance.
    log.note(&state, &nothing(), &none, NOW + 20_000);
    assert!(!log.instances[0].is_over);
    log.note(&state, &nothing(), &none, NOW + 10_000 + AWAITED_MS);
    assert_eq!(lines(&log.instances[0])[1], "619000 recovery: web: was not seen running");
}

/// A later death of the same host is another incident, also on a host that was not the master meanwhile.
#[test]
fn a_later_death_is_another_incident() {
    let (mut log, none) = (RecoveryLog::default(), BTreeMap::new());
    log.note(&input(&["web"], &[]), &not("web", NotRecovered::NoQuorum), &none, NOW);
    let mut later = input(&["web"], &[]);
    later.nodes[1].proof =
        Some(DeathProof { grade: Grade::Off, at_ms: NOW + 900_000, lost_ms: None, is_of_record: true });
    log.note(&later, &not("web", NotRecovered::NoQuorum), &none, NOW + 901_000);
    let begun: Vec<(u64, bool)> = log.instances.iter().map(|course| (course.since_ms, course.is_over)).collect();
    assert_eq!(begun, [(NOW, true), (NOW + 901_000, false)]);
}

/// An instance of a host that is online has no incident; and the log does not grow for ever.
#[test]
fn the_log_has_a_limit() {
    let (mut log, none) = (RecoveryLog::default(), BTreeMap::new());
    let mut online = input(&["web"], &[]);
    online.nodes[1].record = NodeRecord::Online;
    assert!(!log.note(&online, &not("web", NotRecovered::NoQuorum), &none, NOW));
    let names: Vec<String> = (0..LIMIT + 5).map(|number| format!("vm{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let all = names.iter().map(|text| (vm(text), NotRecovered::NoQuorum)).collect();
    log.note(&input(&names, &[]), &RecoveryPlan { not_recovered: all, ..nothing() }, &none, NOW);
    assert_eq!((log.instances.len(), log.instances[0].instance.clone()), (LIMIT, vm("vm5")));
    for number in 0..20 {
        let submitted = [(vm("vm9"), number)].into();
        log.note(&input(&["vm9"], &[]), &starts("vm9"), &submitted, NOW + number);
    }
    let course = log.instances.iter().find(|course| course.instance == vm("vm9")).unwrap();
    assert_eq!((course.starts.len(), course.starts[0].job), (STARTS, 0));
}
