//! Tests when a reconciliation runs, what it reports, and under which name.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::core::node::NodeName;
use crate::core::reconcile::Memory;
use crate::service::reconciler::run::MEMORY_FILE;

/// A line for each second of the start-up grace would hide the others in the log.
#[test]
fn a_number_of_seconds_makes_no_new_line() {
    let left =
        |seconds| format!("n1.lab: blocked: Pacemaker started on this host a short time ago: waits {seconds} s more");
    assert!(is_same_line(&left(8), &left(120)));
    assert!(!is_same_line(&left(8), &left(8).replace("n1", "n2")));
    assert!(!is_same_line("n1.lab: job 7 is done", "n1.lab: job 8 is done"));
    assert!(!is_same_line("n1.lab: paused", "n1.lab: paused again"));
}

fn reconciler(dir: &Path) -> Reconciler {
    Reconciler::new(&dir.join("state"), &dir.join("data"), &dir.join("luxi"))
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(5))
}

/// The agents' parameter `node_name` names the node whose host has another name.
#[test]
fn a_name_that_is_given_counts_more_than_the_hosts() {
    let nodes = ["n1.lab", "n2.lab"].map(|name| NodeName::new(name).unwrap());
    let named = |name| Reconciler { own_name: NodeName::new(name).ok(), ..reconciler(Path::new("/nonexistent")) };
    assert_eq!(named("n2").own_node(&nodes).unwrap(), nodes[1]);
    assert!(matches!(named("n9").own_node(&nodes), Err(ReconcileError::Stranger(name)) if name == "n9"));
}

/// A full disk stops no record: the decision is remembered until the next boot.
#[test]
fn a_memory_that_the_disk_does_not_accept_is_kept_until_the_next_boot() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("state"), "").unwrap();
    let reconciler = reconciler(dir.path());
    let _lock = reconciler.lock(soon()).unwrap();
    let at = now();
    let mut memory = serde_json::to_value(Memory::default()).unwrap();
    memory["last_run"] = serde_json::to_value(at).unwrap();
    reconciler.write(MEMORY_FILE, &memory).unwrap();
    assert!(reconciler.memory().unwrap().is_fresh(at) && !Memory::default().is_fresh(at));
    reconciler.keep_last_run(&LastRun { at, ..LastRun::default() }).unwrap();
    assert!(!reconciler.last_run().unwrap().is_due(at), "it does not run at each monitor");
}

/// An error that stops reconciliation is not reported once and then hidden for weeks.
#[test]
fn an_error_is_reported_again_after_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let reconciler = reconciler(dir.path());
    let make_due = |reported_ago_ms: u64| {
        let mut last = reconciler.last_run().unwrap();
        last.at.boottime_ms = u64::MAX;
        last.reported_ms = last.reported_ms.saturating_sub(reported_ago_ms);
        reconciler.keep_last_run(&last).unwrap();
    };
    assert!(reconciler.run_if_due(soon()).is_err(), "there is no Ganeti");
    make_due(0);
    assert!(reconciler.run_if_due(soon()).is_ok_and(|lines| lines.is_empty()), "reported a moment ago");
    assert!(reconciler.run_now(soon()).is_err(), "a caller with a reason gets the error");
    let mut last = reconciler.last_run().unwrap();
    last.at.boottime_ms = u64::MAX;
    last.reported_ms = u64::MAX;
    reconciler.keep_last_run(&last).unwrap();
    assert!(reconciler.run_if_due(soon()).is_err(), "of another boot");
}

/// A reconciliation that fails is repeated before half a minute has passed, if something is undone or it was needed at
/// once.
#[test]
fn a_failure_does_not_lengthen_the_pause() {
    let dir = tempfile::tempdir().unwrap();
    let reconciler = reconciler(dir.path());
    let is_due_soon = || {
        let last = reconciler.last_run().unwrap();
        let at = |age_ms| Timestamp { boottime_ms: last.at.boottime_ms + age_ms, ..last.at };
        assert!(!last.is_due(at(OPEN_MS - 1)) && last.is_due(at(QUIET_MS)));
        last.is_due(at(OPEN_MS))
    };
    assert!(reconciler.run_if_due(soon()).is_err());
    assert!(!is_due_soon(), "nothing is known to be open");
    assert!(reconciler.run_now(soon()).is_err());
    assert!(is_due_soon());

    reconciler.keep_last_run(&LastRun { open: vec!["n3: paused".to_owned()], ..LastRun::default() }).unwrap();
    let _ = reconciler.run_if_due(soon());
    assert!(is_due_soon(), "what was open still is");

    reconciler.keep_last_run(&LastRun::default()).unwrap();
    let _held = reconciler.lock(soon()).unwrap();
    assert!(reconciler.run_if_due(Deadline::after(Duration::ZERO)).is_err());
    assert!(is_due_soon(), "another reconciliation was under way");
}
