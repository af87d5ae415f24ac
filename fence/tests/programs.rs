//! OOB programs that cannot be run or that misbehave. Each failure is one line with the node.

mod common;

use std::os::unix::fs::PermissionsExt;

use common::Cluster;
use serde_json::Value;

fn with_path(path: impl Into<Value>) -> Cluster {
    let cluster = Cluster::new();
    let mut config = cluster.config();
    config["cluster"]["ndparams"]["oob_program"] = path.into();
    cluster.write_config(&config);
    cluster
}

fn off_fails(cluster: &Cluster, words: &[&str]) {
    let ran = cluster.pacemaker("action=off\nplug=n2.lab");
    ran.failed(words).stderr_has(&["n2.lab"]);
    assert_eq!(cluster.power("n2.lab"), "on");
}

/// `gnt-cluster verify` checks the same: the path exists, is a file and is executable. The line has a fix.
#[test]
fn a_program_that_cannot_be_run_is_named() {
    off_fails(&with_path("/nonexistent/oob"), &["no OOB program /nonexistent/oob", "install it"]);
    off_fails(&with_path("/"), &["not an executable file"]);
    off_fails(&with_path("bin/oob"), &["not an absolute path"]);
    let cluster = Cluster::new();
    std::fs::set_permissions(cluster.path("oob"), std::fs::Permissions::from_mode(0o644)).unwrap();
    off_fails(&cluster, &["not an executable file", "check its type and mode"]);
}

/// The file is executable by its mode, and the kernel cannot start it.
#[test]
fn a_program_that_the_kernel_does_not_start_is_named() {
    let cluster = Cluster::new();
    common::install(&cluster.path("oob"), "#!/nonexistent/interpreter\n");
    off_fails(&cluster, &["oob", "No such file"]);
    common::install(&cluster.path("oob"), "\u{7f}ELF?");
    off_fails(&cluster, &["oob"]);
}

/// A program cannot hang the agent: Pacemaker would kill the agent without a message, and try no other peer
/// (`fenced_remote.c`).
#[test]
fn a_program_that_hangs_is_ended_before_the_deadline() {
    for (vice, action) in [("exec sleep 1000", "status"), ("trap '' TERM; while :; do sleep 0.1; done", "off")] {
        let cluster = Cluster::with_program(vice);
        let ran = cluster.pacemaker(&format!("action={action}\nplug=n2.lab\ndeadline=2"));
        ran.failed(&["n2.lab", "timed out", "was killed"]);
    }
}

/// The administrator sets the deadline; a program that answers at once must be able to use any value of it.
#[test]
fn a_short_deadline_leaves_time_for_the_command() {
    for deadline in ["2", "4", "5"] {
        let cluster = Cluster::new();
        let ran = cluster.pacemaker(&format!("action=off\nplug=n2.lab\ndeadline={deadline}"));
        ran.succeeded().printed("Success: Powered OFF\n");
    }
}

/// If only reading hangs, the switch may still work, and must be tried before the time is over.
#[test]
fn a_program_whose_status_hangs_once_is_still_asked_to_switch_off() {
    let cluster = Cluster::with_program(r#"[ "$1" = power-status ] && ! grep -q power-off calls && exec sleep 1000"#);
    cluster
        .pacemaker("action=off\nplug=n2.lab\ndisable_timeout=true\ndeadline=3")
        .succeeded()
        .printed("Success: Powered OFF\n");
}

/// After a crash or a kill by the OOM killer, the line has the signal.
#[test]
fn a_program_that_dies_by_a_signal_is_unknown() {
    let cluster = Cluster::with_program("echo partial; kill -9 $$");
    cluster.pacemaker("action=status\nplug=n2.lab").failed(&["n2.lab", "status unknown", "signal 9"]);
    off_fails(&cluster, &["signal 9"]);
}

/// A correct answer that is followed by endless output does not count, and must not fill the memory.
#[test]
fn a_program_that_floods_is_unknown() {
    let flood = r#"[ "$1" = power-status ] && { echo '{"powered": false}'; yes '' | head -c 200000; exit 0; }"#;
    let cluster = Cluster::with_program(flood);
    cluster.pacemaker("action=status\nplug=n2.lab").failed(&["n2.lab", "more than 65536 bytes"]);
    let endless = Cluster::with_program("yes");
    endless.pacemaker("action=status\nplug=n2.lab\ndeadline=2").failed(&["n2.lab", "timed out"]);
}

/// Pacemaker and the administrator get one line on stderr, no matter how many lines the program prints.
#[test]
fn a_talkative_program_is_cut_to_its_reason() {
    let vice =
        r#"i=0; while [ $i -lt 2000 ]; do echo "debug $i" >&2; i=$((i+1)); done; echo "no route to BMC" >&2; exit 1"#;
    let ran = Cluster::with_program(vice).pacemaker("action=status\nplug=n2.lab");
    ran.failed(&["n2.lab", "no route to BMC"]);
    assert!(ran.stderr.len() < 600, "{}", ran.stderr);
    let control = Cluster::with_program("printf 'a\\033[2Jb\\rc\\377\\n' >&2; exit 1");
    control.pacemaker("action=status\nplug=n2.lab").failed(&["n2.lab", "exit code 1"]);
}

/// A program whose child keeps its stdout open has still answered.
#[test]
fn a_program_that_leaves_a_child_behind_has_answered() {
    let cluster = Cluster::with_program("sleep 1000 &");
    cluster.pacemaker("action=status\nplug=n2.lab").succeeded().printed("Status: ON\n");
}

/// Ganeti's contract (`lib/backend.py`, `RunOob`): two arguments, no stdin, LC_ALL=C.
#[test]
fn a_program_is_called_as_ganeti_calls_it() {
    let check = r#"[ "$#" = 2 ] && [ "$LC_ALL" = C ] || exit 9
    read -r line && exit 8
    [ -n "$GNT_HA_DEADLINE" ] || exit 7"#;
    let cluster = Cluster::with_program(check);
    cluster.pacemaker("action=off\nplug=n2").succeeded();
    assert!(cluster.calls().iter().all(|call| call.ends_with(" n2.lab")), "Ganeti's name, not Pacemaker's");
}

/// The caller of the agent may have left an unusual environment: ignored signals are inherited (`execve(2)`).
#[test]
fn ignored_signals_of_the_caller_do_no_harm() {
    let cluster = Cluster::new();
    let ran =
        common::in_shell(&cluster, r#"exec env --ignore-signal=CHLD,PIPE,TERM "$0" < "$1""#, "action=off\nplug=n2.lab");
    ran.succeeded().printed("Success: Powered OFF\n");
}
