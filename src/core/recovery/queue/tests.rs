use super::*;

fn answer(rows: &[(u64, &str, Value, Value)]) -> Value {
    let row = |(id, status, ops, result): &(u64, &str, Value, Value)| {
        json!([[0, id], [0, status], [0, ops], [0, result], [0, [1_700_000_000, 250_000]], [0, null]])
    };
    json!({"fields": [], "data": rows.iter().map(row).collect::<Vec<_>>()})
}

fn name(text: &str) -> InstanceName {
    InstanceName::new(text).unwrap()
}

#[test]
fn our_starts_differ_from_other_jobs() {
    let ours = json!([[REASON_SOURCE, "recover", 5]]);
    let start = json!([{"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": "web", "pnode": "n4.lab", "reason": ours},
                       {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "web", "reason": ours}]);
    let by_hand = json!([{"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": "web", "target_node": "n4.lab",
                          "reason": [["gnt:client", "", 5]]}]);
    let node = json!([{"OP_ID": "OP_NODE_MIGRATE", "node_name": "n3.lab"}]);
    let record = json!([{"OP_ID": "OP_NODE_SET_PARAMS", "node_name": "n3.lab", "reason": ours}]);
    let export = json!([{"OP_ID": "OP_BACKUP_EXPORT", "instance_name": "db"}]);
    let jobs = InstanceJob::parse_all(&answer(&[
        (1, "running", start, json!([null, null])),
        (2, "error", by_hand, json!([["OpExecError", ["no memory"]]])),
        (3, "waiting", node, json!([null])),
        (4, "queued", record, json!([null])),
        (5, "success", export, json!([true])),
    ]))
    .unwrap();
    let kinds: Vec<(u64, JobKind)> = jobs.iter().map(|job| (job.id, job.kind)).collect();
    assert_eq!(kinds, [(1, JobKind::OwnStart), (2, JobKind::Move), (3, JobKind::Migration), (5, JobKind::Other)]);
    assert_eq!(jobs.iter().map(InstanceJob::may_have_moved).collect::<Vec<_>>(), [true, true, true, false]);
    assert_eq!(jobs[0].new_primary, NodeName::new("n4.lab").ok());
    assert_eq!(jobs[0].received_ms, 1_700_000_000_250);
    assert_eq!(jobs[1].error.as_deref(), Some("no memory"));
    assert_eq!(jobs[2].of_node, NodeName::new("n3.lab").ok());
    assert!(jobs[0].instances.contains(&name("web")) && jobs[2].instances.is_empty());
}

/// `gnt-instance modify --new-primary` moves an instance; any other modification, and its creation, do not.
#[test]
fn another_primary_node_is_a_move() {
    let op = |id: &str, node: Value| json!([{"OP_ID": id, "instance_name": "web", "pnode": node}]);
    let jobs = InstanceJob::parse_all(&answer(&[
        (1, "success", op("OP_INSTANCE_SET_PARAMS", json!("n4.lab")), json!([null])),
        (2, "success", op("OP_INSTANCE_SET_PARAMS", json!(null)), json!([null])),
        (3, "success", op("OP_INSTANCE_CREATE", json!("n3.lab")), json!([null])),
    ]))
    .unwrap();
    let kinds: Vec<JobKind> = jobs.iter().map(|job| job.kind).collect();
    assert_eq!(kinds, [JobKind::Move, JobKind::Other, JobKind::Other]);
}

/// A job that ended with the master's host, or whose dependency failed, is not an attempt that failed.
#[test]
fn an_interrupted_job_is_no_failed_attempt() {
    let start = |source: &str| {
        json!([{"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "web",
                "reason": [[REASON_SOURCE, "recover", 5], [source, "detected death of job 1", 6]]}])
    };
    let error = |text: &str| json!([["OpExecError", [text]]]);
    let jobs = InstanceJob::parse_all(&answer(&[
        (1, "error", start("gnt:daemon:luxid:deathdetection"), json!([null])),
        (
            2,
            "error",
            start("x"),
            error("Dependency job 1 finished with status 'error', not one of 'success' as required"),
        ),
        (3, "error", start("x"), error("no bridge")),
        (
            4,
            "error",
            start("x"),
            json!([["HooksAbort", [[["n1.lab", "gnt-ha", format!("web: stopped {STOPPED_BY_HOOK}")]]]]]),
        ),
        (5, "error", start("x"), json!([["HooksAbort", [[["n1.lab", "x", "no licence"]]]]])),
        (
            6,
            "error",
            start("x"),
            json!([[
                "HooksAbort",
                [[["n4.lab", "x", ""], ["n4.lab", "gnt-ha", format!("n4.lab: wait {STOPPED_BY_HOOK}")]]]
            ]]),
        ),
        (
            7,
            "error",
            start("x"),
            json!([["HooksAbort", [[["n1.lab", "gnt-ha", format!("web: luxid {STOPPED_BY_HOOK}")]]]]]),
        ),
    ]))
    .unwrap();
    let failed: Vec<bool> = jobs.iter().map(InstanceJob::is_failed_attempt).collect();
    assert_eq!(failed, [false, false, true, false, true, false, false]);
    let refused: Vec<bool> = jobs.iter().map(InstanceJob::is_refused).collect();
    assert_eq!(refused, [false, true, false, true, false, true, true]);
    assert_eq!(jobs[4].error.as_deref(), Some("no licence"));
    let both = "the hook x on n4.lab failed and printed nothing; n4.lab: wait [gnt-ha:blocked]";
    assert_eq!(jobs[5].error.as_deref(), Some(both));
    let silent = json!([["HooksAbort", [[["n1.lab", "10-x", ""]]]]]);
    assert_eq!(error_of(&silent), "the hook 10-x on n1.lab failed and printed nothing");
}

/// A start waits for the record by the number of its job, which the queue has even if luxid has not confirmed it.
#[test]
fn the_job_of_a_record_is_found_by_its_node() {
    let of = |source: &str, offline: Value| {
        let reason = json!([[source, "offline", 5]]);
        json!([{"OP_ID": "OP_NODE_SET_PARAMS", "node_name": "n3.lab", "offline": offline, "reason": reason}])
    };
    let records = record_jobs(&answer(&[
        (1, "success", of(REASON_SOURCE, json!(true)), json!([null])),
        (2, "running", of("gnt:client", json!(true)), json!([null])),
        (3, "queued", of(REASON_SOURCE, json!(null)), json!([null])),
        (4, "running", of(REASON_SOURCE, json!(true)), json!([null])),
        (5, "waiting", of(REASON_SOURCE, json!(true)), json!([null])),
    ]));
    assert_eq!(records, BTreeMap::from([(NodeName::new("n3.lab").unwrap(), 5)]));
    assert_eq!(record_jobs(&json!({"data": [[[0, 7], [3, null], [3, null]]]})), BTreeMap::new());
}

#[test]
fn a_queue_that_cannot_be_parsed_is_an_error() {
    assert_eq!(InstanceJob::parse_all(&json!([])), Err(BadQueue::NoList));
    let ops = json!([{"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "web"}]);
    let unknown = answer(&[(1, "success", ops.clone(), json!([])), (2, "stopped", ops, json!([]))]);
    assert_eq!(InstanceJob::parse_all(&unknown), Err(BadQueue::Row(1)));
    // An archived job has no values (`RSUnavail`).
    let gone = json!({"data": [[[0, 7], [3, null], [3, null], [3, null], [3, null], [3, null]]]});
    assert_eq!(InstanceJob::parse_all(&gone), Ok(Vec::new()));
}
