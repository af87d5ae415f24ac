//! Tests the recovery of a host's instances, with a luxid and an allocator that answer as each test needs. The nodes do
//! not answer.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::core::ganeti::config::Node;
use crate::core::ganeti::offline_job::OfflineJob;
use crate::core::ganeti::record_version::RecordVersion;
use crate::core::pacemaker::fencing::FencingOptions;
use crate::core::receipt::Timestamp;
use crate::core::reconcile::{
    MasterRoleState, Membership, NodeDecision, NodeState, Pause, PowerAction, Proof, ProofSource,
};
use crate::core::recovery::guard::{StartBlock, StartsKnown};
use crate::core::recovery::queue::REASON_SOURCE;

mod by_hand;

const TAG: &str = "ocf:recover:on";

/// A model of luxid: it keeps the requests, and shows these jobs.
struct Luxid {
    requests: Arc<Mutex<Vec<(String, Value)>>>,
    jobs: Arc<Mutex<Vec<Value>>>,
    /// Whether it ends the connection instead of confirming jobs.
    hangs_up: Arc<Mutex<bool>>,
}

impl Luxid {
    fn at(path: PathBuf) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let luxid = Self { requests: Arc::default(), jobs: Arc::default(), hangs_up: Arc::default() };
        let (requests, jobs, hangs_up) =
            (Arc::clone(&luxid.requests), Arc::clone(&luxid.jobs), Arc::clone(&luxid.hangs_up));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                loop {
                    let (mut request, mut byte) = (Vec::new(), [0]);
                    while stream.read_exact(&mut byte).is_ok() && byte != [3] {
                        request.extend(byte);
                    }
                    let Ok(request) = serde_json::from_slice::<Value>(&request) else { break };
                    let method = request["method"].as_str().unwrap().to_owned();
                    requests.lock().unwrap().push((method.clone(), request["args"].clone()));
                    let result = match method.as_str() {
                        "SubmitManyJobs" if *hangs_up.lock().unwrap() => break,
                        "SubmitManyJobs" => {
                            let count = request["args"][0].as_array().unwrap().len();
                            (0..count).map(|index| json!([true, 50 + index])).collect()
                        }
                        "CancelJob" => json!([true, "canceled"]),
                        "Query" if request["args"][0] == "job" => json!({"data": *jobs.lock().unwrap()}),
                        _ => json!({"data": []}),
                    };
                    write!(stream, "{}\x03", json!({"success": true, "result": result})).unwrap();
                }
            }
        });
        luxid
    }

    /// Returns the requests other than queries since the last call.
    fn changes(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.requests.lock().unwrap())
            .into_iter()
            .filter(|(method, _)| method != "Query")
            .collect()
    }
}

struct Scene {
    dir: tempfile::TempDir,
    reconciler: Reconciler,
    luxid: Luxid,
}

impl Scene {
    /// n1 is the master, n3 was fenced a moment ago, and web and db ran there.
    fn new(tag: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let luxid = Luxid::at(dir.path().join("luxi"));
        std::fs::write(dir.path().join("cib.xml"), "<cib><configuration/></cib>").unwrap();
        let answer = r#"{"success": true, "result": [[["db", "g", ["n2.lab"]], ["web", "g", ["n2.lab"]]], [], []]}"#;
        std::fs::write(dir.path().join("hail"), format!("#!/bin/sh\necho '{answer}'\n")).unwrap();
        std::fs::set_permissions(dir.path().join("hail"), PermissionsExt::from_mode(0o755)).unwrap();
        let reconciler = Reconciler::new(&dir.path().join("state"), &dir.path().join("data"), &dir.path().join("luxi"));
        let reconciler = Reconciler { cib: dir.path().join("cib.xml"), hail: dir.path().join("hail"), ..reconciler };
        let scene = Self { dir, reconciler, luxid };
        scene.write_config(tag, false);
        scene
    }

    fn write_config(&self, tag: &str, is_offline: bool) {
        let serial = if is_offline { 9 } else { 7 };
        self.write_config_with(tag, is_offline, serial);
    }

    /// `serial` is the version of the record of n3.
    fn write_config_with(&self, tag: &str, is_offline: bool, serial: u64) {
        let node =
            |name: &str, offline: bool| json!({"name": name, "group": "g", "offline": offline, "serial_no": serial});
        let instance = |name: &str| json!({"name": name, "primary_node": "u3", "admin_state": "up"});
        let config = json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u1", "tags": [tag, "ganeti:watcher:autorepair:failover"]},
            "nodegroups": {"g": {"name": "default"}},
            "nodes": {"u1": node("n1.lab", false), "u2": node("n2.lab", false), "u3": node("n3.lab", is_offline)},
            "instances": {"a": instance("web"), "b": instance("db")}});
        std::fs::create_dir_all(self.dir.path().join("data")).unwrap();
        std::fs::write(self.dir.path().join("data/config.data"), config.to_string()).unwrap();
        std::fs::write(self.dir.path().join("data/ssconf_cluster_tags"), format!("{tag}\n")).unwrap();
    }

    fn recover(&self) -> RecoveryResult {
        let (state, decided) = lost(now());
        self.reconciler.recover(state, &decided, &Addresses::new(), Deadline::after(Duration::from_secs(20)))
    }
}

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

/// The state of a reconciliation that is about to record n3 offline, and its plan.
fn lost(at: Timestamp) -> (ReconcileInput, Plan) {
    let node = |text: &str, member| NodeState {
        ganeti: Node {
            name: name(text),
            oob_program: None,
            offline: false,
            drained: false,
            powered: true,
            master_candidate: true,
            master_capable: true,
        },
        changed_ms: None,
        version: Some(RecordVersion { uuid: text.replace('n', "u").replace(".lab", ""), serial: 7 }),
        drained_by_us: false,
        member,
        is_remote: false,
        member_since_ms: None,
        answers: None,
        fences: Vec::new(),
        receipts: Vec::new(),
        options: FencingOptions::ours(Grade::Bounded),
    };
    let state = ReconcileInput {
        now: at,
        stack_started_ms: at.wall_ms - 10_000_000,
        quorum: true,
        maintenance: false,
        here: name("n1.lab"),
        master: Some(name("n1.lab")),
        role: MasterRoleState::Unmanaged,
        pause: None,
        candidate_pool_size: 3,
        nodes: vec![
            node("n1.lab", Membership::Online),
            node("n2.lab", Membership::Online),
            node("n3.lab", Membership::Absent),
        ],
    };
    let proof = Proof {
        keys: Vec::new(),
        at_ms: at.wall_ms,
        grade: Grade::Off,
        source: ProofSource::Administrator,
        powered: None,
        is_planned: false,
    };
    let job = OfflineJob { node: name("n3.lab"), sets_offline: true, powered: None, auto_promote: false };
    let decision = Decision::Offline { job, proof, power_too: PowerAction::default() };
    let decisions = vec![NodeDecision { node: name("n3.lab"), decision }];
    (state, Plan { decisions, memory: Memory::default() })
}

/// A row of luxid's list of jobs.
fn job(id: u64, status: &str, ops: Value) -> Value {
    json!([[0, id], [0, status], [0, ops], [0, [null]], [0, [1_700_000_000, 0]], [0, null]])
}

fn record(id: u64) -> Value {
    let reason = json!([["gnt:extern:gnt-ha", "offline", 5]]);
    job(
        id,
        "running",
        json!([{"OP_ID": "OP_NODE_SET_PARAMS", "node_name": "n3.lab", "offline": true, "reason": reason}]),
    )
}

/// All starts are one submission, and wait for the job that records their host.
#[test]
fn the_starts_depend_on_the_record_and_are_one_request() {
    let scene = Scene::new(TAG);
    *scene.luxid.jobs.lock().unwrap() = vec![record(42)];
    let recovered = scene.recover();
    let changes = scene.luxid.changes();
    let [(method, arguments)] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!(method, "SubmitManyJobs");
    let jobs = arguments[0].as_array().unwrap();
    // The noded of the master does not answer here, so Ganeti would skip the guard of a new primary node.
    let of = |job: &Value| (job[0]["instance_name"].clone(), job[0]["target_node"].clone(), job[0]["depends"].clone());
    let depends = json!([[42, ["success"]]]);
    let expected = ["db", "web"].map(|instance| (json!(instance), json!("n2.lab"), depends.clone()));
    assert_eq!(jobs.iter().map(of).collect::<Vec<_>>(), expected);
    assert_eq!(
        recovered.lines,
        [
            "db: starts on n2.lab, off n3.lab: job 50 is submitted",
            "web: starts on n2.lab, off n3.lab: job 51 is submitted"
        ]
    );
    assert_eq!(recovered.news, recovered.lines);
    assert!(scene.reconciler.recovery_memory().unwrap().waits);
}

/// The record was not submitted, or has failed: nothing starts. Once it is read back, the starts wait for no job.
#[test]
fn without_its_record_nothing_starts() {
    let scene = Scene::new(TAG);
    let recovered = scene.recover();
    let waits = ["db", "web"].map(|name| format!("{name}: not started yet: waits for the record of its host"));
    assert_eq!(recovered.lines, waits);
    assert!(scene.luxid.changes().is_empty());
    scene.write_config(TAG, true);
    scene.recover();
    let changes = scene.luxid.changes();
    assert_eq!(changes[0].1[0][0][0].get("depends"), None, "{changes:?}");
}

/// After the record, the host is readmitted, added again, and set offline by hand while it runs: its fencing proves nothing
/// about that. Where only gnt-ha has changed the role of the node, the queue shows it.
#[test]
fn a_host_that_may_have_been_online_since_its_fencing_keeps_its_instances() {
    let scene = Scene::new(TAG);
    scene.write_config_with(TAG, true, 12);
    let set = |id: u64, source: &str, offline: bool| {
        let reason = json!([[source, "", 5]]);
        let ops = json!([{"OP_ID": "OP_NODE_SET_PARAMS", "node_name": "n3.lab", "offline": offline, "reason": reason}]);
        let mut row = job(id, "success", ops);
        row.as_array_mut().unwrap().push(json!([0, ["success"]]));
        row
    };
    let ours = set(42, REASON_SOURCE, true);
    *scene.luxid.jobs.lock().unwrap() = vec![ours.clone(), set(43, "gnt:client", false), set(44, "gnt:client", true)];
    let lines = scene.recover().lines;
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("may have been online again after it was fenced")), "{lines:?}");
    assert!(scene.luxid.changes().is_empty());
    *scene.luxid.jobs.lock().unwrap() = vec![ours];
    scene.recover();
    let changes = scene.luxid.changes();
    let [(method, arguments)] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((method.as_str(), arguments[0].as_array().unwrap().len()), ("SubmitManyJobs", 2));
    let trail = arguments[0][0][0]["reason"].as_array().unwrap();
    assert_eq!(trail.last().unwrap()[1], "only-record:12:offline:u3");
}

/// Recovery is off, although the tag of harep permits each start: neither luxid nor the large configuration is read, and
/// nothing is stored.
#[test]
fn without_the_tag_of_recovery_nothing_happens() {
    let scene = Scene::new("other");
    std::fs::write(scene.dir.path().join("data/config.data"), "{").unwrap();
    assert_eq!(scene.recover(), RecoveryResult::default());
    assert!(scene.luxid.requests.lock().unwrap().is_empty());
    assert!(!scene.dir.path().join("state").join(FILE).exists());
    let (state, decided) = lost(now());
    let other = ReconcileInput { here: name("n2.lab"), ..state };
    let scene = Scene::new(TAG);
    let mut waiting = RecoveryMemory::default();
    waiting.waits = true;
    scene.reconciler.write(FILE, &waiting).unwrap();
    assert!(scene.reconciler.is_recovery_due());
    let recovered =
        scene.reconciler.recover(other, &decided, &Addresses::new(), Deadline::after(Duration::from_secs(20)));
    assert_eq!(recovered, RecoveryResult::default(), "not the master");
    assert!(!scene.reconciler.is_recovery_due(), "nor does it run at each monitor");
}

/// The host of the last master died after it had submitted a start. Its reason has passed, and this host remembers
/// nothing: it looks into the queue once for each luxid.
#[test]
fn a_new_master_asks_once_for_the_starts_of_the_last_one() {
    let scene = Scene::new(TAG);
    let reason = json!([["gnt:extern:gnt-ha", "recover web", 5]]);
    let start = json!([{"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "web", "reason": reason}]);
    *scene.luxid.jobs.lock().unwrap() = vec![job(43, "waiting", start)];
    let (mut state, _) = lost(now());
    state.nodes[2].member = Membership::Online;
    let whole = Plan { decisions: Vec::new(), memory: Memory::default() };
    let recover = || {
        let deadline = Deadline::after(Duration::from_secs(20));
        scene.reconciler.recover(state.clone(), &whole, &Addresses::new(), deadline)
    };
    let known = |queue_is_known| StartsKnown { is_on: true, has_starts: false, queue_is_known };
    assert_eq!(scene.reconciler.starts_known(), known(false));
    recover();
    assert_eq!(scene.luxid.changes(), [("CancelJob".to_owned(), json!([43, false]))]);
    assert!(scene.reconciler.starts_known().has_starts, "it may begin nevertheless, and is checked then");
    scene.luxid.jobs.lock().unwrap().clear();
    recover();
    assert_eq!(scene.reconciler.starts_known(), known(true));
    scene.luxid.requests.lock().unwrap().clear();
    recover();
    assert!(scene.luxid.requests.lock().unwrap().is_empty());
}

/// The tag is removed while a start waits, and the host of the master dies. The new one looks until no start is left.
#[test]
fn a_new_master_cancels_what_was_submitted_before_the_tag_was_removed() {
    let scene = Scene::new(TAG);
    let (state, _) = lost(now());
    let other = ReconcileInput { here: name("n2.lab"), ..state.clone() };
    let recover = |state: &ReconcileInput| {
        let whole = Plan { decisions: Vec::new(), memory: Memory::default() };
        let deadline = Deadline::after(Duration::from_secs(20));
        scene.reconciler.recover(state.clone(), &whole, &Addresses::new(), deadline)
    };
    recover(&other);
    scene.write_config("other", false);
    let reason = json!([["gnt:extern:gnt-ha", "recover web", 5]]);
    let start = json!([{"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "web", "reason": reason}]);
    *scene.luxid.jobs.lock().unwrap() = vec![job(43, "waiting", start)];
    let known = scene.reconciler.starts_known();
    assert!(known.is_on && !known.queue_is_known, "the guard checks it: {known:?}");
    recover(&state);
    assert_eq!(scene.luxid.changes(), [("CancelJob".to_owned(), json!([43, false]))]);
    scene.luxid.jobs.lock().unwrap().clear();
    recover(&state);
    scene.luxid.requests.lock().unwrap().clear();
    recover(&state);
    assert!(scene.luxid.requests.lock().unwrap().is_empty());
    assert!(!scene.reconciler.starts_known().is_on);
}

/// A damaged file of an earlier recovery is nothing to a cluster without the tag.
#[test]
fn without_the_tag_a_damaged_memory_does_not_count() {
    let scene = Scene::new("other");
    scene.reconciler.write(FILE, &RecoveryMemory::default()).unwrap();
    std::fs::write(scene.dir.path().join("state").join(FILE), "{").unwrap();
    assert_eq!(scene.recover(), RecoveryResult::default());
    assert!(!scene.reconciler.starts_known().has_starts);
    scene.write_config(TAG, false);
    assert!(scene.reconciler.starts_known().has_starts);
}

/// What the guard of starts has to know when a start comes to its turn.
#[test]
fn a_pause_and_a_removed_tag_block_each_start() {
    let scene = Scene::new(TAG);
    let tags = scene.dir.path().join("data/ssconf_cluster_tags");
    assert_eq!(scene.reconciler.start_block(), None);
    scene.reconciler.set_pause(&Pause::new("a fan", "root", 1).unwrap()).unwrap();
    assert_eq!(scene.reconciler.start_block(), Some(StartBlock::Paused));
    scene.reconciler.resume().unwrap();
    std::fs::write(scene.dir.path().join("cib.xml"), "<cib").unwrap();
    assert_eq!(scene.reconciler.start_block(), Some(StartBlock::Unknown));
    std::fs::write(&tags, "other\n").unwrap();
    assert_eq!(scene.reconciler.start_block(), Some(StartBlock::Off));
}

/// luxid hangs up and may have accepted the jobs. A second submission would start the instances twice.
#[test]
fn what_luxid_has_not_confirmed_is_not_submitted_again() {
    let scene = Scene::new(TAG);
    *scene.luxid.jobs.lock().unwrap() = vec![record(42)];
    *scene.luxid.hangs_up.lock().unwrap() = true;
    let recovered = scene.recover();
    assert_eq!(recovered.lines[0], "db: starts on n2.lab, off n3.lab: a job is submitted, not confirmed");
    *scene.luxid.hangs_up.lock().unwrap() = false;
    scene.luxid.changes();
    let recovered = scene.recover();
    assert!(
        recovered.lines[0].starts_with("db: not started: its start is submitted, and luxid has not confirmed it"),
        "{:?}",
        recovered.lines
    );
    assert!(scene.luxid.changes().is_empty());
    assert!(scene.reconciler.recovery_memory().unwrap().waits, "the next monitor goes on");
}

/// A pause that was set since the reconciliation, and an instance that was stopped since its start was submitted.
#[test]
fn a_pause_starts_nothing_and_cancels_what_waits() {
    let scene = Scene::new(TAG);
    let reason = json!([["gnt:extern:gnt-ha", "recover web", 5]]);
    let start = json!([{"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "web", "reason": reason}]);
    *scene.luxid.jobs.lock().unwrap() = vec![record(42), job(43, "waiting", start)];
    scene.reconciler.set_pause(&Pause::new("a fan", "root", 1).unwrap()).unwrap();
    let recovered = scene.recover();
    assert_eq!(scene.luxid.changes(), [("CancelJob".to_owned(), json!([43, false]))]);
    assert!(recovered.lines[0].starts_with("web: job 43 is cancelled: paused by root"), "{:?}", recovered.lines);
    assert!(recovered.lines[1].starts_with("db: not started: paused by root"), "{:?}", recovered.lines);
}

/// An error of the recovery is a line, reported once, and the next monitor tries again.
#[test]
fn a_failure_is_reported_once_and_tried_again() {
    let scene = Scene::new(TAG);
    *scene.luxid.jobs.lock().unwrap() = vec![json!([])];
    let recovered = scene.recover();
    assert_eq!(recovered.news, ["recovery: nothing is started: row 0 of luxid's list of jobs cannot be parsed"]);
    assert_eq!(scene.recover().news, [""; 0]);
    assert!(scene.reconciler.recovery_memory().unwrap().waits);
    std::fs::write(scene.dir.path().join("state/recovery.json"), "{").unwrap();
    assert!(scene.recover().lines[0].contains("recovery.json"), "what was submitted is unknown: nothing starts");
    assert!(scene.luxid.changes().is_empty());
}

/// The breaker of the instances stays open for the next plan, until the administrator resets it.
#[test]
fn the_breaker_of_the_instances_is_kept_and_reset() {
    let scene = Scene::new(TAG);
    let mut memory = RecoveryMemory::default();
    let blocked = json!({"blocked": ["db", "web"], "limit": 1, "excused": []});
    memory.breaker = serde_json::from_value(blocked).unwrap();
    scene.reconciler.write(FILE, &memory).unwrap();
    *scene.luxid.jobs.lock().unwrap() = vec![record(42)];
    let recovered = scene.recover();
    assert!(recovered.lines[0].contains("the breaker is open: 2 instances"), "{:?}", recovered.lines);
    assert!(scene.luxid.changes().is_empty());
    scene.reconciler.reset_breaker(Deadline::after(Duration::from_secs(5))).unwrap();
    scene.recover();
    assert_eq!(scene.luxid.changes().len(), 1);
}
