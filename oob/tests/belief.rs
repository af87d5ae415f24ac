//! Tests from outside which level is believed: a sample of the matrix of `gnt_ha::core::power::walk`, with programs as
//! devices and with a BMC.

#![allow(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]

mod common;

use std::net::UdpSocket;

use bmc_responder::{Behaviour, Completion, Responder};
use common::{NODE, Site};
use serde_json::json;

/// Chassis Control (IPMI 2.0 section 28.3).
const CONTROL: (u8, u8) = (0x00, 0x02);

/// The request id of one fencing of Pacemaker's, which joins its calls.
const FENCING: (&str, &str) = ("GNT_HA_PARENT_RECEIPT", "0123abcd-01");

/// Returns a site with programs that have these values of `sees`, all on.
fn scripts(devices: &[(&str, &str)], levels: &str) -> Site {
    let mut config = format!("[default]\nlevels = {levels}\n");
    for (name, sees) in devices {
        config.push_str(&format!("[devices.{name}]\ndriver = \"exec\"\nprogram = \"{{dir}}/{name}\"\n{sees}\n"));
    }
    let site = Site::new(&config);
    for (name, _) in devices {
        site.script(name, "");
        site.set_power(name, "on");
    }
    site
}

const FEED: &str = "sees = \"feed\"";
const MACHINE: &str = "sees = \"machine\"";

/// A program that does not switch off, and reports a failure.
const LOCKED: &str = r#"[ "$1" = power-off ] && { echo 'it is locked' >&2; exit 1; }"#;

/// A program that proves less than an off of the power.
const BOUNDED: &str = r#"[ "$1 $(cat power-others)" = "power-status off" ] && { echo '{"powered": false, "grade": "bounded"}'; exit 0; }"#;

/// Returns a site with a BMC of this behaviour, and then the levels of these programs.
fn bmc_and(behaviour: Behaviour, more: &str, levels: &str, devices: &[(&str, &str)]) -> (Responder, Site) {
    let responder = Responder::start(behaviour).unwrap();
    let site = Site::with_bmc(responder.addr().port(), &format!("login_timeout = 1\n{more}"));
    let mut text = site.text("config.toml").replace(r#"[["bmc"]]"#, levels);
    for (name, sees) in devices {
        text.push_str(&format!("[devices.{name}]\ndriver = \"exec\"\nprogram = \"{{dir}}/{name}\"\n{sees}\n"));
        site.script(name, "");
        site.set_power(name, "on");
    }
    site.configure(&text);
    (responder, site)
}

/// All devices of a level are read before the level fails: a device that was not read cannot contradict.
#[test]
fn the_rest_of_a_failed_level_is_asked() {
    for (devices, believed) in [
        ([("a", FEED), ("b", FEED), ("c", FEED)], false),
        ([("a", ""), ("b", ""), ("c", "")], false),
        ([("a", FEED), ("b", FEED), ("c", MACHINE)], true),
    ] {
        let site = scripts(&devices, r#"[["a", "b"], ["c"]]"#);
        site.script("a", "exit 1");
        let ran = site.oob_within("4", "power-off");
        assert_eq!(ran.code == Some(0), believed, "{devices:?}: {ran:?}");
        assert!(site.calls("b").iter().all(|call| call.starts_with("power-status")), "{:?}", site.calls("b"));
        if !believed {
            ran.failed_for(NODE, &["level 1: a", "level 1 still reads on after this level was off (b)"]);
        }
    }
}

/// A secret that cannot be read makes one device unusable; the other devices of its level are still asked.
#[test]
fn a_device_that_cannot_be_used_does_not_hide_the_others() {
    let site = scripts(&[("a", FEED), ("b", FEED), ("c", FEED)], r#"[["a", "b"], ["c"]]"#);
    std::fs::remove_file(site.path("a")).unwrap();
    site.oob_within("4", "power-off").failed_for(NODE, &["no OOB program", "(b)"]);
}

/// A feed with power does not contradict a BMC that has read its machine as off. The opposite does.
#[test]
fn a_locked_outlet_does_not_hide_a_machine_that_is_off() {
    let site = scripts(&[("pdu", FEED), ("bmc", MACHINE)], r#"[["pdu"], ["bmc"]]"#);
    site.script("pdu", LOCKED);
    site.oob_within("4", "power-off").silent();
    assert_eq!((site.power("pdu"), site.power("bmc")), ("on".into(), "off".into()));
    assert_eq!((&site.receipt()["grade"], &site.receipt()["proven_by"]), (&json!("off"), &json!("bmc")));
    // The read-back for the caller must have the same result.
    let answer = site.oob("power-status").answered();
    assert_eq!((&answer["powered"], &answer["grade"], &answer["level"]), (&json!(false), &json!("off"), &json!(2)));
    // A feed with power is not a machine that runs.
    site.oob("power-on").silent();
    assert_eq!(site.power("bmc"), "on");

    let site = scripts(&[("bmc", MACHINE), ("pdu", FEED)], r#"[["bmc"], ["pdu"]]"#);
    site.script("bmc", LOCKED);
    site.oob_within("4", "power-off").failed_for(NODE, &["level 1 still reads on", "check which outlets"]);
}

/// A device of an unknown kind counts as the stricter: as a running machine, and as one of several feeds.
#[test]
fn what_a_device_sees_is_strict_until_it_is_configured() {
    let site = scripts(&[("one", ""), ("bmc", MACHINE)], r#"[["one"], ["bmc"]]"#);
    site.script("one", LOCKED);
    site.oob_within("4", "power-off").failed_for(NODE, &["level 1 still reads on"]);
}

/// `bounded` concerns the lost boot, and not the power: a BMC that reads "on" and cannot switch does not overrule it.
#[test]
fn bounded_is_reached_behind_a_bmc_that_cannot_switch() {
    for code in [0xD4, 0xD5, 0xFF] {
        let completions = vec![Completion { net_fn: CONTROL.0, command: CONTROL.1, code, times: 99 }];
        let behaviour = Behaviour { completions, ..Behaviour::default() };
        let (bmc, site) = bmc_and(behaviour, "", r#"[["bmc"], ["others"]]"#, &[("others", "")]);
        site.script("others", BOUNDED);
        let ran = site.run(&["power-off", NODE], &[FENCING, ("GNT_HA_DEADLINE", "4")]);
        assert_eq!(ran.code, Some(0), "{code:X}: {ran:?}");
        assert!(bmc.power());
        assert_eq!((&site.receipt()["grade"], &site.receipt()["proven_by"]), (&json!("bounded"), &json!("others")));
        // The same fencing reads it back; the BMC answers a later request for the power.
        let answer = site.run(&["power-status", NODE], &[FENCING]).answered();
        assert_eq!((&answer["powered"], &answer["grade"]), (&json!(false), &json!("bounded")), "{answer}");
        std::fs::remove_file(site.path(&format!("run/seen-{NODE}"))).unwrap();
        assert_eq!(site.oob("power-status").answered()["powered"], true);
    }
}

/// A site whose BMC has read "on" in the first call of a fencing, and then an outlet that is not the host's.
fn bmc_that_reported_on(more: &str) -> (Responder, Site) {
    let (bmc, site) = bmc_and(Behaviour::default(), more, r#"[["bmc"], ["pdu"]]"#, &[("pdu", FEED)]);
    assert_eq!(site.run(&["power-status", NODE], &[FENCING]).answered()["powered"], true);
    (bmc, site)
}

/// The next call of a fencing knows a device that was read as "on". A BMC that refuses the login, or whose port is
/// closed, has power, and an outlet's off is not believed against it.
#[test]
fn an_on_survives_into_the_next_process() {
    let (_bmc, site) = bmc_that_reported_on("");
    site.write("password", "another\n", 0o600);
    let ran = site.run(&["power-off", NODE], &[FENCING, ("GNT_HA_DEADLINE", "5")]);
    ran.failed_for(NODE, &["level 1: bmc", "level 1 reported on before", "confirm that the host is off"]);
    assert_eq!(site.receipt()["outcome"], "unknown");
    site.run(&["power-status", NODE], &[FENCING])
        .failed_for(NODE, &["its power is unknown", "level 1 reported on before"]);

    let (bmc, site) = bmc_that_reported_on("");
    drop(bmc);
    let ran = site.run(&["power-off", NODE], &[FENCING, ("GNT_HA_DEADLINE", "5")]);
    ran.failed_for(NODE, &["nothing listens", "level 1 reported on before"]);
}

/// Only silence with time to answer is that of a host without power, and only from a board that loses its power with
/// the host.
#[test]
fn only_the_silence_of_a_board_agrees() {
    for (more, seconds, believed) in
        [("", "6", true), ("shares_power = false", "6", false), ("login_timeout_is_long", "3", false)]
    {
        let long = more == "login_timeout_is_long";
        let (bmc, site) = bmc_that_reported_on(if long { "" } else { more });
        let address = bmc.addr();
        drop(bmc);
        let _silent = UdpSocket::bind(address).unwrap();
        if long {
            site.write(
                "config.toml",
                &site.text("config.toml").replace("login_timeout = 1", "login_timeout = 8"),
                0o600,
            );
        }
        let ran = site.run(&["power-off", NODE], &[FENCING, ("GNT_HA_DEADLINE", seconds)]);
        assert_eq!(ran.code == Some(0), believed, "{more}: {ran:?}");
        let is_forgotten = !site.path(&format!("run/seen-{NODE}")).exists();
        assert_eq!(is_forgotten, believed, "a proven off ends what was seen");
    }
}

/// A monitor's reading of a healthy host belongs to no fencing. A damaged file, or one of another boot, counts as
/// empty.
#[test]
fn only_a_fencing_is_remembered() {
    let (_bmc, site) = bmc_and(Behaviour::default(), "", r#"[["bmc"], ["pdu"]]"#, &[("pdu", FEED)]);
    let seen = site.path(&format!("run/seen-{NODE}"));
    site.oob("power-status").answered();
    assert!(!seen.exists());
    site.run(&["power-status", NODE], &[FENCING]).answered();
    let text = site.text(&format!("run/seen-{NODE}"));
    assert!(text.contains("\"device\":\"bmc\""), "{text}");
    site.write("password", "another\n", 0o600);
    for nothing in ["{", &text.replace("\"boot_id\":\"", "\"boot_id\":\"x")] {
        site.write(&format!("run/seen-{NODE}"), nothing, 0o600);
        site.set_power("pdu", "off");
        let answer = site.oob("power-status").answered();
        assert_eq!((&answer["powered"], &answer["level"]), (&json!(false), &json!(2)), "{nothing}");
    }
}

/// After the outlet was switched, the BMC reads "off" once, in the off phase of another program's power cycle, and then
/// "on" again: the outlet feeds another host.
#[test]
fn one_off_of_a_machine_that_was_on_agrees_to_nothing() {
    let site = scripts(&[("bmc", MACHINE), ("pdu", FEED)], r#"[["bmc"], ["pdu"]]"#);
    let moment = r#"[ "$1" = power-status ] && [ "$(cat power-pdu)" = off ] && [ ! -e moment ] && { : > moment; echo '{"powered": false}'; exit 0; }"#;
    site.script("bmc", &format!("{LOCKED}\n{moment}"));
    site.oob_within("4", "power-off").failed_for(NODE, &["level 1 still reads on", "check which outlets"]);
    assert_eq!(site.receipt()["grade"], "unknown");
}

/// A program that reads a BMC over Redfish says that its off may be an old state. It counts only after that program's own
/// power-off, and the status says so, too.
#[test]
fn an_off_that_may_lag_behind_another_program_needs_its_power_off() {
    const LAGGING: &str = r#"[ "$1 $(cat power-bmc)" = "power-status off" ] && { echo '{"powered": false, "grade": "off", "may_lag": true}'; exit 0; }"#;
    let site = scripts(&[("bmc", MACHINE)], r#"[["bmc"]]"#);
    site.set_power("bmc", "off");
    site.script("bmc", &format!("{LOCKED}\n{LAGGING}"));
    assert_eq!(site.oob("power-status").answered()["may_lag"], true);
    site.oob("power-off").failed_for(NODE, &["its off may be an old state", "it is locked"]);
    assert_eq!(site.receipt()["grade"], "unknown");
    site.script("bmc", LAGGING);
    site.oob("power-off").silent();
    assert!(site.calls("bmc").contains(&format!("power-off {NODE}")));
}
