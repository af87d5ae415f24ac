//! Ganeti's contract for OOB programs (`doc/design-oob.rst`, `lib/backend.py`, `lib/server/noded.py`).

mod common;

use std::process::Command;

use common::{NODE, PROGRAM, Site, feed};
use serde_json::json;

/// `lib/server/noded.py`: any byte on stdout of a power command counts as a payload, and a payload is a failure.
#[test]
fn the_power_commands_are_silent() {
    let site = Site::with_scripts(&["dev"], r#"[["dev"]]"#);
    for (command, power) in
        [("power-off", "off"), ("power-off", "off"), ("power-on", "on"), ("power-on", "on"), ("power-cycle", "on")]
    {
        site.oob(command).silent();
        assert_eq!(site.power("dev"), power, "{command}");
    }
    let acts: Vec<String> = site.calls("dev").into_iter().filter(|call| !call.starts_with("power-status")).collect();
    let expected = ["power-off", "power-on", "power-off", "power-on"].map(|command| format!("{command} {NODE}"));
    assert_eq!(acts, expected, "what is so already needs no command");
}

/// Ganeti needs `{"powered": bool}` and accepts more keys (tried with 3.0.2); the grade is ours.
#[test]
fn power_status_is_json_with_the_grade() {
    let site = Site::with_scripts(&["dev"], r#"[["dev"]]"#);
    let on = site.oob("power-status").answered();
    assert_eq!((&on["powered"], &on["grade"], &on["level"]), (&json!(true), &json!(null), &json!(1)));
    site.set_power("dev", "off");
    let off = site.oob("power-status").answered();
    assert_eq!((&off["powered"], &off["grade"]), (&json!(false), &json!("off")));
    assert_eq!(site.calls("dev").len(), 3, "an off is read twice");
    assert!(site.receipt_log().is_empty(), "reading leaves no receipt");
}

/// An unknown state is exit code 1 and nothing on stdout: Ganeti shows `{"powered": null}` as "unpowered".
#[test]
fn not_knowing_is_a_failure() {
    let site = Site::with_scripts(&["dev"], r#"[["dev"]]"#);
    site.set_power("dev", "burning");
    site.oob("power-status").failed_for(NODE, &["its power is unknown", "dev", "no such host"]);
    site.script("dev", r#"[ "$1" = power-status ] && { echo '{"powered": null}'; exit 0; }"#);
    site.oob("power-status").failed_for(NODE, &["its power is unknown", "dev"]);
    site.oob_within("1.5", "power-off").failed_for(NODE, &["power-off failed", "dev"]);
}

/// Off, then on: one reading of off is not sufficient.
#[test]
fn an_off_that_is_on_a_moment_later_is_no_off() {
    let turn = r#"if [ "$1" = power-status ]; then
        if [ -e turn ]; then rm turn; echo '{"powered": true}'; else touch turn; echo '{"powered": false}'; fi
        exit 0
    fi"#;
    let site = Site::with_scripts(&["dev"], r#"[["dev"]]"#);
    site.script("dev", turn);
    assert_eq!(site.oob("power-status").answered()["powered"], true);
    site.oob_within("2", "power-off").failed_for(NODE, &["not proven off"]);
}

/// An acknowledgement is not a proof, and an error no refutation: the state that is read back decides.
#[test]
fn only_the_state_that_is_read_back_counts() {
    let site = Site::with_scripts(&["dev"], r#"[["dev"]]"#);
    site.script("dev", r#"[ "$1" = power-off ] && exit 0"#);
    site.oob_within("1.5", "power-off").failed_for(NODE, &["power-off failed", "dev", "not proven off"]);
    assert_eq!(site.receipt()["outcome"], "unknown");
    site.script("dev", r#"[ "$1" = power-off ] && { echo off > power-dev; exit 7; }"#);
    site.oob("power-off").silent();
}

/// The line has the device's last answer, and not only that the time was over. A device that acknowledges and does not
/// act needs another fix than one that does not answer.
#[test]
fn the_reason_is_what_was_last_read_also_when_the_time_is_up() {
    let site = Site::with_scripts(&["dev"], r#"[["dev"]]"#);
    site.script("dev", r#"[ "$1" = power-off ] && exit 0"#);
    site.oob_within("1.5", "power-off").failed_for(NODE, &["dev", "it still reads on"]);
    site.script("dev", "echo 'outlet is locked' >&2; exit 1");
    site.oob_within("1.5", "power-off").failed_for(NODE, &["dev", "power-status failed", "outlet is locked"]);
}

/// The variable that `fence_ganeti` sets: it reads the grade.
const FENCING: (&str, &str) = ("GNT_HA_PARENT_RECEIPT", "0199aabbccdd-01234567");

/// A grade that is weaker than required is not an off. A sufficient one is passed on as it is, never raised.
#[test]
fn a_weaker_grade_is_passed_on() {
    let site = Site::with_scripts(&["dev", "other"], r#"[["dev", "other"]]"#);
    site.set_power("dev", "off");
    site.set_power("other", "off");
    site.script("dev", r#"[ "$1" = power-status ] && { echo '{"powered": false, "grade": "isolated"}'; exit 0; }"#);
    for command in ["power-status", "power-off"] {
        site.oob(command).failed_for(NODE, &["dev", "only isolated", "minimum_grade is bounded"]);
    }
    std::fs::remove_dir_all(site.path("state")).unwrap();
    site.configure(&format!("minimum_grade = \"isolated\"\n{}", site.text("config.toml")));
    assert_eq!(site.oob("power-status").answered()["grade"], "isolated");
    site.run(&["power-off", NODE], &[FENCING]).silent();
    assert_eq!(site.receipt()["grade"], "isolated");
}

/// Ganeti records powered=no at each exit code 0 of power-off. For a node whose power was not read as off it gets a
/// failure, with what was proven. The receipt is the same for every caller.
#[test]
fn ganeti_gets_no_success_without_an_off() {
    for (grade, meaning) in [("bounded", "the power may be on"), ("isolated", "may still run")] {
        let site = Site::with_scripts(&["dev"], r#"[["dev"]]"#);
        site.configure(&format!("minimum_grade = \"isolated\"\n{}", site.text("config.toml")));
        let answer = format!(
            r#"[ "$1 $(cat power-dev)" = "power-status off" ] && {{ echo '{{"powered": false, "grade": "{grade}"}}'; exit 0; }}"#
        );
        site.script("dev", &answer);
        // The second command finds the state reached before.
        for outcome in ["done", "unchanged"] {
            let expected = format!("it is proven {grade} by dev");
            site.oob("power-off").failed_for(NODE, &[&expected, meaning, "gnt-ha confirm-off n1.lab --reason TEXT"]);
            let receipt = site.receipt_log().pop().unwrap();
            assert_eq!((&receipt["outcome"], &receipt["grade"]), (&json!(outcome), &json!(grade)));
        }
        site.run(&["power-off", NODE], &[FENCING]).silent();
        assert_eq!(site.oob("power-status").answered()["grade"], grade);
        site.run(&["power-off", NODE], &[("GNT_HA_PARENT_RECEIPT", "not an id")]).failed_for(NODE, &["not seen off"]);
    }
}

/// `OOB_STATUSES`: a list of [item, status]; a device that does not answer is also an item.
#[test]
fn health_is_a_list_of_pairs() {
    let site = Site::with_scripts(&["dev", "dead"], r#"[["dev"], ["dead"]]"#);
    site.script("dead", "echo broken >&2; exit 1");
    let ran = site.oob("health");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let items: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(items, json!([["dev fan", "OK"], ["dead answers", "UNKNOWN"]]));
    assert!(ran.stderr.contains(NODE) && ran.stderr.contains("broken"), "{ran:?}");
    site.script("dev", "exit 1");
    site.oob("health").failed_for(NODE, &["its health is unknown", "broken"]);
}

/// The contract has the exit codes 0 and 1. A wrong call prints one line and is never an action.
#[test]
fn a_wrong_call_is_exit_code_1_and_one_line() {
    let site = Site::with_scripts(&["dev"], r#"[["dev"]]"#);
    for arguments in [
        &["power-of", NODE][..],
        &["power-off"],
        &["power-off", NODE, "more"],
        &["power-off", ""],
        &["power-off", "n1;reboot"],
        &["power-off", "../n1"],
        &["power-off", "-n1"],
        &["power-off", "--force", NODE],
        &["POWER-OFF", NODE],
    ] {
        site.run(arguments, &[]).failed(&["--help"]);
    }
    assert!(site.calls("dev").is_empty() && site.receipt_log().is_empty());
    let nothing = feed(Command::new(PROGRAM), b"");
    assert_eq!((nothing.code, nothing.stdout.as_str()), (Some(1), ""), "{nothing:?}");
    for help in ["--help", "--version"] {
        let ran = site.run(&[help], &[]);
        assert!(ran.code == Some(0) && ran.stdout.contains("ganeti-oob"), "{ran:?}");
    }
}

/// Intent and receipt, with the id of the caller's receipt to which this action belongs.
#[test]
fn receipts_are_linked_to_the_callers() {
    let site = Site::with_scripts(&["dev"], r#"[["dev"]]"#);
    site.script("dev", r#"[ -e state/receipts.jsonl ] && cp state/receipts.jsonl "at-$1""#);
    site.run(&["power-off", NODE], &[FENCING]).silent();
    assert_eq!(site.text("at-power-status").lines().count(), 1);
    let intent = site.receipt_log().remove(0);
    assert_eq!((&intent["program"], &intent["action"]), (&json!("ganeti-oob"), &json!("off")));
    assert_eq!(intent["requested_by"]["request"], "0199aabbccdd-01234567");
    let receipt = site.receipt();
    assert_eq!(
        (&receipt["outcome"], &receipt["grade"], &receipt["proven_by"]),
        (&json!("done"), &json!("off"), &json!("dev"))
    );
}

/// A full disk must not prevent a power-off; the exit code stays Ganeti's.
#[test]
fn a_full_disk_stops_nothing_and_is_reported() {
    let site = Site::with_scripts(&["dev"], r#"[["dev"]]"#);
    std::fs::create_dir(site.path("state")).unwrap();
    std::os::unix::fs::symlink("/dev/full", site.path("state/receipts.jsonl")).unwrap();
    let ran = site.oob("power-off");
    assert_eq!((ran.code, ran.stdout.as_str(), site.power("dev")), (Some(0), "", "off".into()), "{ran:?}");
    assert!(ran.stderr.contains(NODE) && ran.stderr.contains("no intent"), "{ran:?}");
}

/// `ganeti-oob -v ... 2>&1 | head`: the reader ends in the middle, and the command goes on. The same on a full disk.
#[test]
fn verbose_output_without_a_reader_breaks_nothing_off() {
    for redirection in ["2> /dev/full", "2>&-"] {
        let site = Site::with_scripts(&["dev"], r#"[["dev"]]"#);
        let text = format!(r#"exec "$0" -v power-off {NODE} --config "$1" < /dev/null {redirection}"#);
        let mut command = Command::new("sh");
        command.args(["-c", &text, PROGRAM]).arg(site.path("config.toml"));
        let ran = feed(command, b"");
        assert_eq!((ran.code, site.power("dev")), (Some(0), "off".into()), "{redirection}: {ran:?}");
    }
}
