//! Tests of the reachable grades: a grade follows only from devices and nodes that have answered.

use std::slice;

use super::super::scene::{Scene, device, name};
use super::*;
use crate::core::check::check;
use crate::core::grade::Grade;
use crate::core::power::Power;
use crate::core::shun::lease_times::LeaseTimes;
use crate::core::shun::messages::{DatedSelfFenceReport, Program, SelfFenceReport};
use crate::core::survey::NodeSurvey;

/// Returns each note with the numbers of its nodes.
fn findings_of(scene: Scene) -> Vec<(&'static str, String, String)> {
    let number = |node: &crate::core::node::NodeName| node.short().trim_start_matches('n').to_owned();
    let shown = |note: CheckNote| (note.name, note.nodes.iter().map(number).collect::<String>(), note.text);
    notes(&scene.read()).into_iter().map(shown).collect()
}

fn self_fence(node: u8) -> DatedSelfFenceReport {
    let self_fence = SelfFenceReport {
        boot_id: "b".into(),
        driver: "iTCO_wdt".into(),
        nowayout: true,
        lease_times: LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 10_000, stop_ms: 5_000 },
        candidates: [1, 2, 3].map(|n| [192, 0, 2, n].into()).into(),
        asks_from: Some([192, 0, 2, node].into()),
        is_virtual: Some(false),
        guaranteed_for_ms: 600_000,
        lease_age_ms: 500,
    };
    DatedSelfFenceReport { self_fence, age_ms: 20, uptime_ms: None }
}

fn says(self_fence: Option<DatedSelfFenceReport>) -> NodeSurvey {
    let (version, config) = ("0.2.0".into(), Some("a".into()));
    let program = Program { version, config, digest: None, wall_ms: 1, remote_key: None, host: None };
    NodeSurvey::Answered { program: Some(program), skew_ms: 0, self_fence }
}

const SHARED: &str = "its only proof is a BMC, which loses its power with its host";

/// A BMC that accepts the better cipher suite need not be asked with the other one: one note for all nodes whose BMC
/// does.
#[test]
fn what_could_be_stricter_is_a_note() {
    let mut view = Scene::healthy().read();
    for asked in view.devices.values_mut().take(2).flatten() {
        asked.advice = Some("one suite".into());
    }
    let found: Vec<CheckNote> = notes(&view).into_iter().filter(|note| note.name == "stricter-device").collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].nodes.len(), found[0].text.as_str()), (2, "bmc: one suite"));
}

#[test]
fn like_nodes_are_one_note_and_so_are_boards_that_die_with_their_hosts() {
    let off = ("reachable-grade", "1234".to_owned(), "off, by level 1 (bmc)".to_owned());
    let shared = ("shared-power", "1234".to_owned(), SHARED.to_owned());
    assert_eq!(findings_of(Scene::healthy()), [off.clone(), shared]);

    let mut scene = Scene::healthy();
    scene.config = scene.config.replace("driver = \"ipmi\"\n", "driver = \"ipmi\"\nshares_power = false\n");
    assert_eq!(findings_of(scene), slice::from_ref(&off), "the administrator knows better");

    let mut scene = Scene::healthy();
    scene.with_pdu();
    assert_eq!(findings_of(scene), slice::from_ref(&off), "a PDU sees what the board cannot");

    let mut scene = Scene::healthy();
    let pdu = "<primitive id=\"pdu\" class=\"stonith\" type=\"fence_apc\"/><primitive id=\"master\"";
    scene.cib("<primitive id=\"master\"", pdu);
    assert_eq!(findings_of(scene), slice::from_ref(&off), "so does one that is Pacemaker's");

    // A device that cuts a path does not read the power, and a device of an unknown kind is not known to.
    for (agent, sees) in [("fence_scsi", false), ("fence_mine", false), ("fence_sbd", false), ("fence_apc", true)] {
        let mut scene = Scene::healthy();
        let device = format!("<primitive id=\"x\" class=\"stonith\" type=\"{agent}\"/><primitive id=\"master\"");
        scene.cib("<primitive id=\"master\"", &device);
        let expected =
            if sees { vec![off.clone()] } else { vec![off.clone(), ("shared-power", "1234".into(), SHARED.into())] };
        assert_eq!(findings_of(scene), expected, "{agent}");
    }
}

/// Only devices that have answered count.
#[test]
fn what_does_not_answer_proves_nothing() {
    let mut scene = Scene::healthy();
    scene.with_pdu();
    scene.device("n2.lab", 1, None);
    scene.device("n3.lab", 2, None);
    scene.device("n4.lab", 1, None);
    scene.device("n4.lab", 2, None);
    assert_eq!(
        findings_of(scene),
        [
            ("reachable-grade", "13".to_owned(), "off, by level 1 (bmc)".to_owned()),
            ("reachable-grade", "2".to_owned(), "off, by level 2 (pdu)".to_owned()),
            ("reachable-grade", "4".to_owned(), "unknown, no device that answers can prove it".to_owned()),
            ("shared-power", "3".to_owned(), SHARED.to_owned()),
        ]
    );
    let mut scene = Scene::healthy();
    scene.view.power.clear();
    scene.view.devices.clear();
    assert_eq!(findings_of(scene), [], "no node was asked (--no-devices)");
}

/// Both devices of a level must answer, and the weaker one counts.
#[test]
fn a_level_is_as_strong_as_its_weakest_device() {
    let mut scene = Scene::healthy();
    scene.config = scene.config.replace("[default]\nlevels = [[\"bmc\"]]", "[devices.path]\ndriver = \"agent\"\nagent = \"fence_ifmib\"\noptions = { port = \"{short}\" }\n[default]\nlevels = [[\"bmc\", \"path\"]]");
    scene.view.devices.values_mut().for_each(|asked| asked.push(device(1, "path")));
    scene.device("n1.lab", 1, Some(Power::On));
    let notes = notes(&scene.read());
    assert_eq!(notes.iter().map(|note| (note.grade, note.nodes.len())).collect::<Vec<_>>(), [(Grade::Isolated, 4)]);
}

/// Shunning gives `bounded` if the node itself reports armed self-fencing. It gives nothing if a node that would have
/// to shun it does not answer.
#[test]
fn shunning_is_judged_as_in_a_fencing() {
    let mut scene = Scene::healthy();
    scene.shunning();
    for node in [3, 4] {
        scene.answered(&format!("n{node}.lab"), says(Some(self_fence(node))));
    }
    scene.view.survey.as_mut().unwrap().as_mut().unwrap().own_self_fence = Some(self_fence(1).self_fence);
    let found = findings_of(scene);
    assert_eq!(found[0], ("reachable-grade", "134".into(), "bounded, by level 1 (shun)".into()));
    assert!(
        found[1].1 == "2" && found[1].2.starts_with("isolated, by level 1 (shun): its self-fencing is unknown"),
        "{found:?}"
    );
    assert_eq!(found.len(), 2, "no board is among them");

    let mut scene = Scene::healthy();
    scene.shunning();
    scene.answered("n3.lab", says(Some(self_fence(3))));
    scene.answered("n4.lab", NodeSurvey::NoAnswer("no answer".into()));
    let view = scene.read();
    let of = |node: &str| notes(&view).into_iter().find(|note| note.nodes.contains(&name(node))).unwrap().grade;
    assert_eq!((of("n3.lab"), of("n4.lab")), (Grade::Unknown, Grade::Isolated), "the target itself need not answer");
}

/// A candidate that is shunned itself does not count as shunning: two of four may still grant a lease to an armed node.
#[test]
fn a_shunned_candidate_does_not_count_as_shunning() {
    let bounded = |shunned: &[&str]| {
        let mut scene = Scene::healthy();
        scene.shunning();
        scene.answered("n4.lab", says(Some(self_fence(4))));
        for node in shunned {
            scene.view.host.shunned.insert(name(node), "x".into());
            scene.view.survey.as_mut().unwrap().as_mut().unwrap().nodes.remove(&name(node));
        }
        let view = scene.read();
        let found = notes(&view).into_iter().find(|note| note.nodes.contains(&name("n4.lab"))).unwrap();
        found.grade
    };
    assert_eq!(bounded(&[]), Grade::Bounded);
    assert_eq!(bounded(&["n2.lab", "n3.lab"]), Grade::Isolated);
}

/// Shunning does not stop a node. If one of its instances has a disk outside of the cluster, shunning proves nothing,
/// and the administrator should know before its host dies.
#[test]
fn with_a_disk_outside_of_the_cluster_only_a_self_fence_counts() {
    let mut scene = Scene::healthy();
    scene.shunning();
    scene.config.insert_str(0, "minimum_grade = \"isolated\"\n");
    scene.answered("n4.lab", says(Some(self_fence(4))));
    for node in ["n3.lab", "n4.lab"] {
        scene.view.not_isolated.insert(name(node), "web.lab (rbd) has a disk outside of the cluster".into());
    }
    let view = scene.read();
    let of = |node: &str| notes(&view).into_iter().find(|note| note.nodes.contains(&name(node))).unwrap();
    assert_eq!((of("n2.lab").grade, of("n4.lab").grade), (Grade::Isolated, Grade::Bounded));
    let in_vain = of("n3.lab");
    assert_eq!(in_vain.grade, Grade::Unknown);
    assert!(
        in_vain.text.ends_with(": nothing would be proven, as web.lab (rbd) has a disk outside of the cluster"),
        "{in_vain:?}"
    );
    let found = check(&view);
    let weak = |node: &str| found.iter().any(|finding| finding.rule == "grade-too-weak" && finding.subject == node);
    assert!(weak("n3.lab") && !weak("n4.lab"), "{found:?}");
}

/// The minimum grade is a setting of both programs, and of each device in Pacemaker.
#[test]
fn what_both_programs_take_is_enough() {
    let weak = |config: &str, cib: &str| {
        let mut scene = Scene::healthy();
        scene.shunning();
        scene.config.insert_str(0, config);
        scene.cib("<nvpair id=\"l\"", &format!("{cib}<nvpair id=\"l\""));
        let found = check(&scene.read());
        found.iter().filter(|finding| finding.rule == "grade-too-weak").count()
    };
    let (config, cib) =
        ("minimum_grade = \"isolated\"\n", "<nvpair id=\"g\" name=\"minimum_grade\" value=\"isolated\"/>");
    assert_eq!((weak("", ""), weak(config, ""), weak("", cib), weak(config, cib)), (4, 4, 4, 0));
}
