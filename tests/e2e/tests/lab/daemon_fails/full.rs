//! Full mode: a failed part that the roles need is found within its deadline and recovered on its host.

use std::time::Instant;

use lab::{Host, Output};

use crate::administration::graceful;
use crate::daemon_fails::simulate;
use crate::support::cib::Roles;
use crate::support::cluster::Scene;
use crate::support::end::End;

/// The most in s until a failure is found: a check may take 4 s of a monitor every 3 s; then Pacemaker stops and starts
/// the role.
const FOUND: u64 = 30;

/// The most in s until a failure is recovered: a stop waits 10 s for a daemon that hangs.
const RECOVERED: u64 = 60;

/// One lab for all scenarios that need a primitive, first in full mode and then in partial mode. The graceful moves
/// come last: a master drains no node while its cluster stack has only started.
#[test]
fn a_primitive_in_full_mode_recovers_what_failed_and_leaves_gracefully() {
    let scene = Scene::up("full-one", 3, Roles::Primitive);
    // A stopped primitive has no stickiness. If Pacemaker 2.1.5 counts a failure only after the stop has begun, it
    // decides again, and starts the role on the host with the fewest resources. So the fence device must not be on n1.
    let beside = format!(
        "<constraints><rsc_location id=\"fence-near\" rsc=\"fence-ganeti\" node=\"{}\" score=\"100\"/></constraints>",
        scene.host("n3").uname()
    );
    scene.lab.configure_cib(&beside).unwrap();
    scene.reconfigure(|text| format!("{text}\n[record]\nstart_up_grace = 60\n"));
    tag(&scene, "add-tags");
    daemons(&scene);
    simulate::each_file(&scene);
    scene.forget_failures();
    tag(&scene, "remove-tags");
    health(&scene);
    graceful::each_way(&scene);
}

/// Sets both roles to full mode, or to partial mode.
fn tag(scene: &Scene, command: &str) {
    let master = scene.host(&scene.holder().unwrap());
    master.check(&["gnt-cluster", command, "ocf:master-role:full", "ocf:node-role:full"]).unwrap();
    scene.settle();
    assert_eq!(scene.failures(), Vec::<String>::new(), "a cluster that works has no failures in any mode");
}

/// n1 stays the master: the failure is recovered on its host, and no node is fenced.
fn daemons(scene: &Scene) {
    let (n1, n3) = (scene.host("n1"), scene.host("n3"));
    recovered(scene, "luxid", || shell(&n1, "kill -KILL $(cat /var/run/ganeti/ganeti-luxid.pid)"));
    recovered(scene, "wconfd", || shell(&n1, "kill -STOP $(cat /var/run/ganeti/ganeti-wconfd.pid)"));
    recovered(scene, "master IP", || shell(&n1, "ip addr del 192.0.2.100/32 dev eth0"));
    let before = shell(&n3, "cat /var/run/ganeti/ganeti-noded.pid").stdout;
    recovered(scene, "noded", || shell(&n3, "kill -STOP $(cat /var/run/ganeti/ganeti-noded.pid)"));
    assert_ne!(shell(&n3, "cat /var/run/ganeti/ganeti-noded.pid").stdout, before, "a noded that hung is another now");
    recovered(scene, "confd", || shell(&n3, "kill -STOP $(cat /var/run/ganeti/ganeti-confd.pid)"));
}

/// In partial mode nothing is recovered: a daemon that hangs stays as it is, and the attribute reports it.
fn health(scene: &Scene) {
    let holder = scene.holder().unwrap();
    let (master, other) = (scene.host(&holder), scene.others(&holder).remove(0));
    let node = other.uname();
    let says = |word: &str| {
        let asked = ["attrd_updater", "--name", "#health-ganeti", "--node", node, "--query"];
        scene.wait(&format!("the health of {node} is {word:?}"), FOUND, || {
            let output = master.run(&asked)?.text();
            // A deleted attribute is still read, and has none of these values.
            let has = |value: &&str| output.contains(&format!("value=\"{value}\""));
            let value = ["green", "yellow", "red"].into_iter().find(has);
            Ok(value.unwrap_or_default() == word)
        });
    };
    master.check(&["gnt-cluster", "add-tags", "ocf:health:on"]).unwrap();
    says("green");
    let begun = Instant::now();
    shell(&other, "kill -STOP $(cat /var/run/ganeti/ganeti-noded.pid)");
    says("red");
    println!("#health-ganeti: red after {:.1} s", begun.elapsed().as_secs_f64());
    shell(&other, "kill -CONT $(cat /var/run/ganeti/ganeti-noded.pid)");
    says("green");
    let found = master.run(&["gnt-ha", "check", "--no-devices"]).unwrap().text();
    assert!(found.contains("ocf:health:on: node-health-strategy has the value none"), "{found}");
    master.check(&["gnt-cluster", "remove-tags", "ocf:health:on"]).unwrap();
    says("");
    assert_eq!(scene.failures(), Vec::<String>::new(), "partial mode does not fail");
}

/// Breaks a part: a monitor finds the failure, Pacemaker recovers it there, and no other host is affected.
fn recovered(scene: &Scene, check: &str, broken: impl FnOnce() -> Output) {
    scene.forget_failures();
    let begun = Instant::now();
    broken();
    let mut failures = Vec::new();
    scene.wait(&format!("a monitor finds {check}"), FOUND, || {
        failures = scene.failures();
        Ok(failures.iter().any(|failure| failure.contains(&format!("{check}: "))))
    });
    println!("{check}: found after {:.1} s: {failures:?}", begun.elapsed().as_secs_f64());
    scene.wait(&format!("{check} is recovered"), RECOVERED, || Ok(scene.is_well("n1")));
    println!("{check}: recovered after {:.1} s", begun.elapsed().as_secs_f64());
    scene.assert_end(&End { master: "n1", ..End::default() });
}

/// Runs a line in the host's shell, which has to succeed.
pub(crate) fn shell(host: &Host, line: &str) -> Output {
    host.check(&["sh", "-c", line]).unwrap()
}
