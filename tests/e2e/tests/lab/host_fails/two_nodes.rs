//! Two nodes: no vote can be won (Ganeti issue 1212), so the fencing is the proof, and later the record.

use std::time::Duration;

use crate::support::cib::Roles;
use crate::support::cluster::Scene;
use crate::support::end::End;

const PIDS: [&str; 2] = ["ganeti-luxid", "ganeti-wconfd"];

fn kill_the_daemons(scene: &Scene, name: &str) {
    for daemon in PIDS {
        let line = format!("kill -9 $(cat /run/ganeti/{daemon}.pid)");
        scene.host(name).check(&["sh", "-c", &line]).unwrap();
    }
    assert!(scene.serving().is_empty());
}

/// Ganeti's watcher starts missing daemons in its own way, with a vote. On a host that is master only by its own files,
/// it waits for a luxid that does not start.
fn run_the_watcher(scene: &Scene, name: &str) {
    let ended = scene.host(name).run_within(&["ganeti-watcher", "--ignore-pause"], Duration::from_secs(30));
    println!("ganeti-watcher on {name}: {ended:?}");
}

#[test]
fn of_two_nodes_the_survivor_serves_and_can_start_again() {
    let scene = Scene::up("two", 2, Roles::Primitive);
    scene.host("n1").check(&["gnt-cluster", "add-tags", "ocf:master-role:full"]).unwrap();
    // wconfd notifies the other nodes a moment after the job has ended, by two channels. n2 has to know the tag itself,
    // and to have it in the configuration with which it goes on as the master.
    let n2 = scene.host("n2");
    let has_it = |file: &str| -> lab::Result<bool> { Ok(n2.read_file(file)?.contains("ocf:master-role:full")) };
    let files = ["/var/lib/ganeti/ssconf_cluster_tags", "/var/lib/ganeti/config.data"];
    scene.wait("n2 knows the tag", 20, || Ok(has_it(files[0])? && has_it(files[1])?));
    assert_eq!(scene.kill_the_master("n1"), "n2");
    scene.wait_offline(&["n1"]);
    let end = End { master: "n2", fenced: &["n1"], offline: &["n1"], ..End::default() };
    scene.assert_end(&end);
    run_the_watcher(&scene, "n2");
    scene.assert_end(&end);

    // Both with a recent fencing and with no known fencing: the record is a proof that does not expire.
    for forgotten in [false, true] {
        if forgotten {
            let n2 = scene.host("n2");
            n2.check(&["stonith_admin", "--cleanup", "--history", "*"]).unwrap();
            n2.check(&["mv", "/var/lib/gnt-ha/receipts.jsonl", "/root/receipts.jsonl"]).unwrap();
        }
        kill_the_daemons(&scene, "n2");
        if forgotten {
            run_the_watcher(&scene, "n2");
        }
        let took = scene.wait("n2 serves again", 120, || Ok(scene.serving() == ["n2"]));
        println!("n2 serves again {:.1} s after its daemons were killed", took.as_secs_f64());
        run_the_watcher(&scene, "n2");
        scene.settle();
        assert_eq!(scene.serving(), ["n2"]);
        assert_eq!(scene.holder().as_deref(), Some("n2"));
    }
    scene.host("n2").check(&["mv", "/root/receipts.jsonl", "/var/lib/gnt-ha/receipts.jsonl"]).unwrap();
    scene.bring_back("n1");
    run_the_watcher(&scene, "n1");
    run_the_watcher(&scene, "n2");
    scene.assert_end(&end);
}
