//! Power and BMC fail together: no proof is possible, and an administrator has to confirm that the host is off.

use std::collections::BTreeSet;
use std::time::Instant;

use lab::Network;

use crate::support::cib::Roles;
use crate::support::cluster::Scene;
use crate::support::end::End;

/// No node takes over from a master that is not proven off, until an administrator confirms that it is.
fn the_masters_power_and_bmc_die(scene: &Scene, old: &str) {
    let dead = scene.host(old);
    let survivors = scene.others(old);
    let before = scene.touched();
    dead.cut(Network::Bmc).unwrap();
    dead.power_off().unwrap();
    let failed = |event: &lab::FenceEvent| event.target == dead.uname() && event.status == "failed";
    scene.wait("fencing fails", 120, || Ok(scene.lab.fence_history()?.iter().any(failed)));
    scene.nothing_happens();
    // Until it is confirmed as off, Pacemaker assumes that a master runs there.
    assert_eq!(scene.holder().as_deref(), Some(old), "no node takes the role over");
    assert_eq!((scene.serving(), scene.with_master_ip()), (vec![], vec![]));
    for host in &survivors {
        let offline = host.read_file("/var/lib/ganeti/ssconf_offline_nodes").unwrap();
        assert_eq!(offline.trim(), "", "{}: nothing is recorded", host.name());
        println!("{}: {}", host.name(), host.run(&["gnt-ha", "reconcile", "--dry-run"]).unwrap().text());
    }
    let histories: Vec<String> =
        survivors.iter().map(|host| host.run(&["gnt-ha", "history"]).unwrap().text()).collect();
    println!("{}", histories.join("\n"));
    assert!(
        histories.iter().any(|text| text.contains("does not answer") || text.contains("no answer")),
        "{histories:#?}"
    );

    let begun = Instant::now();
    let confirm_off = |host: &lab::Host, words: &[&str]| {
        host.run(&[&["gnt-ha", "confirm-off", "--reason", "no power in its rack"], words].concat()).unwrap()
    };
    let of_one_that_runs = confirm_off(&survivors[0], &["--yes", &survivors[1].fqdn()]);
    assert!(!of_one_that_runs.success() && of_one_that_runs.stderr.contains("it runs"), "{}", of_one_that_runs.text());
    let without_terminal = confirm_off(&survivors[0], &[&dead.fqdn()]);
    assert!(!without_terminal.success() && without_terminal.stderr.contains("--yes"), "{}", without_terminal.text());
    let taken = confirm_off(&survivors[0], &["--yes", &dead.fqdn()]);
    assert!(taken.success(), "{}", taken.text());
    let kept = survivors[0].check(&["gnt-ha", "history", &dead.fqdn()]).unwrap().stdout;
    assert!(kept.contains("root: no power in its rack"), "{kept}");
    let new = scene.wait_new_master(old);
    println!("confirmed by hand: {new} serves after {:.1} s", begun.elapsed().as_secs_f64());
    scene.wait_offline(&[old]);
    scene.settle();
    let fenced: Vec<&str> =
        before.iter().map(String::as_str).chain([old]).collect::<BTreeSet<_>>().into_iter().collect();
    scene.assert_end(&End { master: &new, fenced: &fenced, offline: &[old], ..End::default() });
}

#[test]
fn no_node_takes_over_from_a_master_without_power_and_bmc_until_it_is_confirmed_off() {
    let scene = Scene::up("bmc-dead", 3, Roles::Promotable);
    // Three times for each attempt, and Pacemaker ends the running one before it accepts a confirmation.
    scene.reconfigure(|text| text.replace("username = ", "login_timeout = 2\nusername = "));
    the_masters_power_and_bmc_die(&scene, "n1");
}
