//! A Ganeti cluster on disk for the agent: `config.data`, OOB programs with the power of their hosts in files, and the
//! receipts. Also has the two ways in which the agent is called.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "each test crate uses a part of it, and a broken test stops at once"
)]

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub(crate) use program_test::{Ran, install};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The path of the agent.
pub(crate) const AGENT: &str = env!("CARGO_BIN_EXE_fence_ganeti");

/// Short waits, so that a test ends soon. Under Pacemaker, `disable_timeout` would lengthen them, so it is off.
const BRISK: &str = "stonith_status_sleep=0.05\ndisable_timeout=false\npower_timeout=1\n";

/// The time in seconds after which a test that hangs is killed.
const GIVE_UP: &str = "60";

/// A cluster of n1.lab (the master), n2.lab and n3.lab, all on, with one OOB program that keeps the contract.
pub(crate) struct Cluster {
    dir: TempDir,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self::with_program("")
    }

    /// `vice` is shell text that runs before the correct part of the program, with `$1` the command and `$2` the node.
    pub(crate) fn with_program(vice: &str) -> Self {
        let cluster = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(cluster.path("data")).unwrap();
        cluster.write_config(&cluster.config());
        cluster.program("oob", vice);
        for node in ["n1.lab", "n2.lab", "n3.lab"] {
            cluster.set_power(node, "on");
        }
        cluster
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Returns the configuration, for a test to change and give to [`Cluster::write_config`].
    pub(crate) fn config(&self) -> Value {
        json!({
            "version": 3_000_000, "serial_no": 17, "mtime": 1.5,
            "cluster": {"master_node": "u1", "candidate_pool_size": 10,
                        "ndparams": {"oob_program": self.path("oob"), "ssh_port": 22}},
            "nodegroups": {"g1": {"name": "default", "ndparams": {}}},
            "nodes": {
                "u1": {"name": "n1.lab", "group": "g1", "master_candidate": true, "ndparams": {}},
                "u2": {"name": "n2.lab", "group": "g1", "master_candidate": true, "ndparams": {}},
                "u3": {"name": "n3.lab", "group": "g1", "ndparams": {}}},
            "instances": {}, "networks": {}, "disks": {}, "filters": {}
        })
    }

    pub(crate) fn write_config(&self, config: &Value) {
        self.write_config_text(config.to_string().as_bytes());
    }

    pub(crate) fn write_config_text(&self, text: &[u8]) {
        std::fs::write(self.path("data/config.data"), text).unwrap();
    }

    /// Writes an OOB program called `name`: first `vice`, then the correct part, which logs its calls and stores the
    /// power.
    pub(crate) fn program(&self, name: &str, vice: &str) -> PathBuf {
        let dir = self.dir.path().display();
        let body = format!(
            r#"#!/bin/sh
cd "{dir}" || exit 9
echo "$1 $2" >> calls
{vice}
case "$1" in
power-on) echo on > "power-$2" ;;
power-off) echo off > "power-$2" ;;
power-status)
    case "$(cat "power-$2")" in
    on) echo '{{"powered": true}}' ;;
    off) echo '{{"powered": false}}' ;;
    *) echo "no such host" >&2; exit 1 ;;
    esac ;;
*) exit 1 ;;
esac
"#
        );
        install(&self.path(name), &body)
    }

    pub(crate) fn set_power(&self, node: &str, power: &str) {
        std::fs::write(self.path(&format!("power-{node}")), format!("{power}\n")).unwrap();
    }

    pub(crate) fn power(&self, node: &str) -> String {
        self.text(&format!("power-{node}")).trim().to_owned()
    }

    /// Returns every call of an OOB program, as `COMMAND NODE`.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.text("calls").lines().map(str::to_owned).collect()
    }

    pub(crate) fn called(&self, call: &str) -> usize {
        self.calls().iter().filter(|known| *known == call).count()
    }

    /// Returns the lines that Pacemaker would put before those of the action.
    pub(crate) fn settings(&self) -> String {
        format!(
            "{BRISK}data_dir={}\nstate_dir={}\n",
            self.dir.path().join("data").display(),
            self.dir.path().join("state").display()
        )
    }

    /// Calls the agent as Pacemaker does: without arguments, with `key=value` lines on stdin.
    pub(crate) fn pacemaker(&self, lines: &str) -> Ran {
        feed(pacemakers_command(), format!("{}{lines}\n", self.settings()).as_bytes())
    }

    /// Calls the agent as an administrator does, with the directories added.
    pub(crate) fn person(&self, arguments: &[&str]) -> Ran {
        let mut command = bounded();
        command.args(arguments).args(["--stonith-status-sleep", "0.05", "--power-timeout", "1"]);
        command.arg("--data-dir").arg(self.path("data")).arg("--state-dir").arg(self.path("state"));
        feed(command, b"")
    }

    /// Writes the files of a host that is not a master candidate: Ganeti's node list, and Pacemaker's configuration
    /// with a copy of the programs.
    pub(crate) fn regular(&self, programs: &str) -> String {
        std::fs::remove_file(self.path("data/config.data")).unwrap();
        std::fs::write(self.path("data/ssconf_node_list"), "n1.lab\nn2.lab\nn3.lab\n").unwrap();
        let cib = format!(
            "<cib><configuration><crm_config><cluster_property_set id=\"s\"><nvpair id=\"p\" name=\"gnt-ha-oob-programs\" \
             value=\"{programs}\"/></cluster_property_set></crm_config></configuration></cib>"
        );
        std::fs::write(self.path("cib.xml"), cib).unwrap();
        format!("cib={}", self.path("cib.xml").display())
    }

    /// Returns every line of the receipts.
    pub(crate) fn receipt_log(&self) -> Vec<Value> {
        program_test::receipt_log(&self.text("state/receipts.jsonl"))
    }

    /// Returns the one receipt, after checking that it follows its intent.
    pub(crate) fn receipt(&self) -> Value {
        program_test::receipt(&self.receipt_log())
    }
}

/// Returns a command for the agent that is killed if it hangs.
pub(crate) fn bounded() -> Command {
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", GIVE_UP, AGENT]).env_remove("PCMK_service");
    command
}

/// Returns the same command under Pacemaker's fencer (`lib/common/logging.c` sets this variable for its children).
pub(crate) fn pacemakers_command() -> Command {
    let mut command = bounded();
    command.env("PCMK_service", "pacemaker-fenced");
    command
}

/// Runs `command` with `input` on stdin.
pub(crate) fn feed(command: Command, input: &[u8]) -> Ran {
    program_test::feed("fence_ganeti", command, input)
}

/// Runs shell text with `$0` the agent and `$1` a file with the lines for stdin, for unusual file descriptors.
pub(crate) fn in_shell(cluster: &Cluster, text: &str, lines: &str) -> Ran {
    let input = cluster.path("stdin");
    std::fs::write(&input, format!("{}{lines}\n", cluster.settings())).unwrap();
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", GIVE_UP, "sh", "-c", text, AGENT]).arg(input);
    feed(command, b"")
}

/// Starts the agent as Pacemaker does, as the leader of a process group (`lib/services/services_linux.c`).
pub(crate) fn start(cluster: &Cluster, lines: &str) -> Child {
    std::fs::write(cluster.path("stdin"), format!("{}{lines}\n", cluster.settings())).unwrap();
    Command::new(AGENT)
        .stdin(std::fs::File::open(cluster.path("stdin")).unwrap())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap()
}

/// Kills the process group, as Pacemaker does after its timeout.
pub(crate) fn kill_group(agent: &Child) {
    let killed = Command::new("kill").args(["-KILL", "--", &format!("-{}", agent.id())]).status().unwrap();
    assert!(killed.success());
}

/// Waits until `seen` returns true; panics after about 20 s.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut seen: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if seen() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("in vain: {what}");
}

/// Returns whether the process is alive.
pub(crate) fn runs(pid: &str) -> bool {
    // A process that was killed and not yet reaped is dead, too.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with(['Z', 'X']))
}
