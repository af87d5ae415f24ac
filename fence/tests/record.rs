//! Ganeti's record of a fenced node. The agent changes it only if no program with more guards does.

#![allow(clippy::unwrap_used, reason = "a broken test stops at once")]

mod common;

use common::Cluster;
use gnt_ha::core::receipt::Timestamp;
use gnt_ha::sys::clock::now;
use serde_json::{Value, json};

/// Returns a cluster whose master is the host of the test, so that it may record, and Pacemaker's file.
fn where_we_are_master(properties: &str) -> Cluster {
    let cluster = Cluster::new();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let mut config = cluster.config();
    config["nodes"]["u1"]["name"] = json!(host.trim());
    for (id, name) in [("u4", "n4.lab"), ("u5", "n5.lab")] {
        config["nodes"][id] = json!({"name": name, "group": "g1", "ndparams": {}});
        cluster.set_power(name, "on");
    }
    cluster.write_config(&config);
    let text = format!(
        "<cib><configuration><crm_config><cluster_property_set id=\"s\">{properties}</cluster_property_set></crm_config>\
         </configuration></cib>"
    );
    std::fs::write(cluster.path("cib.xml"), text).unwrap();
    cluster
}

/// Fences `node` as Pacemaker does, which must succeed whatever happens to the record. Returns the result of the
/// record.
fn fence(cluster: &Cluster, node: &str, more: &str) -> String {
    let cib = cluster.path("cib.xml");
    cluster.pacemaker(&format!("action=off\nplug={node}\ncib={}\n{more}", cib.display())).succeeded();
    assert_eq!(cluster.power(node), "off");
    let receipt_log = cluster.receipt_log();
    receipt_log.last().unwrap()["record"].as_str().map(str::to_owned).unwrap_or_default()
}

/// Writes the memory that a reconciliation at `at` would have left.
fn has_run(cluster: &Cluster, at: Timestamp) {
    let memory = json!({
        "breaker": {"open": null, "down": [], "excused": [], "whole": null}, "last_run": at, "nodes": {}
    });
    std::fs::create_dir_all(cluster.path("state")).unwrap();
    std::fs::write(cluster.path("state/reconcile-memory.json"), memory.to_string()).unwrap();
}

fn breaker(cluster: &Cluster) -> Value {
    let memory: Value = serde_json::from_str(&cluster.text("state/reconcile-memory.json")).unwrap_or_default();
    memory["breaker"].clone()
}

/// No luxid runs here: this error shows that no guard blocked the record.
const TRIED: &str = "not recorded here: no luxid answers at";

#[test]
fn the_master_records_and_counts_it() {
    let cluster = where_we_are_master("");
    let record = fence(&cluster, "n2.lab", "");
    assert!(record.starts_with(TRIED), "{record}");
    assert_eq!(breaker(&cluster)["down"], json!(["n2.lab"]));
}

/// Two programs that record the same node one second apart are one too many; the one with more guards does it.
#[test]
fn where_the_agents_check_it_is_left_to_them() {
    let cluster = where_we_are_master("");
    has_run(&cluster, now());
    assert_eq!(
        fence(&cluster, "n2.lab", ""),
        "not recorded here: the next reconciliation of the role agents records it"
    );
    assert_eq!(breaker(&cluster)["down"], json!([]));
    // Agents that are gone record nothing any more, although their file is still being written.
    let at = now();
    has_run(&cluster, Timestamp { wall_ms: at.wall_ms - 130_000, boottime_ms: at.boottime_ms.saturating_sub(130_000) });
    for node in ["n3.lab", "n4.lab"] {
        let record = fence(&cluster, node, "");
        assert!(record.starts_with(TRIED), "{record}");
    }
}

#[test]
fn the_third_at_once_opens_the_breaker() {
    let cluster = where_we_are_master("");
    for (id, node) in [("u2", "n2.lab"), ("u3", "n3.lab")] {
        assert!(fence(&cluster, node, "").starts_with(TRIED));
        // The test does what Ganeti would have done; otherwise the node would count as returned.
        let mut config: Value = serde_json::from_str(&cluster.text("data/config.data")).unwrap();
        config["nodes"][id]["offline"] = json!(true);
        cluster.write_config(&config);
    }
    let record = fence(&cluster, "n4.lab", "");
    assert!(
        record.starts_with("not recorded here: the breaker is open and blocks n4.lab beside n2.lab, n3.lab"),
        "{record}"
    );
    assert_eq!(breaker(&cluster)["open"]["blocked"], json!(["n4.lab"]), "it opens");
    assert!(
        fence(&cluster, "n5.lab", "").starts_with("not recorded here: the breaker is open and blocks n4.lab, n5.lab")
    );
}

/// A pause that cannot be read counts as a pause.
#[test]
fn a_pause_of_the_cluster_or_of_this_host_holds_it_back() {
    let pause = r#"{"reason":"a fan","by":"root","since_ms":1}"#;
    let property = format!(r#"<nvpair id="p" name="gnt-ha-pause" value="{}"/>"#, pause.replace('"', "&quot;"));
    let cluster = where_we_are_master(&property);
    assert_eq!(fence(&cluster, "n2.lab", ""), "not recorded here: paused by root: a fan (gnt-ha resume)");

    let cluster = where_we_are_master("");
    std::fs::create_dir_all(cluster.path("state")).unwrap();
    std::fs::write(cluster.path("state/pause.json"), pause).unwrap();
    assert_eq!(fence(&cluster, "n2.lab", ""), "not recorded here: paused by root: a fan (gnt-ha resume)");

    let cluster = where_we_are_master("");
    std::fs::remove_file(cluster.path("cib.xml")).unwrap();
    let record = fence(&cluster, "n2.lab", "");
    assert!(record.contains("cib.xml: Pacemaker has never run on this host"), "{record}");
    std::fs::write(cluster.path("cib.xml"), "<cib><configuration>").unwrap();
    let record = fence(&cluster, "n3.lab", "");
    assert!(record.contains("it is not a whole CIB"), "{record}");
}

#[test]
fn maintenance_and_a_weak_proof_hold_it_back() {
    let cluster = where_we_are_master(r#"<nvpair id="m" name="maintenance-mode" value="true"/>"#);
    assert_eq!(fence(&cluster, "n2.lab", ""), "not recorded here: Pacemaker is in maintenance mode");

    let cluster = where_we_are_master("");
    cluster.program(
        "oob",
        r#"case "$1 $(cat "power-$2")" in "power-status off") echo '{"powered": false, "grade": "isolated"}'; exit 0 ;; esac"#,
    );
    let record = fence(&cluster, "n2.lab", "minimum_grade=isolated");
    assert_eq!(record, "not recorded here: it is only proven isolated, and at least bounded is needed");
    assert_eq!(breaker(&cluster), Value::Null, "what is not recorded does not count");
}

/// A boot that has ended, or is shunned, does not show that the power is off, so Ganeti's flag of the power stays.
#[test]
fn less_than_off_says_nothing_of_the_power() {
    for (grade, expected) in [("bounded", "it was recorded offline before"), ("off", TRIED)] {
        let cluster = where_we_are_master("");
        let mut config: Value = serde_json::from_str(&cluster.text("data/config.data")).unwrap();
        config["nodes"]["u2"]["offline"] = json!(true);
        config["nodes"]["u2"]["powered"] = json!(true);
        cluster.write_config(&config);
        let answer = format!(r#"echo '{{"powered": false, "grade": "{grade}"}}'; exit 0"#);
        cluster.program("oob", &format!(r#"case "$1 $(cat "power-$2")" in "power-status off") {answer} ;; esac"#));
        let record = fence(&cluster, "n2.lab", "");
        assert!(record.starts_with(expected), "{grade}: {record}");
    }
}

/// Fencing must not wait: a reconciliation that holds the lock delays it only for a moment, and never prevents it.
#[test]
fn a_reconciliation_under_way_is_not_waited_for() {
    let cluster = where_we_are_master("");
    std::fs::create_dir_all(cluster.path("state/lock")).unwrap();
    let file = std::fs::File::create(cluster.path("state/lock/reconcile")).unwrap();
    file.lock().unwrap();
    let record = fence(&cluster, "n2.lab", "");
    assert!(record.starts_with("not recorded here: the lock "), "{record}");
}
