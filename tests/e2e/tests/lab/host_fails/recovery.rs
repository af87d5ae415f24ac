//! The instances of a dead host run again on other hosts, once each.

use std::time::{Duration, Instant};

use e2e::install::{GNT_HA, install_hooks};
use e2e::roles::luxi_within;
use lab::Host;
use serde_json::{Value, json};

use crate::support::cib::Roles;
use crate::support::cluster::Scene;
use crate::support::end::End;
use crate::support::watcher::Watcher;

/// Ganeti's tag that permits the start elsewhere, for harep, too.
const PERMITTED: &str = "ganeti:watcher:autorepair:failover";

/// What recovery remembers, on each host.
const RECOVERY: &str = "/var/lib/gnt-ha/recovery.json";

/// The most that luxid may take, in seconds, on a machine with other labs.
const ANSWER_S: u32 = 30;

/// A hook that keeps the environment of each call.
const KEEP_ENVIRONMENT: &str = "#!/bin/sh\nenv >\"/root/$GANETI_HOOKS_PATH.$GANETI_INSTANCE_NAME\"\n";

/// A hook on the master that fails each start of `bad`, and the first one of `flaky`.
const FAIL: &str = "#!/bin/sh
case $GANETI_INSTANCE_NAME in
bad.lab) exit 1 ;;
flaky.lab) [ -e /root/flaky ] || { : >/root/flaky; exit 1; } ;;
esac
";

/// A cluster with harep's tags has not asked gnt-ha to start anything. Then recovery is switched on.
fn nothing_starts_before_recovery_is_on(scene: &Scene) {
    let master = scene.host("n1");
    master.check(&["gnt-cluster", "add-tags", PERMITTED]).unwrap();
    scene.kill(&["n4"]);
    scene.wait_offline(&["n4"]);
    assert!(master.run(&[GNT_HA, "reconcile"]).unwrap().success());
    scene.nothing_happens();
    scene.assert_down(&["w1", "w2", "w3", "stopped"]);
    let shown = master.run(&[GNT_HA, "recover", "--dry-run"]).unwrap().text();
    assert!(shown.contains("* w1.lab") && shown.contains("recovery is off"), "{shown}");
    assert!(!shown.contains("stopped.lab"), "{shown}");

    let refused = master.run(&[GNT_HA, "recover"]).unwrap();
    assert!(!refused.success() && refused.text().contains("nothing is started: recovery is off"), "{}", refused.text());
    println!("{}", master.check(&[GNT_HA, "setup", "--recover", "--apply"]).unwrap().stdout);
    let elsewhere = scene.host("n2").run(&[GNT_HA, "recover"]).unwrap();
    assert!(!elsewhere.success() && elsewhere.text().contains("this host is not the master"), "{}", elsewhere.text());
    let begun = Instant::now();
    println!("{}", master.run(&[GNT_HA, "recover", "n4"]).unwrap().text());
    scene.wait_instances(&["w1", "w2", "w3"], begun);
    let course = || Ok(master.run(&[GNT_HA, "history", "n4", "--incident", "last"])?.text());
    scene.wait("the history has each instance", 60, || {
        let text = course()?;
        Ok(["w1", "w2", "w3"].iter().all(|name| text.contains(&format!("recovery: {name}.lab: seen running on "))))
    });
    println!("{}", course().unwrap());
    scene.assert_down(&["stopped"]);
}

/// What the guard reads is what Ganeti gives a hook.
fn the_hooks_have_the_expected_environment(scene: &Scene) {
    let master = scene.host("n1");
    let of = |hook: &str| master.read_file(&format!("/root/{hook}.w1.lab")).unwrap();
    let has = |text: &str, line: &str| text.lines().any(|given| given == line);
    let modified = of("instance-modify");
    for line in ["GANETI_INSTANCE_NAME=w1.lab", "GANETI_INSTANCE_STATUS=up", "GANETI_INSTANCE_PRIMARY=n4.lab"] {
        assert!(has(&modified, line), "{line}: {modified}");
    }
    let started = of("instance-start");
    for line in ["GANETI_INSTANCE_NAME=w1.lab", "GANETI_INSTANCE_STATUS=up", "GANETI_HOOKS_PHASE=pre"] {
        assert!(has(&started, line), "{line}: {started}");
    }
    assert!(!has(&started, "GANETI_INSTANCE_PRIMARY=n4.lab"), "{started}");
}

/// Submits a job and returns its status and its error.
fn job(master: &Host, opcode: Value, source: &str) -> (String, String) {
    let mut opcode = opcode;
    opcode["reason"] = json!([[source, "test", 1], [source, "only-off:n2.lab", 1]]);
    let id = luxi_within(master, "SubmitJob", &json!([[opcode]]), ANSWER_S).unwrap();
    let _ = master.run(&["gnt-job", "wait", &id.to_string()]);
    let query = json!(["job", ["status", "opresult"], ["=", "id", id]]);
    let answer = luxi_within(master, "Query", &query, ANSWER_S).unwrap();
    (answer["data"][0][0][1].as_str().unwrap().to_owned(), answer["data"][0][1][1].to_string())
}

/// Makes the master remember a start that was submitted and is not confirmed. Jobs are only checked while there is one.
fn a_start_is_under_way(scene: &Scene) {
    let master = scene.host("n1");
    let uptime = master.read_file("/proc/uptime").unwrap();
    let seconds: u64 = uptime.split('.').next().unwrap().parse().unwrap();
    let at = json!({"wall_ms": 1, "boottime_ms": seconds * 1_000});
    let breaker = json!({"blocked": [], "limit": 0, "excused": []});
    let memory = json!({"at": at, "breaker": breaker, "lines": [], "waits": true, "unconfirmed": {"other.lab": at},
                        "started": {}});
    // A recovery that has just read the file before writes its own over it.
    scene.wait("a start is under way", 30, || {
        master.write_file(RECOVERY, memory.to_string().as_bytes(), 0o600)?;
        std::thread::sleep(Duration::from_secs(3));
        Ok(master.read_file(RECOVERY)?.contains("other.lab"))
    });
}

/// A start of gnt-ha's is stopped while Ganeti has the lock, if its reason is gone by then. The jobs of others pass.
fn the_last_check_stops_what_is_not_wanted_any_more(scene: &Scene) {
    a_start_is_under_way(scene);
    let (master, ours) = (scene.host("n1"), "gnt:extern:gnt-ha");
    let start = || json!({"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "here.lab", "no_remember": true});
    let (status, error) = job(&master, start(), ours);
    assert!(status == "error" && error.contains("gnt-ha does not start here.lab"), "{status} {error}");
    scene.assert_down(&["here"]);
    // n2 is online.
    let change = || json!({"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": "w1.lab", "beparams": {"vcpus": 1}});
    let (status, error) = job(&master, change(), ours);
    assert!(status == "error" && error.contains("gnt-ha does not start w1.lab"), "{status} {error}");
    assert_eq!(job(&master, change(), "gnt:client").0, "success");
}

/// A start that fails is tried on another node once. The host is back while its instances start elsewhere.
fn a_start_that_fails_is_tried_on_another_node(scene: &Scene) {
    let master = scene.host("n1");
    scene.add_instances("n1", &[("e1", "n3"), ("flaky", "n3"), ("bad", "n3")], 220);
    // The second attempt is a failover: Ganeti makes sure that the instance does not run on the node that failed.
    for hook in ["instance-start", "instance-failover"] {
        let path = format!("/etc/ganeti/hooks/{hook}-pre.d/10-fail");
        master.write_file(&path, FAIL.as_bytes(), 0o755).unwrap();
    }
    let begun = Instant::now();
    scene.kill(&["n3"]);
    scene.wait("the first starts have begun", 90, || Ok(master.run(&["test", "-e", "/root/flaky"])?.success()));
    // Pacemaker reboots a fenced host by default: it is back, shunned, while its instances start elsewhere.
    scene.host("n3").power_on().unwrap();
    scene.wait_instances(&["e1", "flaky"], begun);
    let shown = || Ok(master.run(&[GNT_HA, "status"])?.text());
    scene.wait("the failed starts are reported", 60, || Ok(shown()?.contains("bad.lab: not started: 2 starts failed")));
    scene.assert_down(&["bad"]);
    println!("{}", shown().unwrap());
    // Its last primary node may be the next one to die, and then it would start elsewhere.
    master.check(&["gnt-instance", "shutdown", "bad.lab"]).unwrap();
    scene.wait_back("n3");
}

/// Every host with an instance dies, one after the other. Each instance that was marked up runs again on one other host;
/// one that an administrator stopped does not. Nothing ever runs twice. About 5 minutes, of which the lab takes 1.
#[test]
fn the_instances_of_dead_hosts_run_again_elsewhere_once() {
    let scene = Scene::up("recovery", 4, Roles::Promotable);
    install_hooks(&scene.lab).unwrap();
    for (host, hook) in
        scene.lab.hosts().iter().flat_map(|host| ["instance-start", "instance-modify"].map(|hook| (host.clone(), hook)))
    {
        let path = format!("/etc/ganeti/hooks/{hook}-pre.d/00-environment");
        host.write_file(&path, KEEP_ENVIRONMENT.as_bytes(), 0o755).unwrap();
    }
    let instances =
        [("w1", "n4"), ("w2", "n4"), ("w3", "n4"), ("stopped", "n4"), ("m1", "n1"), ("m2", "n1"), ("here", "n2")];
    scene.add_instances("n1", &instances, 200);
    let words = ["gnt-instance", "shutdown", "--force-multi", "stopped.lab", "here.lab"];
    scene.host("n1").check(&words).unwrap();
    let watcher = Watcher::begin(&scene.lab);

    nothing_starts_before_recovery_is_on(&scene);
    the_hooks_have_the_expected_environment(&scene);
    the_last_check_stops_what_is_not_wanted_any_more(&scene);
    // It returns with its old files, and does not start what runs elsewhere.
    scene.bring_back("n4");
    scene.add_again("n4", "n1");
    a_start_that_fails_is_tried_on_another_node(&scene);

    let begun = Instant::now();
    let new = scene.kill_the_master("n1");
    scene.wait_instances(&["m1", "m2"], begun);
    scene.wait_offline(&["n1", "n3"]);
    scene.settle();
    let seen = watcher.end();
    assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
    scene.assert_down(&["stopped", "here", "bad"]);
    scene.assert_end(&End { master: &new, fenced: &["n1", "n3", "n4"], offline: &["n1", "n3"], ..End::default() });
}
