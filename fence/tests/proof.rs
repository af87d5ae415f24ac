//! Only a state that was read back, with a grade that was asked for, counts as proof.

mod common;

use common::Cluster;

/// Prints `answer` for power-status as long as the host is off.
fn off_answer(answer: &str) -> String {
    format!(r#"[ "$1" = power-status ] && grep -q off "power-$2" && {{ printf '%s' '{answer}'; exit 0; }}"#)
}

/// IPMI and PDUs acknowledge before they act, or instead of it: an exit code is never proof.
#[test]
fn a_program_that_lies_about_power_off_is_found_out() {
    for action in ["off", "reboot"] {
        let cluster = Cluster::with_program(r#"[ "$1" = power-off ] && exit 0"#);
        let ran = cluster.pacemaker(&format!("action={action}\nplug=n2.lab"));
        ran.failed(&["n2.lab", "not proven off", "it still reads on"]);
        assert_eq!(cluster.called("power-on n2.lab"), 0, "no reboot goes on without its off");
        assert_eq!(
            (&cluster.receipt()["outcome"], &cluster.receipt()["grade"]),
            (&"unknown".into(), &"unknown".into())
        );
    }
}

/// Under Pacemaker only the deadline ends the action (`disable_timeout`). The line has the last reading of the device,
/// not that the time was over during the next reading: otherwise an administrator would search for a timeout that never
/// happened.
#[test]
fn the_reason_is_what_was_last_read_also_when_the_time_is_up() {
    let cluster = Cluster::with_program(r#"[ "$1" = power-off ] && exit 0"#);
    let ran = cluster.pacemaker("action=off\nplug=n2.lab\ndisable_timeout=true\ndeadline=2\nstonith_status_sleep=0.3");
    ran.failed(&["n2.lab", "not proven off", "it still reads on"]);
}

/// A command that had no effect is sent once more, but not without end.
#[test]
fn an_off_that_takes_effect_the_second_time_is_success() {
    let cluster = Cluster::with_program(r#"[ "$1" = power-off ] && [ "$(grep -c "$1" calls)" -lt 2 ] && exit 0"#);
    cluster.pacemaker("action=off\nplug=n2.lab\npower_timeout=2").succeeded().printed("Success: Powered OFF\n");
    assert_eq!(cluster.called("power-off n2.lab"), 2);
}

/// An error is not proof either: a command that reports an error and works nevertheless is a success.
#[test]
fn an_off_that_reports_an_error_and_works_is_success() {
    let cluster = Cluster::with_program(r#"[ "$1" = power-off ] && { echo off > "power-$2"; exit 3; }"#);
    cluster.pacemaker("action=off\nplug=n2.lab").succeeded().printed("Success: Powered OFF\n");
}

/// The program's own reason for a rejection must reach the administrator.
#[test]
fn a_refused_off_fails_with_the_programs_own_reason() {
    let cluster = Cluster::with_program(r#"[ "$1" = power-off ] && { echo "outlet is locked" >&2; exit 4; }"#);
    let ran = cluster.pacemaker("action=off\nplug=n2.lab");
    ran.failed(&["n2.lab", "it still reads on", "exit code 4", "outlet is locked"]);
}

/// A moment without power inside another program's power cycle must not count as off.
#[test]
fn a_program_that_says_on_and_off_in_turn_proves_nothing() {
    let vice = r#"
    if [ "$1" = power-status ]; then
        if [ -e turn ]; then rm turn; echo '{"powered": false}'; else touch turn; echo '{"powered": true}'; fi
        exit 0
    fi"#;
    Cluster::with_program(vice).pacemaker("action=off\nplug=n2.lab").failed(&["n2.lab", "not proven off"]);
}

/// The grades are never mixed; `isolated` must be requested by name.
#[test]
fn isolated_is_off_only_for_who_asks_for_it() {
    let cluster = Cluster::with_program(&off_answer(r#"{"powered": false, "grade": "isolated"}"#));
    cluster.pacemaker("action=off\nplug=n2.lab").failed(&[
        "n2.lab",
        "its off is only isolated",
        "minimum_grade is bounded",
    ]);
    cluster.pacemaker("action=status\nplug=n2.lab").failed(&["n2.lab", "status unknown", "isolated"]);
    let listed = cluster.pacemaker("action=list-status").stdout;
    assert!(listed.contains("n2.lab,n2,UNKNOWN"), "{listed}");

    cluster.pacemaker("action=off\nplug=n2.lab\nminimum_grade=isolated").succeeded().printed("Success: Already OFF\n");
    let receipt_log = cluster.receipt_log();
    assert_eq!((&receipt_log[1]["grade"], &receipt_log[3]["grade"]), (&"unknown".into(), &"isolated".into()));
}

/// A grade that is at least as strong as the least grade is accepted; a weaker one is not.
#[test]
fn each_least_grade_takes_what_is_as_strong() {
    for (answered, least, accepted) in [
        ("bounded", "bounded", true),
        ("bounded", "off", false),
        ("off", "off", true),
        ("off", "isolated", true),
        ("isolated", "off", false),
    ] {
        let cluster = Cluster::with_program(&off_answer(&format!(r#"{{"powered": false, "grade": "{answered}"}}"#)));
        cluster.set_power("n2.lab", "off");
        let ran = cluster.pacemaker(&format!("action=status\nplug=n2.lab\nminimum_grade={least}"));
        assert_eq!(ran.code, Some(if accepted { 2 } else { 1 }), "{answered} for {least}: {ran:?}");
    }
}

/// fence_rhevm once took a missing status element for off, and Ganeti shows null as "unpowered". Only a plain
/// `"powered": false` is off.
#[test]
fn garbage_is_never_off() {
    for answer in [
        "",
        "off",
        "false",
        "{}",
        "[]",
        r#"{"powered": null}"#,
        r#"{"powered": "false"}"#,
        r#"{"powered": 0}"#,
        r#"{"powered": false"#,
        r#"{"powered": false}{"powered": false}"#,
        r#"{"powered": false, "grade": "unknown"}"#,
        r#"{"powered": false, "grade": "OFF"}"#,
        r#"{"powered": false, "grade": 1}"#,
        r#"{"error": "session timeout", "was": {"powered": false}}"#,
    ] {
        let cluster = Cluster::with_program(&off_answer(answer));
        cluster.set_power("n2.lab", "off");
        cluster.pacemaker("action=status\nplug=n2.lab").failed(&["n2.lab", "status unknown"]);
        cluster.pacemaker("action=off\nplug=n2.lab\npower_timeout=0.2").failed(&["n2.lab", "not proven off"]);
    }
}

/// Ganeti takes any byte on stdout of power-off for a failure; here the state that is read back decides.
#[test]
fn a_program_that_prints_on_power_off_is_judged_by_the_state() {
    let cluster = Cluster::with_program(r#"[ "$1" = power-off ] && echo "Chassis Power Control: Down/Off""#);
    cluster.pacemaker("action=off\nplug=n2.lab").succeeded().printed("Success: Powered OFF\n");
    let cluster = Cluster::with_program(r#"[ "$1" = power-off ] && { echo "Down/Off"; exit 0; }"#);
    cluster.pacemaker("action=off\nplug=n2.lab").failed(&["n2.lab", "it still reads on", "Down/Off"]);
}

/// A device that cannot be read may still switch, and may answer afterwards (a BMC on a shared port).
#[test]
fn a_node_that_cannot_be_read_at_first_is_switched_off_all_the_same() {
    let cluster = Cluster::with_program(r#"[ "$1" = power-status ] && ! grep -q power-off calls && exit 1"#);
    cluster.pacemaker("action=off\nplug=n2.lab").succeeded().printed("Success: Powered OFF\n");
    assert_eq!(cluster.called("power-off n2.lab"), 1);
}

/// A BMC on the host's own network port does not answer for some seconds after a power change, and a script that asks
/// it fails at once. The agent must not give up while there is time.
#[test]
fn a_device_that_is_away_after_the_command_is_waited_for() {
    let vice = r#"
    if [ "$1" = power-status ] && [ "$(sed '1,/power-off/d' calls | wc -l)" -gt 0 ] && [ "$(wc -l < calls)" -le 8 ]; then
        echo "no answer" >&2
        exit 1
    fi"#;
    let cluster = Cluster::with_program(vice);
    cluster.pacemaker("action=off\nplug=n2.lab\npower_timeout=5").succeeded().printed("Success: Powered OFF\n");
    assert_eq!(cluster.called("power-off n2.lab"), 1);
}

/// If no reading succeeds, before the command or after it, the action ends by itself: the state is unknown, and the
/// line has the reason.
#[test]
fn a_device_that_never_answers_is_unknown() {
    let cluster = Cluster::with_program("echo \"no answer\" >&2; exit 1");
    cluster.pacemaker("action=off\nplug=n2.lab").failed(&["n2.lab", "not proven off", "no answer"]);
    assert!(cluster.called("power-off n2.lab") >= 1, "what cannot be read may still be switched");
    assert_eq!(cluster.receipt()["grade"], "unknown");
}

/// A grade does not count for a later answer without one: that off has no grade, and is read twice.
#[test]
fn a_grade_counts_for_its_own_answer_only() {
    // The sequence is: off with a grade that is too weak; then one plain off, a moment without power, between two ons.
    let cluster = Cluster::with_program(
        r#"if [ "$1" = power-status ]; then
            echo x >> asked
            case "$(wc -l < asked)" in
            1) echo '{"powered": false, "grade": "isolated"}';;
            2) echo '{"powered": false}';;
            *) echo '{"powered": true}';;
            esac
            exit 0
        fi"#,
    );
    cluster.pacemaker("action=off\nplug=n2.lab").failed(&["n2.lab", "still reads on"]);
}

/// A BMC had accepted a power-on of another program: it reported off, twice, and switched on after that.
#[test]
fn an_off_that_may_lag_counts_only_after_a_power_off() {
    let off = r#"{"powered": false, "grade": "off", "may_lag": true}"#;
    let answers = off_answer(off);
    let cluster = Cluster::with_program(&answers);
    cluster.set_power("n2.lab", "off");
    cluster.pacemaker("action=off\nplug=n2.lab").succeeded().printed("Success: Already OFF\n");
    assert_eq!(cluster.calls(), ["power-status n2.lab", "power-off n2.lab", "power-status n2.lab"]);

    // The program's power-off waits, and finds the host on.
    let vice = format!("{answers}\n[ \"$1\" = power-off ] && {{ echo \"it reads on again\" >&2; exit 1; }}");
    let cluster = Cluster::with_program(&vice);
    cluster.set_power("n2.lab", "off");
    let ran = cluster.pacemaker("action=off\nplug=n2.lab");
    ran.failed(&["n2.lab", "its off may be an old state", "it reads on again"]);
    assert_eq!(cluster.receipt()["grade"], "unknown");
    // Nor does it count if the host was on first.
    cluster.set_power("n2.lab", "on");
    let vice = format!("{answers}\n[ \"$1\" = power-off ] && {{ echo off > \"power-$2\"; echo refused >&2; exit 1; }}");
    let cluster = Cluster::with_program(&vice);
    cluster.pacemaker("action=off\nplug=n2.lab").failed(&["n2.lab", "its off may be an old state", "refused"]);
}
