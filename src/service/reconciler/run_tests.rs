//! Tests when a reconciliation runs, what it reports, and under which name.

use std::time::Duration;

use super::*;

/// A line for each second of the start-up grace would hide the others in the log.
#[test]
fn a_time_that_runs_is_nothing_new() {
    let left = |seconds| format!("n1.lab: refused: this host's cluster stack has only started: waits {seconds} s more");
    assert!(says_the_same(&left(8), &left(120)));
    assert!(!says_the_same(&left(8), &left(8).replace("n1", "n2")));
    assert!(!says_the_same("n1.lab: job 7 is done", "n1.lab: job 8 is done"));
    assert!(!says_the_same("n1.lab: paused", "n1.lab: paused again"));
}

fn recorder(dir: &Path) -> Reconciler {
    Reconciler::new(&dir.join("state"), &dir.join("data"), &dir.join("luxi"))
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(5))
}

/// The agents' parameter `node_name` names the node whose host has another name.
#[test]
fn a_name_that_is_given_counts_more_than_the_hosts() {
    let nodes = ["n1.lab", "n2.lab"].map(|name| NodeName::new(name).unwrap());
    let named = |name| Reconciler { own_name: NodeName::new(name).ok(), ..recorder(Path::new("/nonexistent")) };
    assert_eq!(named("n2").here(&nodes).unwrap(), nodes[1]);
    assert!(matches!(named("n9").here(&nodes), Err(ReconcileError::Stranger(name)) if name == "n9"));
}

/// A disk that takes nothing stops no record: the decision is remembered until the next boot.
#[test]
fn what_the_disk_does_not_take_is_remembered_until_the_next_boot() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("state"), "").unwrap();
    let recorder = recorder(dir.path());
    let _lock = recorder.lock(soon()).unwrap();
    let at = now();
    let mut memory = serde_json::to_value(Memory::default()).unwrap();
    memory["looked"] = serde_json::to_value(at).unwrap();
    recorder.write(MEMORY_FILE, &memory).unwrap();
    assert!(recorder.memory().unwrap().is_fresh(at) && !Memory::default().is_fresh(at));
    recorder.keep_look(&LastRun { at, ..LastRun::default() }).unwrap();
    assert!(!recorder.last_look().unwrap().is_due(at), "it does not look at each monitor");
}

/// An error that stops reconciliation is not reported once and then hidden for weeks.
#[test]
fn what_prevents_a_look_is_said_again() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = recorder(dir.path());
    let make_due = |said_ago_ms: u64| {
        let mut look = recorder.last_look().unwrap();
        look.at.boottime_ms = u64::MAX;
        look.said_ms = look.said_ms.saturating_sub(said_ago_ms);
        recorder.keep_look(&look).unwrap();
    };
    assert!(recorder.run_if_due(soon()).is_err(), "there is no Ganeti");
    make_due(0);
    assert!(recorder.run_if_due(soon()).is_ok_and(|lines| lines.is_empty()), "said a moment ago");
    assert!(recorder.run_now(soon()).is_err(), "whoever has a reason is told");
    let mut look = recorder.last_look().unwrap();
    look.at.boottime_ms = u64::MAX;
    look.said_ms = u64::MAX;
    recorder.keep_look(&look).unwrap();
    assert!(recorder.run_if_due(soon()).is_err(), "of another boot");
}

/// A reconciliation that fails is repeated before half a minute has passed, if something is undone or it was needed at
/// once.
#[test]
fn a_failure_does_not_lengthen_the_pause() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = recorder(dir.path());
    let is_due_soon = || {
        let look = recorder.last_look().unwrap();
        let at = |age_ms| Timestamp { boottime_ms: look.at.boottime_ms + age_ms, ..look.at };
        assert!(!look.is_due(at(OPEN_MS - 1)) && look.is_due(at(QUIET_MS)));
        look.is_due(at(OPEN_MS))
    };
    assert!(recorder.run_if_due(soon()).is_err());
    assert!(!is_due_soon(), "nothing is known to be open");
    assert!(recorder.run_now(soon()).is_err());
    assert!(is_due_soon());

    recorder.keep_look(&LastRun { open: vec!["n3: paused".to_owned()], ..LastRun::default() }).unwrap();
    let _ = recorder.run_if_due(soon());
    assert!(is_due_soon(), "what was open still is");

    recorder.keep_look(&LastRun::default()).unwrap();
    let _held = recorder.lock(soon()).unwrap();
    assert!(recorder.run_if_due(Deadline::after(Duration::ZERO)).is_err());
    assert!(is_due_soon(), "another look was under way");
}
