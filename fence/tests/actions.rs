//! The actions on a healthy cluster: their effects, output and exit codes (FenceAgentAPI.md).

mod common;

use std::time::{Duration, Instant};

use common::{Cluster, bounded, feed};

/// FenceAgentAPI.md and `fencing.py`: the output that administrators and tools know.
#[test]
fn off_on_and_reboot_do_it_and_say_so() {
    let cluster = Cluster::new();
    cluster.pacemaker("action=off\nplug=n2.lab").succeeded().printed("Success: Powered OFF\n");
    assert_eq!(cluster.power("n2.lab"), "off");
    cluster.pacemaker("action=on\nplug=n2.lab").succeeded().printed("Success: Powered ON\n");
    assert_eq!(cluster.power("n2.lab"), "on");
    cluster.pacemaker("action=reboot\nplug=n2.lab").succeeded().printed("Success: Rebooted\n");
    assert_eq!(cluster.power("n2.lab"), "on");
    let acts: Vec<String> = cluster.calls().into_iter().filter(|call| !call.starts_with("power-status")).collect();
    assert_eq!(acts, ["power-off n2.lab", "power-on n2.lab", "power-off n2.lab", "power-on n2.lab"]);
}

/// `fencing.py`, `fence_action`: a state that exists already is a success, and no command is sent.
#[test]
fn what_is_so_already_is_success_without_a_command() {
    let cluster = Cluster::new();
    cluster.pacemaker("action=on\nplug=n2.lab").succeeded().printed("Success: Already ON\n");
    cluster.set_power("n2.lab", "off");
    cluster.pacemaker("action=off\nplug=n2.lab").succeeded().printed("Success: Already OFF\n");
    assert_eq!(cluster.called("power-off n2.lab") + cluster.called("power-on n2.lab"), 0);
    // An exit code is never proof, and one reading may coincide with a moment without power.
    assert!(cluster.called("power-status n2.lab") >= 3);
}

/// A reboot of a node that is off switches the node on and sends no off.
#[test]
fn a_reboot_of_a_node_that_is_off_only_switches_it_on() {
    let cluster = Cluster::new();
    cluster.set_power("n2.lab", "off");
    cluster.pacemaker("action=reboot\nplug=n2.lab").succeeded().printed("Success: Rebooted\n");
    assert_eq!((cluster.called("power-off n2.lab"), cluster.power("n2.lab")), (0, "on".into()));
}

/// FenceAgentAPI.md: a reboot is successful if its off part is; recovery does not wait for a host whose power-on fails.
#[test]
fn a_reboot_whose_power_on_fails_is_success_and_says_so() {
    for vice in [r#"[ "$1" = power-on ] && exit 0"#, r#"[ "$1" = power-on ] && { echo "fan tray out" >&2; exit 1; }"#] {
        let cluster = Cluster::with_program(vice);
        let ran = cluster.pacemaker("action=reboot\nplug=n2.lab\npower_timeout=0.5");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stderr_has(&["n2.lab", "was off, proven", "it is unknown whether it is on again"]);
        assert_eq!(cluster.receipt()["outcome"], "off-only");
        assert_eq!(cluster.receipt()["grade"], "off");
    }
}

/// FenceAgentAPI.md: 0 is on, 2 is off, 1 is everything else. An unknown state is never off.
#[test]
fn status_is_0_2_or_1() {
    let cluster = Cluster::new();
    cluster.pacemaker("action=status\nplug=n2.lab").succeeded().printed("Status: ON\n");
    cluster.set_power("n2.lab", "off");
    let off = cluster.pacemaker("action=status\nplug=n2.lab");
    assert_eq!((off.code, off.stdout.as_str(), off.stderr.as_str()), (Some(2), "Status: OFF\n", ""));
    cluster.set_power("n2.lab", "burning");
    cluster.pacemaker("action=status\nplug=n2.lab").failed(&["n2.lab", "status unknown", "no such host"]);
    assert!(cluster.receipt_log().is_empty(), "reading leaves no receipt");
}

/// Pacemaker takes each entry of a line for a name of the node (`lib/fencing/st_client.c`, `parse_list_line`). So the
/// full name and the short one match, and there must not be a third column.
#[test]
fn list_names_every_node_that_can_be_fenced() {
    let cluster = Cluster::new();
    let mut config = cluster.config();
    config["nodes"]["u3"]["ndparams"]["oob_program"] = "".into();
    cluster.write_config(&config);
    cluster.pacemaker("action=list").succeeded().printed("n1.lab,n1\nn2.lab,n2\n");
    cluster.person(&["-o", "list", "-C", ";"]).succeeded().printed("n1.lab;n1\nn2.lab;n2\n");
    assert!(cluster.calls().is_empty(), "a list asks no device");
}

/// `fencing.py`: the third column is ON, OFF or UNKNOWN; a dead device does not hide others.
#[test]
fn list_status_prints_each_nodes_power() {
    let cluster = Cluster::new();
    cluster.set_power("n2.lab", "off");
    cluster.set_power("n3.lab", "burning");
    let ran = cluster.pacemaker("action=list-status");
    assert_eq!(ran.stdout, "n1.lab,n1,ON\nn2.lab,n2,OFF\nn3.lab,n3,UNKNOWN\n");
    ran.stderr_has(&["n3.lab", "no such host"]);
}

/// Monitors that ask every device cause most timeouts of fence devices: only `deep` asks them.
#[test]
fn monitor_is_cheap_and_deep_asks_every_device() {
    let cluster = Cluster::new();
    cluster.set_power("n3.lab", "burning");
    cluster.pacemaker("action=monitor").succeeded().printed("");
    assert!(cluster.calls().is_empty());
    cluster.pacemaker("action=monitor\ndeep=1").failed(&["n3.lab", "no such host"]);
    cluster.set_power("n3.lab", "off");
    cluster.pacemaker("action=monitor\ndeep=1").succeeded().printed("");
}

/// A monitor that succeeds although no node could be fenced would hide the fault until a fencing is needed.
#[test]
fn monitor_and_validate_fail_where_fencing_could_not_work() {
    let cluster = Cluster::new();
    std::fs::remove_file(cluster.path("oob")).unwrap();
    let program = cluster.path("oob").display().to_string();
    cluster.pacemaker("action=monitor").failed(&[&program, "install it"]);

    let cluster = Cluster::new();
    let mut config = cluster.config();
    config["cluster"]["ndparams"]["oob_program"] = "".into();
    cluster.write_config(&config);
    cluster.pacemaker("action=monitor").failed(&["no node has an OOB program", "gnt-cluster modify"]);

    std::fs::remove_file(cluster.path("data/config.data")).unwrap();
    cluster.pacemaker("action=monitor").failed(&["config.data", "not a master candidate"]);
    cluster.pacemaker("action=validate-all").failed(&["config.data", "not a master candidate"]);
}

/// `fencing.py` applies `delay` to off and reboot; a delay that uses up the deadline could never fence.
#[test]
fn delay_waits_before_off_and_not_before_on() {
    let cluster = Cluster::new();
    let begun = Instant::now();
    cluster.pacemaker("action=off\nplug=n2.lab\ndelay=0.3").succeeded();
    // A wait is at least as long as requested, however slow the machine is.
    assert!(begun.elapsed() >= Duration::from_millis(300));
    cluster.pacemaker("action=on\nplug=n2.lab\ndelay=50").succeeded().printed("Success: Powered ON\n");
    cluster.pacemaker("action=off\nplug=n2.lab\ndelay=55").failed(&["deadline", "more than delay"]);
}

/// Administrators use what they know from other agents (`fencing.py`): short and long options, old and new names.
#[test]
fn the_command_line_is_that_of_other_agents() {
    let cluster = Cluster::new();
    cluster.person(&["-o", "status", "-n", "n2"]).succeeded().printed("Status: ON\n");
    cluster.person(&["--action=off", "--plug=n2.lab"]).succeeded().printed("Success: Powered OFF\n");
    cluster.person(&["--action", "off", "--plug", "n2.lab", "-q"]).succeeded().printed("Success: Already OFF\n");
    cluster.person(&["-o", "off"]).failed(&["no node was named", "-n NODE"]);
    cluster.person(&["-o", "off", "-n", "n2.lab", "--frobnicate"]).failed(&["--frobnicate"]);
    cluster.person(&["-o", "off", "-n", "n2.lab", "n3.lab"]).failed(&["n3.lab"]);
    for help in ["--help", "-h", "--version", "-V"] {
        let mut command = bounded();
        command.arg(help);
        let ran = feed(command, b"");
        assert!(ran.succeeded().stdout.contains("fence_ganeti"), "{ran:?}");
    }
}

/// `-v` prints the steps on stderr; the result and the exit code stay the same.
#[test]
fn verbose_shows_the_steps() {
    let cluster = Cluster::new();
    let ran = cluster.person(&["-v", "-o", "off", "-n", "n2.lab"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "Success: Powered OFF\n"));
    assert!(ran.stderr.contains("power-off") && ran.stderr.contains("power-status"), "{ran:?}");
}
