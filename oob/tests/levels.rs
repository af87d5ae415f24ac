//! Levels of devices: all devices of a level must succeed, the next level is tried if one fails, and the time is split
//! over them.

mod common;

use common::{NODE, PROGRAM, Site};
use serde_json::json;

const LIES: &str = r#"[ "$1" = power-off ] && exit 0"#;

/// The levels follow Pacemaker's fencing topology: if one level fails, the next may succeed.
#[test]
fn the_second_level_is_used_when_the_first_fails() {
    for vice in ["exit 1", "echo rubbish"] {
        let site = Site::with_scripts(&["one", "two"], r#"[["one"], ["two"]]"#);
        site.script("one", vice);
        site.set_power("two", "off");
        let answer = site.oob_within("3", "power-status").answered();
        assert_eq!((&answer["powered"], &answer["level"]), (&json!(false), &json!(2)), "{vice}");
        assert!(answer["failed"][0].as_str().unwrap().contains("one"), "{answer}");
        site.set_power("two", "on");
        site.oob_within("3", "power-off").silent();
        assert_eq!(site.power("two"), "off");
        assert_eq!(site.receipt()["proven_by"], "two");
        let reason = site.receipt()["reason"].as_str().unwrap().to_owned();
        assert!(reason.starts_with("level 1: ") && reason.contains("one: "), "{reason}");
    }
}

/// `gnt-ha check` reads every level: a failure of the second is found before it is needed.
#[test]
fn devices_are_asked_on_every_level() {
    let site = Site::with_scripts(&["one", "two", "three"], r#"[["one"], ["two", "three"]]"#);
    site.set_power("one", "off");
    site.script("two", "echo no such outlet >&2; exit 1");
    let answer = site.devices();
    let readings: Vec<_> =
        answer.as_array().unwrap().iter().map(|one| (&one["level"], &one["device"], &one["power"])).collect();
    let (one, two, three) = (json!("one"), json!("two"), json!("three"));
    assert_eq!(
        readings,
        [(&json!(1), &one, &json!("off")), (&json!(2), &two, &json!(null)), (&json!(2), &three, &json!("on"))]
    );
    assert!(answer[1]["text"].as_str().unwrap().contains("no such outlet"), "{answer}");
}

/// If the first level succeeds, the second is not used.
#[test]
fn the_second_level_is_left_alone_when_the_first_succeeds() {
    let site = Site::with_scripts(&["one", "two"], r#"[["one"], ["two"]]"#);
    site.oob("power-off").silent();
    assert_eq!((site.power("one"), site.power("two"), site.calls("two").len()), ("off".into(), "on".into(), 0));
}

/// Two power supplies: the host is off when both feeds are (Pacemaker Explained, "Fencing topologies").
#[test]
fn a_level_of_two_devices_needs_both() {
    let site = Site::with_scripts(&["a", "b"], r#"[["a", "b"]]"#);
    site.oob("power-off").silent();
    assert_eq!((site.power("a"), site.power("b")), ("off".into(), "off".into()));
    assert_eq!(site.oob("power-status").answered()["powered"], false);
    site.set_power("b", "on");
    assert_eq!(site.oob("power-status").answered()["powered"], true, "one live feed is on");

    for liar in ["a", "b"] {
        let site = Site::with_scripts(&["a", "b"], r#"[["a", "b"]]"#);
        site.script(liar, LIES);
        site.oob_within("1", "power-off").failed_for(NODE, &[liar, "not proven off"]);
        assert_eq!(site.receipt()["grade"], "unknown");
    }
    let site = Site::with_scripts(&["a", "b"], r#"[["a", "b"]]"#);
    site.set_power("a", "off");
    site.set_power("b", "burning");
    site.oob("power-status").failed_for(NODE, &["b", "no such host"]);
}

/// The error line has every level's reason: the administrator has to know which device to check.
#[test]
fn all_levels_failing_is_one_line_with_every_reason() {
    let site = Site::with_scripts(&["one", "two"], r#"[["one"], ["two"]]"#);
    site.script("one", "echo 'no route to BMC' >&2; exit 1");
    site.script("two", "echo 'outlet is locked' >&2; exit 1");
    for command in ["power-off", "power-status"] {
        let ran = site.oob_within("2", command);
        ran.failed_for(NODE, &["level 1: ", "no route to BMC", "level 2: ", "outlet is locked"]);
    }
}

/// A device that hangs must leave time for those after it, within the deadline of the configuration.
#[test]
fn a_device_that_hangs_leaves_time_for_the_next() {
    let site = Site::with_scripts(&["one", "two"], r#"[["one"], ["two"]]"#);
    site.script("one", "exec sleep 1000");
    site.oob("power-off").silent();
    assert_eq!((site.power("two"), &site.receipt()["proven_by"]), ("off".into(), &json!("two")));
}

/// The caller's time counts if it is less than the configuration's: otherwise this test would be killed.
#[test]
fn the_callers_deadline_is_kept() {
    let site = Site::with_scripts(&["one"], r#"[["one"]]"#);
    site.configure(&site.text("config.toml").replace("deadline = 6", "deadline = 55"));
    site.script("one", "exec sleep 1000");
    site.oob_within("1", "power-status").failed_for(NODE, &["timed out"]);
    site.oob_within("1", "power-off").failed_for(NODE, &["timed out"]);
}

/// Without time the state is unknown; a value that is not a number is not a limit.
#[test]
fn strange_deadlines_of_the_caller_never_make_an_off() {
    let site = Site::with_scripts(&["one"], r#"[["one"]]"#);
    site.set_power("one", "off");
    for seconds in ["0", "0.000"] {
        site.oob_within(seconds, "power-status").failed_for(NODE, &["its power is unknown"]);
        site.oob_within(seconds, "power-off").failed_for(NODE, &["power-off failed"]);
    }
    for seconds in ["soon", "-1", "nan", "inf", "1e300", ""] {
        assert_eq!(site.oob_within(seconds, "power-status").answered()["powered"], false, "{seconds}");
    }
}

/// The host is proven off before it is switched on; the device's own cycle is never used.
#[test]
fn a_cycle_is_off_proven_and_then_on() {
    let site = Site::with_scripts(&["a", "b"], r#"[["a", "b"]]"#);
    site.oob("power-cycle").silent();
    let without_status =
        |name| site.calls(name).into_iter().filter(|call| !call.contains("status")).collect::<Vec<_>>();
    for name in ["a", "b"] {
        assert_eq!(without_status(name), [format!("power-off {NODE}"), format!("power-on {NODE}")]);
    }
    let receipt = site.receipt();
    assert_eq!((&receipt["outcome"], &receipt["grade"]), (&json!("done"), &json!("off")));
    let steps = receipt["steps"].as_array().unwrap();
    let at = |what: &str| steps.iter().position(|step| step["request"] == what).unwrap();
    assert!(at("power off") < at("power cycle interval") && at("power cycle interval") < at("power on"), "{steps:#?}");
}

/// Without a proven off nothing is switched on: a host that was never off had no power cycle.
#[test]
fn a_cycle_without_a_proven_off_switches_nothing_on() {
    let site = Site::with_scripts(&["a", "b"], r#"[["a", "b"]]"#);
    site.script("b", LIES);
    site.oob_within("3", "power-cycle").failed_for(NODE, &["power-cycle failed", "b", "not proven off"]);
    assert_eq!(site.receipt()["outcome"], "unknown");
}

/// The off succeeded and the on failed: exit code 1 for Ganeti, and the line has the state of the host.
#[test]
fn a_cycle_that_does_not_come_on_says_that_it_is_off() {
    let site = Site::with_scripts(&["a", "b"], r#"[["a"], ["b"]]"#);
    site.script("a", r#"[ "$1" = power-on ] && exit 0"#);
    site.oob_within("3", "power-cycle").failed_for(NODE, &["was off, proven", "unknown whether it is on again", "a"]);
    let receipt = site.receipt();
    assert_eq!((&receipt["outcome"], &receipt["grade"]), (&json!("off-only"), &json!("off")));
    assert!(site.calls("b").is_empty(), "the next level is not for the on half");
}

/// A first level that failed half way has switched a feed off. A cycle that the second level completes must not leave
/// the host on one power supply and report success.
#[test]
fn a_cycle_leaves_no_feed_of_a_failed_level_off() {
    let site = Site::with_scripts(&["a", "b", "c"], r#"[["a", "b"], ["c"]]"#);
    site.script("b", LIES);
    let ran = site.oob_within("5", "power-cycle");
    assert!(ran.code != Some(0) || site.power("a") == "on", "a is {}: {ran:?}", site.power("a"));
}

/// A program that is `ganeti-oob` itself, under any name, would call itself until the time is over.
#[test]
fn ganeti_oob_does_not_drive_itself() {
    let site = Site::with_scripts(&["dev"], r#"[["dev"]]"#);
    std::fs::remove_file(site.path("dev")).unwrap();
    std::os::unix::fs::symlink(PROGRAM, site.path("dev")).unwrap();
    for command in ["power-status", "power-off", "power-cycle", "health"] {
        site.oob(command).failed_for(NODE, &["dev", "ganeti-oob itself"]);
    }
}

/// The same behind a wrapper cannot be detected before; it has to end, and must not end as an off.
#[test]
fn a_wrapper_around_ganeti_oob_ends() {
    let site = Site::with_scripts(&["dev"], r#"[["dev"]]"#);
    let config = site.path("config.toml");
    site.script("dev", &format!(r#"exec "{PROGRAM}" --config "{}" "$@""#, config.display()));
    for command in ["power-status", "power-off"] {
        site.oob_within("2", command).failed_for(NODE, &["dev"]);
    }
    assert!(site.calls("dev").len() < 100);
}

/// A BMC that reads the host as running outweighs a PDU outlet that is off: the outlet belongs to another host.
#[test]
fn a_level_that_says_on_is_not_overruled_by_a_wrong_outlet() {
    for outlet in ["off", "on"] {
        let site = Site::with_scripts(&["bmc", "pdu"], r#"[["bmc"], ["pdu"]]"#);
        site.script("bmc", r#"[ "$1" = power-off ] && { echo 'insufficient privilege' >&2; exit 1; }"#);
        site.set_power("pdu", outlet);
        site.oob_within("4", "power-off").failed_for(NODE, &["level 1 still reads on", "check which outlets"]);
        assert_eq!(site.receipt()["outcome"], "unknown");
    }
}

/// One feed returns while the other is being switched: the host always had power.
#[test]
fn feeds_must_be_off_in_the_same_moment() {
    let site = Site::with_scripts(&["a", "b"], r#"[["a", "b"]]"#);
    // The script that switches b off switches a on again.
    site.script("b", r#"[ "$1" = power-off ] && echo on > power-a"#);
    site.oob("power-off").silent();
    assert_eq!((site.power("a"), site.power("b")), ("off".into(), "off".into()));
    assert_eq!(site.calls("a").iter().filter(|call| call.starts_with("power-off")).count(), 2);
}
