//! An administrator sets a running node offline with Ganeti's own command: the hooks shun it and put it on standby.

use std::time::Instant;

use e2e::install::GNT_HA;
use e2e::receipts;
use gnt_ha::core::grade::Grade;
use lab::{Host, Power};
use serde_json::Value;

use crate::support::cluster::Scene;

const NODE: &str = "n3.lab";

/// The scope in which a host's kernel shuns the node: none, TCP or all traffic.
fn shun_scope(host: &Host) -> Option<String> {
    let output = host.run(&[GNT_HA, "shun", "status", "--json"]).unwrap();
    let all: Value = serde_json::from_str(&output.stdout).unwrap();
    let entry = all["nodes"].as_array().unwrap().iter().find(|line| line["node"] == NODE)?;
    assert_eq!(entry["applied"], true, "{}: {entry}", host.name());
    Some(entry["entry"]["scope"].as_str().unwrap().to_owned())
}

fn standby(scene: &Scene) -> Option<String> {
    let node = scene.host("n3");
    let words = ["crm_attribute", "--node", node.uname(), "--name", "standby", "--query", "--quiet"];
    let output = scene.host("n1").run(&words).unwrap();
    output.success().then(|| output.stdout.trim().to_owned())
}

fn modify(master: &Host, what: &str) -> lab::Output {
    let begun = Instant::now();
    // Without a terminal for its question, --offline=no has no effect without --force.
    let output = master.run(&["gnt-node", "modify", "--force", what, NODE]).unwrap();
    println!("gnt-node modify {what}: {:.1} s: {output:?}", begun.elapsed().as_secs_f64());
    output
}

fn cib(master: &Host) -> String {
    master.check(&["cibadmin", "--query"]).unwrap().stdout
}

/// A node that is set offline by hand is shunned over TCP, and Pacemaker sets it to standby. It stays a member of
/// Pacemaker's cluster. Both are undone when Ganeti has the node online again.
pub(crate) fn put_on_standby_until_it_is_back(scene: &Scene) {
    let master = scene.host("n1");
    let output = modify(&master, "--offline=yes");
    assert!(output.success() && !output.text().contains("gnt-ha"), "{}", output.text());
    assert_eq!(standby(scene).as_deref(), Some("true"), "set before the job ended");
    for host in scene.others("n3") {
        assert_eq!(shun_scope(&host).as_deref(), Some("tcp"), "{}", host.name());
    }
    scene.settle();
    assert!(scene.lab.crm_mon().unwrap().is_online("n3"), "corosync is not shunned");
    scene.assert_only_fenced(&[]);

    let failed = modify(&master, "--offline=no");
    assert!(!failed.success() && failed.text().contains("fails to report its version"), "{}", failed.text());
    let unconfirmed = master.run(&[GNT_HA, "readmit", NODE]).unwrap();
    assert!(!unconfirmed.success() && unconfirmed.text().contains("--force --reason TEXT"), "{}", unconfirmed.text());
    master.check(&[GNT_HA, "readmit", NODE, "--force", "--reason", "it was a test"]).unwrap();
    let back = modify(&master, "--offline=no");
    assert!(back.success(), "{}", back.text());
    assert_eq!(standby(scene), None);
    let cib = cib(&master);
    assert!(!cib.contains("gnt-ha-standby"), "as before: {cib}");
    for host in scene.others("n3") {
        assert_eq!(shun_scope(&host), None, "{}", host.name());
    }
    // A reconciliation in between may have found it on standby.
    scene.wait("n3 is a candidate again", 60, || Ok(scene.flags().get("n3").is_some_and(|flags| flags.role == "C")));
}

/// A node that is set offline by hand goes to standby, or is fenced, as a tag says.
pub(crate) fn fenced_once_where_the_tag_says_so(scene: &Scene) {
    const TAG: &str = "ocf:offline-by-hand:fence";
    let master = scene.host("n1");
    master.check(&["gnt-cluster", "add-tags", TAG]).unwrap();
    let tags = || master.read_file("/var/lib/ganeti/ssconf_cluster_tags");
    scene.wait("n1 has the tag", 20, || Ok(tags()?.contains(TAG)));
    let output = modify(&master, "--offline=yes");
    assert!(output.success() && !output.text().contains("gnt-ha"), "{}", output.text());
    scene.wait_fenced("n3", 60);
    assert_eq!(standby(scene), None);
    scene.settle();
    let history = scene.lab.fence_history().unwrap();
    let of_it: Vec<_> = history.iter().filter(|event| event.target.starts_with("n3")).collect();
    let ours = of_it.iter().filter(|event| event.client.starts_with("stonith_admin"));
    assert_eq!(ours.map(|event| event.action.as_str()).collect::<Vec<_>>(), ["off"], "{history:#?}");
    let actions = receipts::on_all(&scene.lab);
    let receipts =
        actions.iter().filter(|action| action.intent.node.short() == "n3").map(|action| action.receipt.as_ref());
    let proven: Vec<_> = receipts.map(|receipt| receipt.map(|receipt| receipt.grade)).collect();
    assert_eq!(proven, vec![Some(Grade::Off); of_it.len()], "{actions:#?}");
    scene.assert_only_fenced(&["n3"]);
    // Pacemaker fences it again, by its own action, if it learns of the loss at the end of the fencing.
    if of_it.len() == 1 {
        assert_eq!(scene.host("n3").power_status(), Power::Off);
        scene.wait("it is recorded unpowered", 60, || Ok(scene.flags().get("n3").is_some_and(|flags| flags.unpowered)));
    }

    master.check(&["gnt-cluster", "remove-tags", TAG]).unwrap();
    if scene.host("n3").power_status() == Power::Off {
        scene.host("n3").power_on().unwrap();
    }
    scene.wait_back("n3");
    scene.add_again("n3", "n1");
    scene.wait("it is a candidate again", 20, || Ok(scene.flags().get("n3").is_some_and(|flags| flags.role == "C")));
}
