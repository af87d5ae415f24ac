use super::*;
use crate::core::grade::Grade;
use std::fs;

fn paths(dir: &Path) -> Paths {
    Paths { state_dir: dir.join("state"), data_dir: dir.join("data"), cib: dir.join("cib.xml") }
}

/// A host that is only a node, with what a status must not omit: (about, level).
fn node(dir: &Path, files: &[(&str, &str)]) -> ClusterStatus {
    for sub in ["data", "state/simulate"] {
        fs::create_dir_all(dir.join(sub)).unwrap();
    }
    let ssconf = [
        ("node_list", "n1.lab\nn2.lab\nn3.lab\n"),
        ("online_nodes", "n1.lab\nn2.lab\n"),
        ("master_candidates", "n1.lab\n"),
        ("master_node", "n1.lab\n"),
        ("cluster_tags", "ocf:master-role:full\nocf:drain:off\nother\n"),
    ];
    for (key, text) in ssconf {
        fs::write(dir.join(format!("data/ssconf_{key}")), text).unwrap();
    }
    fs::write(dir.join("cib.xml"), "<cib><configuration/></cib>").unwrap();
    for (name, text) in files {
        fs::write(dir.join(name), text).unwrap();
    }
    collect(&paths(dir), false).unwrap()
}

fn levels(status: &ClusterStatus, about: &str) -> Vec<StatusLevel> {
    status.notes.iter().filter(|note| note.subject == about).map(|note| note.level).collect()
}

#[test]
fn a_host_of_no_cluster_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let error = collect(&paths(dir.path()), false).unwrap_err().to_string();
    assert!(error.starts_with("this host has neither Ganeti (no ") && error.contains("nor Pacemaker"), "{error}");
}

#[test]
fn a_node_without_the_configuration_reports_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let status = node(dir.path(), &[]);
    let roles: Vec<(DisplayedRole, bool)> =
        status.nodes.iter().filter_map(|line| line.ganeti).map(|flags| (flags.role, flags.offline)).collect();
    assert_eq!(
        roles,
        [(DisplayedRole::Master, false), (DisplayedRole::Regular, false), (DisplayedRole::Regular, true)]
    );
    assert_eq!(levels(&status, "ganeti"), [StatusLevel::Ok]);
    assert_eq!(levels(&status, "tag"), [StatusLevel::Attention]);
    for about in ["pause", "breaker", "simulated", "record"] {
        assert!(levels(&status, about).is_empty(), "{about}");
    }
}

/// Simulated conditions are listed, so that an administrator does not forget them.
#[test]
fn what_blocks_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let open = r#"{"since_ms": 1, "blocked": ["n3.lab"], "down": [], "limit": 2}"#;
    let memory = format!(
        r#"{{"breaker": {{"open": {open}, "down": [], "excused": [], "whole": null}},
            "last_run": {{"wall_ms": 1, "boottime_ms": 1}}, "nodes": {{}}}}"#
    );
    let files = [
        ("state/pause.json", r#"{"reason": "a fan", "by": "root", "since_ms": 1}"#),
        ("state/reconcile-memory.json", memory.as_str()),
        ("state/simulate/wrong-role", ""),
        ("state/simulate/wrong-roll", ""),
    ];
    let status = node(dir.path(), &files);
    assert_eq!(levels(&status, "pause"), [StatusLevel::Attention]);
    assert_eq!(levels(&status, "breaker"), [StatusLevel::Attention]);
    assert_eq!(levels(&status, "simulated"), [StatusLevel::Attention, StatusLevel::Attention]);
    let note = |about: &str| status.notes.iter().find(|note| note.subject == about).unwrap().text.clone();
    assert_eq!(note("pause"), "this host alone is paused by root: a fan (gnt-ha resume)");
    assert!(note("breaker").starts_with("the breaker is open and blocks n3.lab"), "{}", note("breaker"));
}

/// The line shows shunning and self-fencing with the grade. A report from before this boot does not count.
#[test]
fn shunning_and_arming_are_in_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let shun_list = r#"{"n3.lab": {"epoch": 3, "addresses": [], "scope": "tcp", "grade": "off", "boot_id": null, "since_ms": 1,
        "by": "x"}, "n2.lab": {"epoch": 2, "addresses": [], "scope": "tcp", "grade": "off", "boot_id": null, "since_ms": 1, "by": "x"}}"#;
    let report =
        r#"{"version": 1, "node": "n2.lab", "boot_id": "b", "shun_list": {}, "shunned": {}, "ruleset_id": ""}"#;
    let kept = |boot: &str| {
        format!(r#"{{"asked_boottime_ms": {}, "boot_id": "{boot}", "report": {report}}}"#, now().boottime_ms)
    };
    let peers = format!(r#"{{"n2.lab": {}, "n1.lab": {}}}"#, kept(&identity::incarnation()), kept("another"));
    let status = node(dir.path(), &[("state/shun-list.json", shun_list), ("state/peer-reports.json", &peers)]);
    let of = |name: &str| status.nodes.iter().find(|line| line.node.as_str() == name).unwrap().protection.clone();
    let expected = |shun, self_fence, grade| Protection { power_reading: None, shun, self_fence, grade };
    assert_eq!(of("n1.lab"), expected(None, Some(SelfFenceState::Unknown), None));
    assert_eq!(of("n2.lab"), expected(Some(ShunState::Readmitted), Some(SelfFenceState::Off), None));
    assert_eq!(of("n3.lab"), expected(Some(ShunState::Shunned), None, Some(Grade::Off)));
    let json = serde_json::to_value(&status.nodes[2]).unwrap();
    assert_eq!(
        (&json["shun"], &json["grade"], &json["self_fence"]),
        (&"shunned".into(), &"off".into(), &serde_json::Value::Null)
    );
}

/// An unknown state is not a success.
#[test]
fn what_cannot_be_read_is_unknown() {
    for (file, about) in
        [("cib.xml", "pause"), ("state/pause.json", "pause"), ("state/reconcile-memory.json", "breaker")]
    {
        let dir = tempfile::tempdir().unwrap();
        let status = node(dir.path(), &[(file, "{")]);
        assert_eq!(levels(&status, about), [StatusLevel::Unknown], "{file}");
        assert_eq!(status.level, StatusLevel::Unknown);
    }
}
