//! The state after a stop: an open job queue, and no master IP.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::common::{MASTER, Scene};

const RECURRING: [(&str, &str); 1] = [("OCF_RESKEY_CRM_meta_interval", "10000")];

/// n1 alone, with daemons that end when they are asked to.
fn master() -> Scene {
    let scene = Scene::new("n1.lab").alone();
    scene.program("daemon-util", "[ $1 != stop-master ] || rm -f $RUN/socket/*");
    serve(&scene, true);
    scene
}

/// A luxid whose drain flag is a file. Like the real one it cannot clear a flag that is not set. `confirms`: no
/// candidate is dead, for which it would wait before it answers. There is also a wconfd.
fn serve(scene: &Scene, confirms: bool) {
    let flag = flag(scene);
    scene.serve("ganeti-query", move |method, arguments| match method {
        "QueryClusterInfo" => Some(json!({"master": "n1.lab"})),
        "QueryConfigValues" => Some(json!([flag.exists()])),
        "SetDrainFlag" => {
            if arguments[0] == true {
                fs::write(&flag, "").unwrap();
            } else {
                fs::remove_file(&flag).unwrap();
            }
            confirms.then_some(Value::Bool(true))
        }
        "Query" => Some(json!({"data": []})),
        _ => panic!("{method}"),
    });
    scene.serve("ganeti-wconfd", |_, arguments| Some(arguments[0].clone()));
}

fn flag(scene: &Scene) -> PathBuf {
    scene.data().join("drain")
}

fn stop(scene: &Scene) {
    let ended = scene.run(MASTER, "stop", &[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

fn ours(scene: &Scene) -> bool {
    scene.kept("queue-drained.json").exists()
}

/// A queue that stays drained also rejects the job that records a dead node: after a boot, and where a dead candidate
/// kept luxid from confirming the drain in time.
#[test]
fn what_a_stop_drained_is_opened_where_the_role_stays() {
    for confirms in [true, false] {
        let scene = master();
        serve(&scene, confirms);
        stop(&scene);
        assert!(flag(&scene).exists() && ours(&scene), "{confirms}");
        scene.boot();
        serve(&scene, true);
        assert_eq!(scene.run(MASTER, "start", &[]).code, 0);
        assert!(!flag(&scene).exists() && !ours(&scene), "{confirms}");
    }
}

/// The same without a start: the stop was killed half way, or the administrator has started the daemons.
#[test]
fn what_a_stop_drained_is_opened_by_a_monitor() {
    let scene = master();
    stop(&scene);
    serve(&scene, true);
    assert_eq!(scene.run(MASTER, "monitor", &RECURRING).code, 0);
    assert!(!flag(&scene).exists() && !ours(&scene));
}

#[test]
fn what_the_administrator_drained_stays_drained() {
    let scene = master();
    fs::write(flag(&scene), "").unwrap();
    stop(&scene);
    assert!(!ours(&scene));
    serve(&scene, true);
    assert_eq!(scene.run(MASTER, "start", &[]).code, 0);
    assert_eq!(scene.run(MASTER, "monitor", &RECURRING).code, 0);
    assert!(flag(&scene).exists());
}

/// `gnt-cluster master-failover` opens the queue, and luxid cannot open one that is open. A later drain is the
/// administrator's.
#[test]
fn a_queue_that_a_failover_has_opened_is_ours_no_more() {
    let scene = master();
    stop(&scene);
    assert!(ours(&scene));
    fs::remove_file(flag(&scene)).unwrap();
    serve(&scene, true);
    assert_eq!(scene.run(MASTER, "monitor", &RECURRING).code, 0);
    assert!(!ours(&scene));

    stop(&scene);
    assert!(ours(&scene));
    scene.file("ssconf_master_node", "n2.lab\n");
    scene.run(MASTER, "monitor", &RECURRING);
    assert!(!ours(&scene), "the role is elsewhere");
}

/// A stop of a failed role is not a planned move: it does not wait for jobs.
#[test]
fn a_recovery_drains_nothing() {
    let scene = master();
    fs::remove_file(scene.data().join("../run/socket/ganeti-wconfd")).unwrap();
    stop(&scene);
    assert!(!flag(&scene).exists() && !ours(&scene), "wconfd is gone");

    let scene = master();
    scene.file("ssconf_cluster_tags", "ocf:master-role:full\n");
    stop(&scene);
    assert!(!flag(&scene).exists() && !ours(&scene), "the master IP is missing");
}

/// After a change of netmask or device that was not applied, `ip addr del` with the values of the files fails, and so
/// did the stop: a healthy host was fenced.
#[test]
fn the_master_ip_is_removed_as_it_is_not_as_it_is_written() {
    if !crate::metadata::is_root() {
        eprintln!("skipped: this is not root");
        return;
    }
    for address in ["192.0.2.100/24", "2001:db8::100/64"] {
        let scene = Scene::new("n1.lab");
        scene.file("ssconf_master_ip", &format!("{}\n", address.split('/').next().unwrap()));
        scene.file("ssconf_master_netmask", "32\n");
        scene.file("ssconf_master_netdev", "eth0\n");
        let ended = scene.with_address(address, MASTER, "stop");
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.stdout.contains("127.0.0.1/8") && !ended.stdout.contains(address), "{}", ended.stdout);
    }
}

/// Ganeti's files cannot be read any more: the IP that served here is still known. If it is unknown, a stop must not
/// report that it is gone.
#[test]
fn the_master_ip_of_files_that_are_unreadable_is_remembered() {
    if !crate::metadata::is_root() {
        eprintln!("skipped: this is not root");
        return;
    }
    let break_files = |scene: &Scene| {
        for file in ["ssconf_master_ip", "ssconf_node_list"] {
            let _ = fs::remove_file(scene.data().join(file));
            fs::create_dir(scene.data().join(file)).unwrap();
        }
    };
    let scene = master();
    scene.file("ssconf_master_ip", "192.0.2.100\n");
    assert_eq!(scene.run(MASTER, "monitor", &RECURRING).code, 0);
    break_files(&scene);
    let ended = scene.with_address("192.0.2.100/24", MASTER, "stop");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("127.0.0.1/8") && !ended.stdout.contains("192.0.2.100"), "{}", ended.stdout);

    let scene = master();
    break_files(&scene);
    let ended = scene.run(MASTER, "stop", &[]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("the master IP is unknown"), "{}", ended.stderr);

    let elsewhere = Scene::new("n2.lab");
    break_files(&elsewhere);
    assert_eq!(elsewhere.run(MASTER, "stop", &[]).code, 0, "no role was here");
}

/// After "not running" Pacemaker runs no stop, and a remaining IP keeps the role from every other node.
#[test]
fn a_master_ip_without_a_luxid_is_a_failure_in_full_mode() {
    if !crate::metadata::is_root() {
        eprintln!("skipped: this is not root");
        return;
    }
    let scene = Scene::new("n1.lab").alone();
    scene.file("ssconf_cluster_tags", "ocf:master-role:full\n");
    scene.file("ssconf_master_ip", "192.0.2.100\n");
    assert_eq!(scene.with_address("192.0.2.100/24", MASTER, "monitor").code, 1);
    assert_eq!(scene.with_address("192.0.2.101/24", MASTER, "monitor").code, 7);
}

/// "Not installed" bans a node; "unpromoted" lets Pacemaker promote another node beside a serving master.
#[test]
fn files_that_cannot_be_read_are_a_failure_and_no_absence() {
    let clone = [("OCF_RESKEY_CRM_meta_promoted_max", "1"), RECURRING[0]];
    let scene = master();
    fs::remove_file(scene.data().join("ssconf_node_list")).unwrap();
    assert_eq!(scene.run(MASTER, "monitor", &RECURRING).code, 5);
    assert_eq!(scene.run(MASTER, "monitor", &clone).code, 0);
    fs::create_dir(scene.data().join("ssconf_node_list")).unwrap();
    for action in ["monitor", "start"] {
        assert_eq!(scene.run(MASTER, action, &RECURRING).code, 1, "{action}");
    }
    assert_eq!(scene.run(MASTER, "monitor", &clone).code, 9, "luxid listens");
    assert_eq!(scene.run(MASTER, "monitor", &[]).code, 1, "a first look, and luxid listens");
    fs::remove_dir_all(scene.data().join("../run/socket")).unwrap();
    assert_eq!(scene.run(MASTER, "monitor", &clone).code, 0, "nothing serves");
    assert_eq!(scene.run(MASTER, "monitor", &RECURRING).code, 1, "Pacemaker has the role here");
    let first = scene.run(MASTER, "monitor", &[]).code;
    assert_eq!(first, 7, "a second master that failed would have Pacemaker stop the first one, which serves elsewhere");
}

/// An environment may have variables that are not text.
#[test]
fn what_is_no_text_is_no_panic() {
    let scene = Scene::new("n1.lab").alone();
    let bad = std::ffi::OsStr::from_bytes(b"/\xff");
    assert_eq!(scene.run_strange("monitor".as_ref(), ("LS_COLORS".as_ref(), bad)).code, 0);
    assert_eq!(scene.run_strange(bad, ("X".as_ref(), bad)).code, 3);
    let ended = scene.run_strange("monitor".as_ref(), ("OCF_RESKEY_data_dir".as_ref(), bad));
    assert_eq!(ended.code, 5, "another directory than was asked for must not be taken: {}", ended.stderr);
}
