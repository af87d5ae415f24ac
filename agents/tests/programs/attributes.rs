//! The node attributes that the monitor of the node role publishes.

use crate::RECURRING;
use crate::common::{NODE, Scene};

/// The node attribute `#health-ganeti`, by tag. Partial mode still never fails. The attribute is published only when it
/// changes, again where the cluster may have lost it, and is deleted with its tag. No host has the node's address, so
/// its noded does not answer.
#[test]
fn health_is_published_by_tag_only_when_it_changes() {
    let scene = Scene::new("n4.lab");
    let programs = "echo $* >> $DATA/published; [ ! -e $DATA/failing ]";
    scene.program("attrd_updater", programs);
    let published = || std::fs::read_to_string(scene.data().join("published")).unwrap_or_default();
    let monitor = || scene.run(NODE, "monitor", &[RECURRING]);
    let (red, gone) = ("--name #health-ganeti --update=red\n", "--name #health-ganeti --delete\n");

    assert_eq!(monitor().code, 0);
    assert_eq!(scene.run(NODE, "start", &[]).code, 0);
    assert_eq!(published(), "", "without the tag Pacemaker gets no request");

    scene.file("ssconf_cluster_tags", "ocf:health:on\n");
    assert_eq!(scene.run(NODE, "monitor", &[]).code, 0);
    assert_eq!(published(), "", "a probe publishes nothing");
    assert_eq!((monitor().code, monitor().code), (0, 0));
    assert_eq!(published(), red);
    scene.run(NODE, "start", &[]);
    scene.file("failing", "");
    let ended = monitor();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("#health-ganeti: "), "{}", ended.stderr);
    std::fs::remove_file(scene.data().join("failing")).unwrap();
    monitor();
    assert_eq!(published(), red.repeat(3), "after a start, and again after a failure");

    scene.file("ssconf_cluster_tags", "ocf:node-role:full\n");
    assert_eq!((monitor().code, monitor().code), (1, 1), "full mode fails");
    assert_eq!(published(), red.repeat(3) + gone);
}

/// The attribute that shows whether this node may fence: as a candidate, or as a regular node by the copy, but not if a
/// program is missing. Nothing is published if Pacemaker has no device of ours.
#[test]
fn the_fence_score_is_published_when_it_changes() {
    let scene = Scene::new("n4.lab");
    scene.program("attrd_updater", "echo $* >> $DATA/published");
    scene.program("oob", "exit 0");
    let published = || {
        let text = std::fs::read_to_string(scene.data().join("published")).unwrap_or_default();
        let values =
            text.lines().map(|line| line.strip_prefix("--name gnt-ha-fence-score --update=").unwrap().to_owned());
        values.collect::<Vec<_>>()
    };
    let monitor = || assert_eq!(scene.run(NODE, "monitor", &[RECURRING]).code, 0);
    let oob = scene.oob();
    let copy = format!("{oob},n1.lab,n4.lab");
    monitor();
    assert_eq!(published(), [""; 0], "there is no configuration of Pacemaker");
    scene.cib("fence_ipmilan", &copy);
    monitor();
    assert_eq!(published(), [""; 0], "no device of ours");
    scene.cib("fence_ganeti", &copy);
    assert_eq!(scene.run(NODE, "start", &[]).code, 0);
    monitor();
    assert_eq!(published(), ["100"], "at the start, and not again");
    scene.cib("fence_ganeti", "/nonexistent/oob,n1.lab");
    monitor();
    assert_eq!(published(), ["100", "-INFINITY"]);
    let ganeti = format!(
        r#"{{"version": 3000000, "serial_no": 1, "cluster": {{"master_node": "u1", "ndparams": {{"oob_program": "{oob}"}}}},
            "nodegroups": {{"g": {{}}}}, "nodes": {{"u1": {{"name": "n1.lab", "group": "g", "master_candidate": true}}}}}}"#
    );
    scene.file("config.data", &ganeti);
    monitor();
    assert_eq!(published(), ["100", "-INFINITY", "200"], "promoted to a candidate");
    assert_eq!(scene.run(NODE, "start", &[]).code, 0);
    assert_eq!(published().last().map(String::as_str), Some("200"));
    assert_eq!(published().len(), 4, "the cluster may have forgotten it");
}
