//! Two hosts and a third one with corosync's qnetd, which decides which host goes on; about four minutes in all.

use e2e::install::GNT_HA;
use lab::{Host, Output};

use crate::administration::forms;
use crate::daemon_fails::full::shell;
use crate::support::cib::Roles;
use crate::support::cluster::Scene;
use crate::support::end::End;

/// The effect of `systemctl stop corosync` with a quorum device. Only that no process is left counts.
const STOP: &str = "kill $(pidof pacemakerd); while pidof pacemakerd >/dev/null; do sleep 0.2; done && \
    kill $(pidof corosync-qdevice); while pidof corosync-qdevice >/dev/null; do sleep 0.2; done && \
    kill $(pidof corosync); while pidof corosync >/dev/null; do sleep 0.2; done";

/// The commands of a boot.
const START: &str = "corosync && until corosync-cfgtool -s >/dev/null 2>&1; do sleep 0.2; done && corosync-qdevice && \
    PCMK_logfile=/var/log/pacemaker/pacemaker.log setsid --fork pacemakerd";

fn gnt_ha(host: &Host, words: &[&str]) -> Output {
    let output = host.run(&[&[GNT_HA], words].concat()).unwrap();
    println!("gnt-ha {}: {}", words.join(" "), output.text());
    output
}

/// Returns how often each of the two was fenced.
fn fenced(scene: &Scene) -> [usize; 2] {
    ["n1", "n2"].map(|name| scene.times_fenced(name).unwrap())
}

fn is_green(scene: &Scene, host: &Host) {
    scene.wait("check is green", 60, || Ok(host.run(&[GNT_HA, "check"])?.success()));
}

#[test]
#[ignore = "make soak: four minutes"]
fn of_two_nodes_and_qnetd_exactly_one_goes_on() {
    let lab = Scene::with_qnetd("qdevice");
    let (n1, n2, qnetd) = (lab.host("n1").unwrap(), lab.host("n2").unwrap(), lab.qnetd().unwrap());
    let applied = gnt_ha(&n1, &["setup", "--apply"]);
    assert!(applied.success() && !applied.stdout.contains("priority"), "{}", applied.text());
    n1.check(&["gnt-cluster", "add-tags", "ocf:master-role:full"]).unwrap();
    n1.check(&["crm_attribute", "--name", "stonith-action", "--update", "off"]).unwrap();
    let scene = Scene::with_lab(lab, Roles::Promotable);
    is_green(&scene, &n1);
    scene.wait("no step is blocked", 60, || Ok(n1.run(&[GNT_HA, "rehearse", "n1"])?.success()));
    let rehearsed = gnt_ha(&n1, &["rehearse", "n1"]).stdout;
    assert!(rehearsed.contains("about 8.0 s") && rehearsed.contains("the vote of qnetd on 192.0.2.200"), "{rehearsed}");
    assert!(gnt_ha(&n1, &["status"]).stdout.contains("the quorum device on 192.0.2.200 gives its vote"));
    forms::each_is_so(&scene, &n1, Roles::Primitive);
    forms::each_is_so(&scene, &n1, Roles::Promotable);
    forms::each_deletes_the_preference(&n1);
    n1.check(&["crm_attribute", "--name", "stonith-action", "--update", "off"]).unwrap();
    is_green(&scene, &n1);
    scene.wait("no step is blocked", 60, || Ok(n1.run(&[GNT_HA, "rehearse", "n1"])?.success()));

    // The master's host dies.
    assert_eq!(scene.kill_the_master("n1"), "n2");
    scene.wait_offline(&["n1"]);
    scene.assert_end(&End { master: "n2", fenced: &["n1"], offline: &["n1"], ..End::default() });
    scene.bring_back("n1");
    scene.add_again("n1", "n2");
    is_green(&scene, &n2);
    scene.wait("no step is blocked", 60, || Ok(n2.run(&[GNT_HA, "rehearse", "n2"])?.success()));

    // The hosts lose each other and both still reach qnetd, which chooses the one with the lowest number.
    scene.lab.block_between(&[("n1", "n2")]).unwrap();
    scene.wait_fenced("n2", 60);
    assert_eq!(scene.wait_new_master("n2"), "n1");
    scene.lab.block_between(&[]).unwrap();
    scene.wait_offline(&["n2"]);
    assert_eq!(fenced(&scene), [1, 1], "exactly one of them");
    scene.assert_end(&End { master: "n1", fenced: &["n1", "n2"], offline: &["n2"], ..End::default() });
    scene.bring_back("n2");
    scene.add_again("n2", "n1");
    is_green(&scene, &n1);

    // The cluster stack stops cleanly.
    shell(&n2, STOP);
    scene.settle();
    assert_eq!((fenced(&scene), scene.serving()), ([1, 1], vec!["n1".to_owned()]));
    shell(&n2, START);
    scene.wait_back("n2");
    is_green(&scene, &n1);

    // Without qnetd the cluster goes on, and ends with the next failure.
    qnetd.kill().unwrap();
    let check_shows = |words: &str| -> lab::Result<bool> { Ok(n1.run(&[GNT_HA, "check"])?.text().contains(words)) };
    scene
        .wait("check shows it", 60, || check_shows(&format!("{}: it has no vote of qnetd on 192.0.2.200", n2.uname())));
    assert_eq!(gnt_ha(&n1, &["check"]).code, 2);
    assert!(gnt_ha(&n1, &["status"]).stdout.contains("does not give its vote to each member"));
    let failed = gnt_ha(&n1, &["drill", "n2", "--yes"]);
    let why = "loses quorum: 1 of 3 votes would be left, and 2 are needed";
    assert!(!failed.success() && failed.stderr.contains(why), "{}", failed.text());
    let rehearsed = gnt_ha(&n1, &["rehearse", "n2"]);
    assert!(rehearsed.stdout.contains(why) && rehearsed.stdout.contains("no node would be fenced"));
    assert!(rehearsed.stdout.contains("demote gnt-ha-master on n1"), "{}", rehearsed.text());
    assert_eq!(fenced(&scene), [1, 1], "no host was fenced meanwhile");
    n2.power_off().unwrap();
    scene.wait("n1 has no quorum, and serves no more", 60, || Ok(!n1.crm_mon()?.quorum && scene.serving().is_empty()));
    scene.settle();
    assert_eq!(fenced(&scene), [1, 1]);

    // qnetd is back, and gives its vote to the remaining host. But a host that has lost quorum waits for all others,
    // until an administrator ends the wait.
    qnetd.start().unwrap();
    scene.wait("n1 has the vote", 60, || {
        Ok(shell(&n1, "corosync-quorumtool -s || [ $? = 2 ]").stdout.contains("Total votes:      2"))
    });
    scene.settle();
    assert!(!n1.crm_mon().unwrap().quorum);
    n1.check(&["corosync-cmapctl", "-s", "quorum.cancel_wait_for_all", "u8", "1"]).unwrap();
    scene.wait("n2 is fenced", 90, || Ok(fenced(&scene) == [1, 2]));
    scene.wait_role("n1", 100);
    scene.wait_offline(&["n2"]);
    scene.assert_end(&End { master: "n1", fenced: &["n1", "n2"], offline: &["n2"], ..End::default() });
}
