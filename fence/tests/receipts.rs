//! The intent before and the receipt after an action: their content, a log that cannot be written, and what remains
//! when the agent is killed.

mod common;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Cluster, bounded, kill_group, runs, start, wait_for};

/// The intent is on disk before anything is changed, and each call is a part of it.
#[test]
fn the_intent_is_written_before_the_first_call() {
    let cluster = Cluster::with_program(r#"cp state/receipts.jsonl "at-$1"; echo "$GNT_HA_PARENT_RECEIPT" > request"#);
    cluster.pacemaker("action=off\nplug=n2.lab").succeeded();
    let receipt = cluster.receipt();
    let id = receipt["id"].as_str().unwrap();
    for seen in ["at-power-status", "at-power-off"] {
        let seen = cluster.text(seen);
        assert_eq!(seen.lines().count(), 1, "{seen}");
        assert!(seen.contains(r#""kind":"intent""#) && seen.contains(id) && seen.contains("n2.lab"), "{seen}");
    }
    assert_eq!(cluster.text("request").trim(), id);
}

/// The receipt has the requester, the action, the evidence, the grade and the times; other users cannot read it.
#[test]
fn the_receipt_holds_the_evidence() {
    let cluster = Cluster::new();
    cluster.pacemaker("action=off\nplug=n2").succeeded();
    let intent = cluster.receipt_log().remove(0);
    assert_eq!((&intent["action"], &intent["node"]), (&"off".into(), &"n2.lab".into()));
    assert_eq!((&intent["program"], &intent["requested_by"]["program"]), (&"fence_ganeti".into(), &"timeout".into()));
    let receipt = cluster.receipt();
    assert_eq!((&receipt["outcome"], &receipt["grade"]), (&"done".into(), &"off".into()));
    let proven_by = receipt["proven_by"].as_str().unwrap();
    assert!(
        proven_by.starts_with(&cluster.path("oob").display().to_string()) && proven_by.contains("reports no grade"),
        "{proven_by}"
    );
    let steps: Vec<&str> =
        receipt["steps"].as_array().unwrap().iter().map(|step| step["request"].as_str().unwrap()).collect();
    assert_eq!(steps, ["power-status", "power-off", "power-status", "power-status"]);
    for (name, mode) in [("state", 0o700), ("state/receipts.jsonl", 0o600)] {
        let found = std::fs::metadata(cluster.path(name)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{name}");
    }
}

/// A full disk must not prevent a fencing; but the agent must report that there is no receipt.
#[test]
fn a_full_disk_stops_no_fencing_and_is_reported() {
    let cluster = Cluster::new();
    std::fs::create_dir(cluster.path("state")).unwrap();
    symlink("/dev/full", cluster.path("state/receipts.jsonl")).unwrap();
    let ran = cluster.pacemaker("action=off\nplug=n2.lab");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "Success: Powered OFF\n"), "{ran:?}");
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{ran:?}");
    for (line, what) in lines.iter().zip(["no intent", "no receipt"]) {
        assert!(line.contains("n2.lab") && line.contains(what) && line.contains("No space left"), "{line}");
    }
}

/// The same holds for a state directory that cannot exist: a file has its path, or a pipe has the path of the receipts.
#[test]
fn an_impossible_state_dir_stops_no_fencing() {
    let cluster = Cluster::new();
    std::fs::write(cluster.path("state"), "").unwrap();
    let ran = cluster.pacemaker("action=off\nplug=n2.lab");
    assert_eq!((ran.code, cluster.power("n2.lab")), (Some(0), "off".into()), "{ran:?}");
    assert!(ran.stderr.contains("no intent"), "{ran:?}");

    let cluster = Cluster::new();
    std::fs::create_dir(cluster.path("state")).unwrap();
    assert!(Command::new("mkfifo").arg(cluster.path("state/receipts.jsonl")).status().unwrap().success());
    let ran = cluster.pacemaker("action=off\nplug=n2.lab");
    assert_eq!((ran.code, cluster.power("n2.lab")), (Some(0), "off".into()), "{ran:?}");
}

/// The agent may be killed after the command and before its end, so it reports a missing intent before the command.
#[test]
fn a_missing_intent_is_reported_before_the_node_is_touched() {
    let cluster = Cluster::with_program(r#"[ "$1" = power-status ] && cp stderr stderr-then"#);
    std::fs::create_dir(cluster.path("state")).unwrap();
    symlink("/dev/full", cluster.path("state/receipts.jsonl")).unwrap();
    std::fs::write(cluster.path("stdin"), format!("{}action=off\nplug=n2.lab\n", cluster.settings())).unwrap();
    let status = bounded()
        .stdin(std::fs::File::open(cluster.path("stdin")).unwrap())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(cluster.path("stderr")).unwrap())
        .status()
        .unwrap();
    assert!(status.success());
    let then = cluster.text("stderr-then");
    assert!(then.contains("n2.lab") && then.contains("no intent"), "printed by then: {then:?}");
}

/// The agent waits for another program's lock on the receipts, but not without end, and fences nevertheless.
#[test]
fn a_locked_receipt_log_stops_no_fencing() {
    let cluster = Cluster::new();
    std::fs::create_dir(cluster.path("state")).unwrap();
    let mut held = Command::new("flock")
        .arg("--no-fork")
        .arg(cluster.path("state/receipts.lock"))
        .args(["sh", "-c", "echo held; exec sleep 1000"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut start = [0; 5];
    std::io::Read::read_exact(held.stdout.as_mut().unwrap(), &mut start).unwrap();
    let ran = cluster.pacemaker("action=off\nplug=n2.lab\npower_timeout=5");
    held.kill().unwrap();
    held.wait().unwrap();
    assert_eq!((ran.code, cluster.power("n2.lab")), (Some(0), "off".into()), "{ran:?}");
    assert!(ran.stderr.contains("no intent") && ran.stderr.contains("receipts.lock"), "{ran:?}");
}

/// Pacemaker ends an agent by SIGKILL (`lib/common/mainloop.c`). No command may continue after that, the intent shows
/// what was begun, and the next run finishes it.
#[test]
fn a_killed_agent_leaves_an_intent_and_no_program_behind() {
    let cluster = Cluster::with_program(
        r#"[ "$1" = power-off ] && [ ! -e again ] && { echo $$ > new; mv new pid; exec sleep 1000; }"#,
    );
    let mut agent = start(&cluster, "action=off\nplug=n2.lab\npower_timeout=50");
    wait_for("the program's call", || cluster.path("pid").exists());
    let program = cluster.text("pid");
    kill_group(&agent);
    agent.wait().unwrap();
    wait_for("the program's end", || !runs(&program));
    let receipt_log = cluster.receipt_log();
    assert_eq!((receipt_log.len(), &receipt_log[0]["kind"]), (1, &"intent".into()), "{receipt_log:#?}");
    assert_eq!(cluster.power("n2.lab"), "on");

    std::fs::write(cluster.path("again"), "").unwrap();
    cluster.pacemaker("action=off\nplug=n2.lab").succeeded().printed("Success: Powered OFF\n");
    let kinds: Vec<_> = cluster.receipt_log().iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, ["intent", "intent", "receipt"]);
}

/// A shell script does not switch the power itself; the program that it calls does (`ipmitool`). Pacemaker kills the
/// agent's process group. A command that continues could switch off a node that was readmitted meanwhile.
#[test]
fn a_killed_agent_leaves_no_command_of_its_program_behind() {
    let cluster = Cluster::with_program(
        r#"[ "$1" = power-off ] && { sh -c 'echo $$ > new; mv new pid; exec sleep 1000'; exit 1; }"#,
    );
    let mut agent = start(&cluster, "action=off\nplug=n2.lab\npower_timeout=50");
    wait_for("the command's call", || cluster.path("pid").exists());
    let command = cluster.text("pid").trim().to_owned();
    kill_group(&agent);
    agent.wait().unwrap();
    let gone = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        !runs(&command)
    });
    if !gone {
        Command::new("kill").args(["-KILL", &command]).status().unwrap();
    }
    assert!(gone, "the command ran on behind the agent");
}

/// Two peers of Pacemaker, or Pacemaker and an administrator, may fence the same node at the same time.
#[test]
fn two_agents_at_the_same_node_both_succeed() {
    let cluster = Cluster::with_program("sleep 0.1");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                cluster.pacemaker("action=off\nplug=n2.lab\npower_timeout=20").succeeded();
            });
        }
    });
    assert_eq!(cluster.power("n2.lab"), "off");
    let receipt_log = cluster.receipt_log();
    assert_eq!(receipt_log.len(), 4);
    for intent in receipt_log.iter().filter(|entry| entry["kind"] == "intent") {
        assert_eq!(receipt_log.iter().filter(|entry| entry["id"] == intent["id"]).count(), 2, "{receipt_log:#?}");
    }
}

/// The OOB program's own receipt says what its proof was less sure of. The receipt of the fencing, which is the one that is
/// read, says it, too; not what belongs to another fencing, or what a failed call has printed.
#[test]
fn the_remarks_of_the_programs_receipt_are_in_that_of_the_fencing() {
    const LOG: &str = r#"log() {
    intent='"kind":"intent","version":1,"program":"ganeti-oob","action":"off","host":"n1.lab","boot_id":"b","at":{"wall_ms":1,"boottime_ms":1}'
    echo "{$intent,\"id\":\"$1\",\"node\":\"n2.lab\",\"requested_by\":{\"program\":\"fence_ganeti\",\"pid\":1,\"user\":\"root\",\"request\":\"$2\"}}" >> state/receipts.jsonl
    receipt='"kind":"receipt","version":1,"grade":"off","proven_by":"bmc","steps":[],"duration_ms":1,"at":{"wall_ms":2,"boottime_ms":2}'
    echo "{$receipt,\"id\":\"$1\",\"node\":\"n2.lab\",\"outcome\":\"$3\",\"reason\":\"$4\"}" >> state/receipts.jsonl
}
[ "$1" = power-off ] && {
    log c-1 "$GNT_HA_PARENT_RECEIPT" unchanged 'bmc: chassis /redfish/v1/Chassis/1 did not answer'
    log c-2 another-fencing done 'bmc: of another fencing'
    log c-3 "$GNT_HA_PARENT_RECEIPT" unknown 'bmc: of a failed call'
}"#;
    let cluster = Cluster::with_program(LOG);
    cluster.pacemaker("action=off\nplug=n2.lab").succeeded().printed("Success: Powered OFF\n");
    let receipt = cluster.receipt_log().pop().unwrap();
    assert_eq!(receipt["reason"], "bmc: chassis /redfish/v1/Chassis/1 did not answer");
    assert_eq!(receipt["outcome"], "done");
}
