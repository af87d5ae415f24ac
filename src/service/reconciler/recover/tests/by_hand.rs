//! Tests what a recovery leaves for `gnt-ha history`, and a recovery by hand.

use super::*;
use crate::core::recovery::instance::InstanceName;

fn by_hand(scene: &Scene, off: Option<&NodeName>) -> RecoveryResult {
    let (state, decided) = lost(now());
    let deadline = Deadline::after(Duration::from_secs(20));
    scene.reconciler.try_recover(state, &decided, &Addresses::new(), Request::ByHand(off), deadline).unwrap()
}

#[test]
fn what_became_of_each_instance_is_kept() {
    let scene = Scene::new(TAG);
    *scene.luxid.jobs.lock().unwrap() = vec![record(42)];
    scene.recover();
    let state = scene.dir.path().join("state");
    let mode = std::fs::metadata(state.join(LOG_FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let log = read_recovery_log(&state).unwrap();
    let of = |text: &str| {
        let course = log.instances.iter().find(|course| course.instance == InstanceName::new(text).unwrap()).unwrap();
        (course.off.clone(), course.starts[0].job, course.starts[0].on.clone())
    };
    assert_eq!(of("db"), (name("n3.lab"), 50, Some(name("n2.lab"))));
    assert_eq!(of("web"), (name("n3.lab"), 51, Some(name("n2.lab"))));
    // Nothing that is decided rests on the file.
    std::fs::write(state.join(LOG_FILE), "{").unwrap();
    assert!(read_recovery_log(&state).is_err());
    scene.recover();
    assert!(read_recovery_log(&state).is_ok());
}

/// The same starts as by the reconciler, and no second one of what it has submitted.
#[test]
fn a_recovery_by_hand_starts_what_the_reconciler_would() {
    let scene = Scene::new(TAG);
    *scene.luxid.jobs.lock().unwrap() = vec![record(42)];
    let recovered = by_hand(&scene, Some(&name("n2.lab")));
    assert!(scene.luxid.changes().is_empty());
    assert_eq!(recovered.lines[0], "db: not started yet: its host was not asked for: the next recovery starts it");
    assert!(!recovered.is_under_way && scene.reconciler.recovery_memory().unwrap().waits, "the reconciler goes on");
    let recovered = by_hand(&scene, Some(&name("n3.lab")));
    assert_eq!(scene.luxid.changes().len(), 1);
    assert!(recovered.is_under_way && recovered.not_started == 0);
    let reason = json!([["gnt:extern:gnt-ha", "recover web", 5]]);
    let start = |id: u64, name: &str| {
        job(id, "running", json!([{"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": name, "reason": reason}]))
    };
    *scene.luxid.jobs.lock().unwrap() = vec![record(42), start(50, "db"), start(51, "web")];
    let recovered = by_hand(&scene, None);
    assert_eq!(recovered.lines, ["db: job 50 starts it", "web: job 51 starts it"]);
    assert!(scene.luxid.changes().is_empty() && recovered.is_under_way);
}

#[test]
fn a_recovery_by_hand_has_the_guards_of_each_recovery() {
    let scene = Scene::new(TAG);
    *scene.luxid.jobs.lock().unwrap() = vec![record(42)];
    scene.reconciler.set_pause(&Pause::new("a fan", "root", 1).unwrap()).unwrap();
    let recovered = by_hand(&scene, None);
    assert_eq!((recovered.not_started, recovered.is_under_way), (2, false), "{:?}", recovered.lines);
    scene.reconciler.resume().unwrap();
    scene.write_config("other", false);
    by_hand(&scene, None);
    assert!(scene.luxid.changes().is_empty());
}
