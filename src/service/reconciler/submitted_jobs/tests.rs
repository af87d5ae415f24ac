//! Tests the submission of jobs, with a luxid that answers as each test needs.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::core::ganeti::offline_job::OfflineJob;
use crate::core::grade::Grade;
use crate::core::reconcile::{BlockReason, Memory, PowerAction, Proof, ProofSource};

/// A node that returns just after it was drained does not wait for the time limit of its drain's job.
#[test]
fn decisions_with_different_reasons_are_the_same() {
    assert!(is_same("drain: it left gracefully", "drain, auto_promote: it left gracefully"));
    assert!(is_same("offline, powered=no: off (a, receipt r1)", "offline: off, fenced just now"));
    assert!(!is_same(&Decision::UnDrain.to_string(), &Decision::Drain { auto_promote: false }.to_string()));
    assert!(!is_same(&Decision::UnDrain.to_string(), &Decision::ForgetDrain.to_string()));
}

/// A model of luxid, with the requests that it received and the states that it reports for its jobs.
struct Luxid {
    asked: Arc<Mutex<Vec<String>>>,
    status: Arc<Mutex<&'static str>>,
}

impl Luxid {
    fn at(path: PathBuf) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let (asked, status) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new("waiting")));
        let (noted, shown) = (Arc::clone(&asked), Arc::clone(&status));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = Vec::new();
                let mut byte = [0];
                while stream.read_exact(&mut byte).is_ok() && byte != [3] {
                    request.extend(byte);
                }
                let request: Value = serde_json::from_slice(&request).unwrap();
                let method = request["method"].as_str().unwrap().to_owned();
                let result = match method.as_str() {
                    "SubmitJob" => json!(42),
                    "CancelJob" => {
                        assert_eq!(request["args"], json!([42, false]));
                        json!([true, "Job 42 has been canceled"])
                    }
                    _ => json!({"data": [[[0, *shown.lock().unwrap()], [0, [null]]]]}),
                };
                noted.lock().unwrap().push(method);
                write!(stream, "{}\x03", json!({"success": true, "result": result})).unwrap();
            }
        });
        Self { asked, status }
    }

    fn set_status(&self, status: &'static str) {
        *self.status.lock().unwrap() = status;
    }

    /// Returns the requests since the last call.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

struct Fixture {
    dir: tempfile::TempDir,
    reconciler: Reconciler,
    luxid: Luxid,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let luxi = dir.path().join("luxi");
        let luxid = Luxid::at(luxi.clone());
        let reconciler = Reconciler::new(&dir.path().join("state"), &dir.path().join("data"), &luxi);
        Self { dir, reconciler, luxid }
    }

    /// Runs one reconciliation that decides `decision` for n3, and returns its lines.
    fn run(&self, decision: Decision) -> Vec<String> {
        let node = NodeName::new("n3.lab").unwrap();
        let plan = Plan { decisions: vec![NodeDecision { node, decision }], memory: Memory::default() };
        self.reconciler.submit_plan(&plan, &Addresses::new(), Deadline::after(Duration::from_secs(5))).unwrap()
    }

    /// Makes the submitted jobs older by this time.
    fn age(&self, by_ms: u64) {
        let mut submitted = self.reconciler.submitted().unwrap();
        for job in submitted.values_mut() {
            job.at_ms = job.at_ms.saturating_sub(by_ms);
        }
        self.reconciler.keep_submitted(&submitted).unwrap();
    }
}

fn offline(at_ms: u64, cycle: bool) -> Decision {
    let job =
        OfflineJob { node: NodeName::new("n3.lab").unwrap(), sets_offline: true, powered: None, auto_promote: false };
    let proof = Proof {
        keys: Vec::new(),
        at_ms,
        grade: Grade::Off,
        source: ProofSource::Administrator,
        powered: None,
        is_planned: false,
    };
    Decision::Offline { job, proof, power_too: PowerAction { cycle, off: false } }
}

/// A job that waits for its locks for minutes is still under way. A second one would record a node offline again after
/// the administrator has taken it back.
#[test]
fn a_job_that_waits_for_long_is_submitted_once() {
    let fixture = Fixture::new();
    assert!(fixture.run(offline(0, false))[0].ends_with("job 42 is submitted"));
    fixture.age(RESUBMIT_AFTER_MS);
    assert!(fixture.run(offline(0, false))[0].contains("job 42 is under way"));
    assert_eq!(fixture.luxid.asked(), ["SubmitJob", "Query"]);
    fixture.luxid.set_status("error");
    assert!(fixture.run(offline(0, false))[0].ends_with("job 42 is submitted"), "a failed job is submitted again");
}

/// A node that was fenced and is back must not be recorded offline by a job that only now gets its lock.
#[test]
fn a_job_whose_reason_is_gone_is_cancelled() {
    let fixture = Fixture::new();
    fixture.run(offline(0, false));
    fixture.age(RESUBMIT_AFTER_MS);
    let lines = fixture.run(Decision::Blocked(BlockReason::Returned));
    assert!(lines[0].starts_with("n3.lab: job 42 is cancelled: offline: off"), "{lines:?}");
    assert_eq!(fixture.luxid.asked(), ["SubmitJob", "Query", "CancelJob"]);

    fixture.luxid.set_status("canceled");
    assert!(fixture.run(Decision::Nothing(NoActionReason::AsItShould)).is_empty());
    assert!(fixture.reconciler.submitted().unwrap().is_empty(), "it is over");
}

/// So must any job that waited until its reason was gone: the power of a node that is readmitted, or that has that power
/// now, and the drain of a node that the administrator has set offline, which Ganeti would set online.
#[test]
fn a_job_is_cancelled_by_what_it_would_do_now() {
    let offline_now = Decision::Nothing(NoActionReason::AlreadyOffline);
    let offline_then = offline(0, false);
    let online = Decision::Nothing(NoActionReason::AsItShould);
    let source = ProofSource::Device(Some(NodeName::new("n2.lab").unwrap()));
    let asked = Decision::Nothing(NoActionReason::PowerUnknown(source));
    let paused = Decision::Blocked(BlockReason::Maintenance);
    for (verb, decision, is_recorded, cancelled) in [
        ("offline", &online, false, true),
        ("offline", &offline_now, true, false),
        ("power", &online, false, true),
        ("power", &offline_now, true, true),
        ("power", &asked, true, false),
        ("power", &paused, true, false),
        ("drain", &offline_now, true, true),
        // It has two opcodes, and the tag is set by the second.
        ("drain", &Decision::Nothing(NoActionReason::AlreadyDrained), false, false),
        ("un-drain", &online, false, false),
        // The record must not wait behind them.
        ("drain", &offline_then, false, true),
        ("un-drain", &offline_then, false, true),
        ("forget our drain", &offline_then, false, true),
    ] {
        assert_eq!(is_to_be_cancelled(verb, decision, is_recorded), cancelled, "{verb}, {decision}, {is_recorded}");
    }

    let fixture = Fixture::new();
    let Decision::Offline { job, proof, .. } = self::offline(0, false) else { unreachable!() };
    let job = OfflineJob { sets_offline: false, powered: Some(false), ..job };
    fixture.run(Decision::Powered { job, proof });
    let lines = fixture.run(online);
    assert!(lines[0].contains("job 42 is cancelled"), "{lines:?}");
    assert_eq!(fixture.luxid.asked(), ["SubmitJob", "Query", "CancelJob"]);
}

/// Ganeti's own jobs fail after 30 s while another, with its configuration locked, waits for a node that has just died.
/// The record follows within seconds, and does not fill Ganeti's queue if a job always fails.
#[test]
fn a_failed_job_is_submitted_again_soon_and_then_less_often() {
    let fixture = Fixture::new();
    fixture.run(offline(0, false));
    fixture.luxid.set_status("error");
    for again_ms in
        [RETRY_MS, 2 * RETRY_MS, 4 * RETRY_MS, 8 * RETRY_MS, 16 * RETRY_MS, RESUBMIT_AFTER_MS, RESUBMIT_AFTER_MS]
    {
        let lines = fixture.run(offline(0, false));
        assert!(lines[0].ends_with(&format!("it is tried again within {} s)", again_ms / 1000)), "{lines:?}");
        fixture.age(again_ms);
        assert!(fixture.run(offline(0, false))[0].ends_with("job 42 is submitted"));
    }
    fixture.luxid.set_status("success");
    fixture.run(Decision::Nothing(NoActionReason::AsItShould));
    assert!(fixture.reconciler.submitted().unwrap().is_empty(), "the next one begins anew");
}

/// A reason that is absent for a moment, such as a lost quorum, delays the record no longer than that.
#[test]
fn a_cancelled_job_is_submitted_again_at_once() {
    let fixture = Fixture::new();
    fixture.run(offline(0, false));
    fixture.run(Decision::Blocked(BlockReason::NoQuorum));
    fixture.luxid.set_status("canceled");
    let deadline = Deadline::after(Duration::from_secs(5));
    assert_eq!(fixture.reconciler.wait_for_jobs(deadline).unwrap(), [""; 0], "a cancelled job is not waited for");
    assert!(fixture.run(offline(0, false))[0].ends_with("job 42 is submitted"));
}

/// A host that is not the master has no luxid to ask, and may be the master again before the job has its lock.
#[test]
fn a_job_is_not_forgotten_while_another_host_is_master() {
    let fixture = Fixture::new();
    fixture.run(offline(0, false));
    fixture.age(RESUBMIT_AFTER_MS);
    assert!(fixture.run(Decision::Nothing(NoActionReason::NotMaster)).is_empty());
    assert_eq!(fixture.luxid.asked(), ["SubmitJob"]);
    fixture.run(Decision::Blocked(BlockReason::Returned));
    assert_eq!(fixture.luxid.asked(), ["Query", "CancelJob"]);
}

/// A drain's second step sets the tag of gnt-ha: it must not be cancelled when the first step is seen done.
#[test]
fn a_drain_that_is_half_done_is_not_cancelled() {
    let fixture = Fixture::new();
    fixture.run(Decision::Drain { auto_promote: false });
    assert!(fixture.run(Decision::Nothing(NoActionReason::AlreadyDrained)).is_empty());
    assert_eq!(fixture.luxid.asked(), ["SubmitJob", "Query"]);
}

/// luxid confirms a job too late if Ganeti is busy, and its number is unknown then. A node that leaves the cluster
/// just after its un-drain is drained at once all the same, and does not wait for that job's time limit.
#[test]
fn a_drain_does_not_wait_for_an_un_drain_that_was_not_confirmed() {
    let drain = Decision::Drain { auto_promote: false };
    let online = Decision::Nothing(NoActionReason::AsItShould);
    let record = offline(0, false);
    let after = |ms| Timestamp { wall_ms: ms, boottime_ms: ms };
    for (submitted, wanted, until_ms) in [
        (&Decision::UnDrain, &drain, RETRY_MS),
        (&Decision::UnDrain, &record, RETRY_MS),
        (&Decision::ForgetDrain, &record, RETRY_MS),
        (&drain, &Decision::UnDrain, RETRY_MS),
        // It may be seen late that it was done.
        (&drain, &drain, RESUBMIT_AFTER_MS),
        (&Decision::UnDrain, &Decision::UnDrain, RESUBMIT_AFTER_MS),
        // It would set the node online, or offline.
        (&drain, &record, RESUBMIT_AFTER_MS),
        (&record, &online, RESUBMIT_AFTER_MS),
    ] {
        let job = SubmittedJob::new(submitted.to_string(), after(0), None);
        let stays = |ms| job.stays(&Ok(None), wanted, after(ms));
        assert_eq!((stays(until_ms - 1), stays(until_ms)), (true, false), "{submitted}, then {wanted}");
    }
}

/// A host whose luxid is away is not the master for the moment, and its noded does not have to be silent for a record.
#[test]
fn a_noded_is_reachable_again_where_no_luxid_is() {
    let mut fixture = Fixture::new();
    fixture.run(offline(0, false));
    let node = NodeName::new("n3.lab").unwrap();
    let mut submitted = fixture.reconciler.submitted().unwrap();
    submitted.get_mut(&node).unwrap().unreachable = true;
    fixture.reconciler.keep_submitted(&submitted).unwrap();
    fixture.reconciler = Reconciler::new(
        &fixture.dir.path().join("state"),
        &fixture.dir.path().join("data"),
        &fixture.dir.path().join("no-luxi"),
    );
    fixture.run(offline(0, false));
    assert!(!fixture.reconciler.submitted().unwrap()[&node].unreachable);
}

/// noded is asked from a minute after the fencing on, and our own rules would cause a missing answer.
#[test]
fn a_node_that_is_asked_soon_is_not_made_unreachable() {
    let now = Timestamp { wall_ms: 1_000_000, boottime_ms: 5 };
    let age = |age_ms| offline(now.wall_ms - age_ms, false);
    assert!(may_be_unreachable(&age(UNREACHABLE_UNTIL_MS), now));
    assert!(!may_be_unreachable(&age(UNREACHABLE_UNTIL_MS + 1), now));
    assert!(!may_be_unreachable(&offline(now.wall_ms, true), now), "its noded is to cycle it");
    assert!(!may_be_unreachable(&Decision::UnDrain, now));
}

/// A Ganeti hook reports to Pacemaker a node that is recorded offline by hand; a record by gnt-ha is not one by hand.
#[test]
fn a_record_of_gnt_ha_is_distinguished_from_one_by_hand() {
    let fixture = Fixture::new();
    let is_ours = |node: &str| fixture.reconciler.is_recording(&NodeName::new(node).unwrap()).unwrap();
    assert!(!is_ours("n3.lab"));
    fixture.run(offline(0, false));
    assert!(is_ours("n3.lab") && !is_ours("n2.lab"));
    fixture.luxid.set_status("success");
    fixture.run(Decision::Drain { auto_promote: false });
    assert!(!is_ours("n3.lab"), "a drain does not record a loss");
}
