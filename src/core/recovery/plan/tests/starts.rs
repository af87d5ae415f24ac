//! Tests starts that were submitted: which one goes on, is cancelled, has failed, and is tried again.

use super::*;

#[test]
fn a_submitted_start_is_not_submitted_again() {
    let mut state = one();
    for status in [JobStatus::NotBegun, JobStatus::Running] {
        state.jobs = vec![job(7, JobKind::OwnStart, status, "web", Some("n4"))];
        let plan = decided(&state);
        let under_way = UnderWay { instance: vm("web"), job: 7, on: Some(name("n4")) };
        assert_eq!((plan.starts.as_slice(), plan.under_way.as_slice()), (&[][..], &[under_way][..]));
        assert_eq!(plan.being_started()[&vm("web")], name("n4"));
    }
}

/// luxid may still accept a start that the queue does not show, and a second one would be a duplicate.
#[test]
fn a_start_that_is_not_confirmed_is_not_submitted_again() {
    let mut state = one();
    state.unconfirmed = [vm("web")].into();
    assert_eq!(reason(&state), NotRecovered::Unconfirmed);
    state.jobs = vec![job(7, JobKind::OwnStart, JobStatus::NotBegun, "web", Some("n4"))];
    assert_eq!(decided(&state).under_way[0].job, 7, "the queue shows it");
}

/// Of two submitted starts one goes on: the one that runs, or else the older one.
#[test]
fn a_duplicate_is_cancelled() {
    let mut state = one();
    state.jobs = [7, 8].map(|id| job(id, JobKind::OwnStart, JobStatus::NotBegun, "web", Some("n4"))).into();
    let cancelled = |state: &RecoveryInput| -> Vec<(u64, CancelReason)> {
        decided(state).cancel.into_iter().map(|cancel| (cancel.job, cancel.why)).collect()
    };
    assert_eq!(cancelled(&state), [(8, CancelReason::Duplicate)]);
    state.jobs[1].status = JobStatus::Running;
    assert_eq!(cancelled(&state), [(7, CancelReason::Duplicate)]);
    assert_eq!(decided(&state).under_way[0].job, 8);
}

/// The record still has the dead host: the change of the primary node failed. Then the job that moved it failed to
/// start it. Both count, and the third time it is only reported.
#[test]
fn a_failed_start_is_tried_elsewhere_once() {
    let mut state = one();
    state.jobs = vec![job(7, JobKind::OwnStart, JobStatus::Failed, "web", Some("n4"))];
    let asked = decided(&state).to_allocate();
    assert_eq!(asked, [AllocatorRequest { instances: vec![vm("web")], not_on: [name("n4")].into() }]);
    state.allocator = answered(&[("web", "n4")], &[]);
    assert_eq!(reason(&state), NotRecovered::Unfit { node: name("n4"), why: NodeObjection::FailedThere });
    state.allocator = answered(&[("web", "n2")], &[]);
    assert_eq!(start_node_of(&state), StartNode::Allocated(name("n2")));
    // It was moved to n4, and the start failed there.
    state.instances[0].primary = name("n4");
    assert_eq!(start_node_of(&state), StartNode::Allocated(name("n2")));
    state.nodes[3].suspicion = Some(Suspicion::Lost);
    assert!(matches!(reason(&state), NotRecovered::Unfit { .. }), "it may run on n4 after all");
    state.nodes[3].suspicion = None;
    state.nodes[3].running = RunningReport::default();
    assert_eq!(reason(&state), NotRecovered::MovedToSilent(name("n4")));
    // The second start failed, too.
    state.nodes[3].running = RunningReport::from(BTreeSet::new());
    state.instances[0].primary = name("n2");
    state.jobs.push(job(8, JobKind::OwnStart, JobStatus::Failed, "web", Some("n2")));
    let error = "no bridge".to_owned();
    assert_eq!(reason(&state), NotRecovered::Failed { attempts: 2, job: 8, error, host_is_offline: false });
    assert!(reason(&state).to_string().ends_with("(gnt-instance startup INSTANCE)"));
    state.instances[0].primary = name("n3");
    assert!(reason(&state).to_string().ends_with("(gnt-instance failover INSTANCE)"), "its node is offline");
}

/// The record fails each time, or gnt-ha's own hook stops the start: it was not attempted, and the next start waits.
#[test]
fn a_refused_start_is_tried_again_after_a_wait() {
    use crate::core::recovery::queue::STOPPED_BY_HOOK;
    let refused = |id: u64, error: &str, age_ms: u64| InstanceJob {
        error: Some(error.to_owned()),
        ended_ms: Some(NOW - age_ms),
        ..job(id, JobKind::OwnStart, JobStatus::Failed, "web", Some("n4"))
    };
    let dependency = "Dependency job 1 finished with status 'error', not one of 'success' as required";
    let (early, unknown) = (format!("n4.lab: wait {STOPPED_BY_HOOK}"), format!("web: luxid {STOPPED_BY_HOOK}"));
    for error in [dependency, &early, &unknown] {
        let mut state = one();
        state.jobs = vec![refused(7, error, 4_000)];
        let error = error.to_owned();
        assert_eq!(reason(&state), NotRecovered::Refused { job: 7, error: error.clone(), left_ms: 6_000 });
        state.jobs = vec![refused(7, &error, 10_000)];
        assert_eq!(start_node_of(&state), StartNode::AskAllocator);
        assert!(decided(&state).starts[0].failed_on.is_empty(), "n4 may be chosen again");
        state.jobs = (1..9).map(|id| refused(id, &error, 10_000)).collect();
        assert_eq!(reason(&state), NotRecovered::Refused { job: 8, error, left_ms: 110_000 }, "no more than 120 s");
    }
}

/// A second start may wait for long, and may be cancelled by a pause: the instance is not forgotten.
#[test]
fn an_instance_whose_second_start_waits_or_was_cancelled_is_kept() {
    let mut state = one();
    state.instances[0].primary = name("n4");
    state.jobs = vec![
        job(7, JobKind::OwnStart, JobStatus::Failed, "web", Some("n4")),
        job(8, JobKind::OwnStart, JobStatus::NotBegun, "web", Some("n2")),
    ];
    let plan = decided(&state);
    assert_eq!((plan.cancel.as_slice(), plan.under_way[0].job), (&[][..], 8));
    state.jobs[1].status = JobStatus::Cancelled;
    state.allocator = answered(&[("web", "n2")], &[]);
    assert_eq!(start_node_of(&state), StartNode::Allocated(name("n2")));
    // A start on its primary node names no node.
    state.jobs[1] = job(8, JobKind::OwnStart, JobStatus::Failed, "web", None);
    assert!(matches!(reason(&state), NotRecovered::Failed { attempts: 2, job: 8, .. }));
    state.jobs.push(job(9, JobKind::Other, JobStatus::Success, "web", None));
    assert!(decided(&state).not_recovered.is_empty(), "an administrator has it");
    // ganeti-watcher has failed to start it, or a web interface has asked about it.
    state.jobs[2].status = JobStatus::Failed;
    assert!(matches!(reason(&state), NotRecovered::Failed { .. }));
    let question = job(10, JobKind::Other, JobStatus::Success, "web", None);
    state.jobs.push(InstanceJob { operation: "OP_INSTANCE_QUERY_DATA".to_owned(), ..question });
    assert!(matches!(reason(&state), NotRecovered::Failed { .. }));
}

/// A node misses one question, and a new master has not watched: the plan that submitted the start knew more.
#[test]
fn a_plan_that_knows_less_cancels_nothing() {
    let start = job(7, JobKind::OwnStart, JobStatus::NotBegun, "web", Some("n2"));
    let mut unproven = one();
    unproven.nodes[2].proof = None;
    let mut weak = one();
    weak.nodes[2].proof = weak.nodes[2].proof.map(|proof| DeathProof { grade: Grade::Isolated, ..proof });
    let mut migrated = one();
    migrated.jobs = vec![job(6, JobKind::Migration, JobStatus::Failed, "web", Some("n4"))];
    migrated.nodes[3].running = RunningReport::default();
    for mut state in [unproven, weak, migrated, input(vec![instance("web", "drbd")])] {
        assert_eq!(decided(&state).starts, [], "nothing new starts");
        state.jobs.push(start.clone());
        let plan = decided(&state);
        assert_eq!((plan.cancel, plan.under_way[0].job), (Vec::new(), 7));
    }
}

/// luxid cannot start the processes of jobs. After one that ended with the last master nothing waits.
#[test]
fn starts_whose_processes_end_wait_ever_longer() {
    let mut state = one();
    let interrupted = |id| InstanceJob {
        interrupted: true,
        error: None,
        ended_ms: Some(NOW - 4_000),
        ..job(id, JobKind::OwnStart, JobStatus::Failed, "web", Some("n4"))
    };
    state.jobs = vec![interrupted(7)];
    assert_eq!(start_node_of(&state), StartNode::AskAllocator);
    state.jobs.push(interrupted(8));
    assert_eq!(reason(&state), NotRecovered::Refused { job: 8, error: String::new(), left_ms: 6_000 });
    state.jobs.push(interrupted(9));
    assert!(matches!(reason(&state), NotRecovered::Refused { left_ms: 16_000, .. }));
    // The clock of an earlier master was ahead.
    state.jobs[2].ended_ms = Some(NOW + 3_600_000);
    assert_eq!(start_node_of(&state), StartNode::AskAllocator);
}

/// Its new node died while it started there: that shows nothing about the instance.
#[test]
fn a_start_on_a_node_that_died_is_not_a_failed_attempt() {
    let mut state = one();
    state.jobs = [7, 8].map(|id| job(id, JobKind::OwnStart, JobStatus::Failed, "web", Some("n4"))).into();
    assert!(matches!(reason(&state), NotRecovered::Failed { attempts: 2, .. }));
    state.nodes[3] = dead("n4");
    assert_eq!(start_node_of(&state), StartNode::AskAllocator);
}

/// An administrator has typed a part of the name, and his job waits for its locks.
#[test]
fn a_job_with_a_part_of_the_name_has_the_instance() {
    let mut state = input(vec![instance("web.lab", "rbd"), instance("web2.lab", "rbd")]);
    state.jobs = vec![job(9, JobKind::Move, JobStatus::NotBegun, "web", Some("n4"))];
    let plan = decided(&state);
    assert!(
        matches!(plan.not_recovered.as_slice(), [(name, NotRecovered::OtherJob { job: 9, .. })] if *name == vm("web.lab"))
    );
    state.instances.push(instance("web.other", "rbd"));
    assert_eq!(decided(&state).not_recovered, [], "Ganeti does not accept it");
}

/// Between its two operations Ganeti shows a job as waiting. The new primary node is online, and does not answer.
#[test]
fn a_start_that_has_moved_the_instance_is_not_cancelled() {
    let mut state = one();
    state.instances[0].primary = name("n4");
    state.jobs = vec![job(7, JobKind::OwnStart, JobStatus::NotBegun, "web", Some("n4"))];
    state.nodes[3].running = RunningReport::default();
    let plan = decided(&state);
    assert_eq!((plan.cancel.as_slice(), plan.under_way[0].job), (&[][..], 7));
    // An administrator has it meanwhile.
    state.jobs.push(job(9, JobKind::Other, JobStatus::Success, "web", None));
    assert_eq!(decided(&state).cancel, []);
    // The job has ended, and the instance is not forgotten.
    state.jobs = vec![job(7, JobKind::OwnStart, JobStatus::Cancelled, "web", Some("n4"))];
    assert_eq!(reason(&state), NotRecovered::MovedToSilent(name("n4")));
    assert_eq!(reason(&state).to_string(), "it was moved to n4, which does not report what it runs");
}

/// Starts of an earlier death of the same host do not count.
#[test]
fn failures_of_an_earlier_incident_do_not_count() {
    let mut state = one();
    state.jobs = vec![
        job(5, JobKind::OwnStart, JobStatus::Failed, "web", Some("n4")),
        job(6, JobKind::OwnStart, JobStatus::Failed, "web", Some("n2")),
    ];
    state.jobs.iter_mut().for_each(|job| job.received_ms = NOW - 3_600_000);
    assert!(decided(&state).starts[0].failed_on.is_empty());
    state.jobs.iter_mut().for_each(|job| job.received_ms = NOW - 1_000);
    state.jobs.push(job(7, JobKind::OwnStart, JobStatus::Success, "web", Some("n1")));
    assert!(decided(&state).starts[0].failed_on.is_empty());
}

/// The host that fenced the node is two minutes ahead: the failed starts belong to this death nevertheless, or an
/// instance that cannot start would be tried without an end.
#[test]
fn failures_count_although_the_proof_is_dated_by_a_clock_that_is_ahead() {
    let mut state = one();
    state.jobs = vec![
        job(7, JobKind::OwnStart, JobStatus::Failed, "web", Some("n4")),
        job(8, JobKind::OwnStart, JobStatus::Failed, "web", Some("n2")),
    ];
    state.nodes[2].recorded_ms = Some(NOW - 3_000);
    if let Some(proof) = &mut state.nodes[2].proof {
        proof.at_ms = NOW + 120_000;
    }
    assert!(matches!(reason(&state), NotRecovered::Failed { attempts: 2, job: 8, .. }));
}

/// The master died after the new primary node was recorded and before the start: the new master only starts it.
#[test]
fn a_new_master_goes_on_where_the_last_one_died() {
    let mut state = one();
    state.instances[0].primary = name("n4");
    state.jobs = vec![job(7, JobKind::OwnStart, JobStatus::Failed, "web", Some("n4"))];
    state.jobs[0].interrupted = true;
    assert_eq!(start_node_of(&state), StartNode::Primary(name("n4")));
    state.nodes[3].running = RunningReport::from(BTreeSet::from([vm("web")]));
    assert!(decided(&state).starts.is_empty());
    // A start that succeeded, and an instance that ended by itself since, are the watcher's.
    state.nodes[3].running = RunningReport::from(BTreeSet::new());
    state.jobs[0].status = JobStatus::Success;
    assert!(decided(&state).starts.is_empty());
}
