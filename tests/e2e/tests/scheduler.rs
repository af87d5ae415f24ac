//! Pacemaker's own tools on files: verifies the output of `gnt-ha setup` for a large cluster, and simulates every
//! host's failure. No daemon is started.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use gnt_ha::core::ganeti::config::GanetiConfig;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::pacemaker::resources::Resources;
use gnt_ha::core::pacemaker::simulation::{Death, Simulation, unexpected_fencing};
use gnt_ha::core::setup::{SetupOptions, fragment, outdated, plan};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::pacemaker::cibadmin::CibCopy;
use serde_json::json;

const MEMBERS: u8 = 10;
const NODES: u8 = 20;

fn late() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Ten candidates, and ten regular nodes.
fn ganeti() -> GanetiConfig {
    let node = |n: u8| {
        let ip = format!("192.0.2.{n}");
        let node =
            json!({"name": format!("n{n}.lab"), "group": "g", "master_candidate": n <= MEMBERS, "primary_ip": ip});
        (format!("u{n}"), node)
    };
    let nodes: serde_json::Map<String, serde_json::Value> = (1..=NODES).map(node).collect();
    let text = json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u1"}, "nodegroups": {"g": {}}, "nodes": nodes});
    GanetiConfig::parse(text.to_string().as_bytes()).unwrap()
}

/// Returns a CIB with the candidates, all online, and nothing configured.
fn bare() -> String {
    let all = |text: fn(u8) -> String| (1..=MEMBERS).map(text).collect::<String>();
    let nodes = all(|n| format!("<node id=\"{n}\" uname=\"n{n}.lab\"/>"));
    let states = all(|n| {
        format!(
            "<node_state id=\"{n}\" uname=\"n{n}.lab\" in_ccm=\"true\" crmd=\"online\" join=\"member\" expected=\"member\">\
             <lrm id=\"{n}\"><lrm_resources/></lrm></node_state>"
        )
    });
    format!(
        "<cib crm_feature_set=\"3.16.1\" validate-with=\"pacemaker-3.9\" admin_epoch=\"0\" epoch=\"1\" num_updates=\"0\" \
         have-quorum=\"1\" dc-uuid=\"1\"><configuration><crm_config/><nodes>{nodes}</nodes><resources/><constraints/>\
         </configuration><status>{states}</status></cib>"
    )
}

fn simulation(copy: &CibCopy, death: Option<&Death>) -> Simulation {
    Simulation::parse(&copy.simulate(death, true, late()).unwrap()).unwrap()
}

/// Clusters of over 16 hosts, which is corosync's limit: candidates are full members, the rest are Pacemaker remote
/// nodes. crm_simulate shows no unexpected effect at any single host's failure. A remote node is fenced by its name,
/// and not because the member with its connection died.
#[test]
fn each_of_twenty_nodes_is_fenced_alone_when_it_fails() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("after.xml");
    let resources = Resources::parse(&bare()).unwrap();
    let parts = plan(&resources, &ganeti(), SetupOptions { health: true, ..SetupOptions::default() });
    assert!(outdated(&parts).next().is_none());
    let copy = CibCopy::begin(&dir.path().join("before"), &bare()).unwrap();
    copy.merge(&fragment(&parts), late()).unwrap();
    copy.verify(late()).unwrap();
    let begun = simulation(&copy, None);
    assert_eq!(unexpected_fencing(None, &begun.fenced()), None);

    // All resources have been started.
    let before = dir.path().join("before").join(format!("cib-copy-{}", std::process::id())).join("cib.xml");
    let simulate = |words: &[&str]| Command::new("crm_simulate").args(words).output().unwrap();
    let paths = [&before, &file].map(|path| path.display().to_string());
    let ended = simulate(&["--simulate", "--xml-file", &paths[0], "--save-output", &paths[1]]);
    assert!(ended.status.success(), "{ended:?}");
    let after = std::fs::read_to_string(&file).unwrap();
    let started = Resources::parse(&after).unwrap();
    let copy = CibCopy::begin(&dir.path().join("after"), &after).unwrap();
    let now = simulation(&copy, None);
    assert_eq!(now.connections.len(), usize::from(NODES - MEMBERS));
    for n in 1..=NODES {
        let node = NodeName::new(&format!("n{n}.lab")).unwrap();
        let name = started.called(&node, std::slice::from_ref(&node)).unwrap();
        let death = Death::of(name, &now, &started);
        assert_eq!(matches!(death, Death::Connection(_)), n > MEMBERS, "{death:?}");
        let fenced = simulation(&copy, Some(&death)).fenced();
        assert_eq!(fenced, BTreeSet::from([name.to_string()]), "{death:?}");
        assert_eq!(unexpected_fencing(Some(name), &fenced), None);
    }
    // A partition that loses quorum with the dead host fences no node.
    let first = started.nodes.first().unwrap().clone();
    let without = copy.simulate(Some(&Death::Member(first)), false, late()).unwrap();
    assert_eq!(Simulation::parse(&without).unwrap().fenced(), BTreeSet::new());

    // Renamed or unneeded elements are deleted by their ids.
    copy.delete("<primitive id=\"n20.lab\"/>", late()).unwrap();
    copy.delete("<nvpair id=\"gnt-ha-options-stonith-timeout\"/>", late()).unwrap();
    let cib = dir.path().join("after").join(format!("cib-copy-{}", std::process::id())).join("cib.xml");
    let left = Resources::parse(&read(&cib)).unwrap();
    assert_eq!((left.remotes().count(), left.property(&["stonith-timeout"])), (9, None));
    assert_eq!(left.property(&["stonith-enabled"]), Some("true"));
}

/// Returns the same CIB, with attributes in which nodes report whether they may fence.
fn with_scores(score: impl Fn(u8) -> &'static str) -> String {
    (1..=MEMBERS).filter(|n| !score(*n).is_empty()).fold(bare(), |cib, n| {
        let attributes = format!(
            "<transient_attributes id=\"{n}\"><instance_attributes id=\"status-{n}\"><nvpair id=\"status-{n}-s\" \
             name=\"gnt-ha-fence-score\" value=\"{}\"/></instance_attributes></transient_attributes><lrm id=\"{n}\">",
            score(n)
        );
        cib.replace(&format!("<lrm id=\"{n}\">"), &attributes)
    })
}

/// The device runs on a node that reports that it may fence, candidates first, and never on one that reports that it
/// may not. Independently of the attributes a dead node must be fenced: nodes of a cluster that has just started have
/// published nothing yet.
#[test]
fn the_device_runs_on_a_node_that_reports_that_it_may_fence() {
    type Score = fn(u8) -> &'static str;
    let cases: [(&str, Score, Option<&str>); 4] = [
        ("a candidate first", |n| ["-INFINITY", "100", "200"][usize::from(n.saturating_sub(8))], Some("n10.lab")),
        ("one by the copy", |n| if n == 9 { "100" } else { "-INFINITY" }, Some("n9.lab")),
        (
            "a node without an attribute, before a node that may not",
            |n| if n == 4 { "" } else { "-INFINITY" },
            Some("n4.lab"),
        ),
        ("no node", |_| "-INFINITY", None),
    ];
    for (what, score, runs_on) in cases {
        let dir = tempfile::tempdir().unwrap();
        let cib = with_scores(score);
        let resources = Resources::parse(&cib).unwrap();
        let parts = plan(&resources, &ganeti(), SetupOptions::default());
        let copy = CibCopy::begin(dir.path(), &cib).unwrap();
        copy.merge(&fragment(&parts), late()).unwrap();
        copy.verify(late()).unwrap();
        let now = simulation(&copy, None);
        assert_eq!(now.promoted_on("gnt-ha-fence"), runs_on, "{what}");
        let node = NodeName::new("n1.lab").unwrap();
        let name = resources.called(&node, std::slice::from_ref(&node)).unwrap();
        let fenced = simulation(&copy, Some(&Death::Member(name.clone()))).fenced();
        assert_eq!(fenced, BTreeSet::from([name.to_string()]), "{what}");
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
