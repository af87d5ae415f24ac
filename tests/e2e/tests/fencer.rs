//! Pacemaker's fencer, stand-alone (`pacemaker-fenced -s`), with `fence_ganeti` as its device, without a cluster. Beside it
//! runs a corosync of one node, which the fencer of Pacemaker 3 needs.
//!
//! It runs in namespaces of its own, with an overlay over `/usr/sbin`, as the fencer searches for agents only there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use e2e::install::built_programs;

/// A fencer in a directory of its own; it is killed with all its processes when it is dropped.
struct Fencer {
    unshare: Child,
    dir: tempfile::TempDir,
}

const CONFIG: &str = r#"{"version": 3000000, "serial_no": 1,
    "cluster": {"master_node": "u1", "candidate_pool_size": 10, "ndparams": {"oob_program": "OOB"}},
    "nodegroups": {"g": {}},
    "nodes": {"u1": {"name": "n1.lab", "group": "g"}, "u2": {"name": "n2.lab", "group": "g"}}}"#;

/// The configuration of corosync as a format of printf(1), for the name of the host.
const COROSYNC: &str = "totem {\\n version: 2\\n cluster_name: fencer\\n transport: udpu\\n}\\n\
     nodelist {\\n node {\\n nodeid: 1\\n name: %s\\n ring0_addr: 127.0.0.1\\n }\\n}\\n\
     quorum {\\n provider: corosync_votequorum\\n}\\nlogging {\\n to_stderr: no\\n}\\n";

/// An OOB program with its state in a file; with `lie` it acknowledges and does not act.
const OOB: &str = r#"#!/bin/sh
state=DIR/$2
case $1 in
power-status) if [ "$(cat "$state" 2>/dev/null)" = off ]; then echo '{"powered": false}'; else echo '{"powered": true}'; fi;;
power-off) [ -e DIR/lie ] || echo off > "$state";;
power-on) echo on > "$state";;
*) exit 1;;
esac
"#;

impl Fencer {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let oob = path.join("oob");
        std::fs::write(&oob, OOB.replace("DIR", path.to_str().unwrap())).unwrap();
        std::fs::set_permissions(&oob, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(path.join("config.data"), CONFIG.replace("OOB", oob.to_str().unwrap())).unwrap();
        let agent = built_programs().unwrap().join("fence_ganeti");
        let boot = format!(
            "set -e
            mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work && cp {} /mnt/upper/fence_ganeti
            mount -t overlay overlay -o lowerdir=/usr/sbin,upperdir=/mnt/upper,workdir=/mnt/work /usr/sbin
            for dir in /dev/shm /run /var/lib/pacemaker /var/lib/corosync /etc/corosync; do mount -t tmpfs tmpfs $dir; done
            mkdir -p /run/crm /var/lib/pacemaker/cores && chown hacluster:haclient /run/crm /var/lib/pacemaker
            ip link set lo up
            printf '{COROSYNC}' \"$(uname -n)\" >/etc/corosync/corosync.conf
            corosync
            until corosync-quorumtool -s >/dev/null 2>&1; do sleep 0.05; done
            exec /usr/lib/pacemaker/pacemaker-fenced -s -l /run/fenced.log",
            agent.display()
        );
        let unshare = Command::new("unshare")
            .args([
                "--mount",
                "--pid",
                "--ipc",
                "--net",
                "--fork",
                "--kill-child=KILL",
                "--mount-proc",
                "sh",
                "-c",
                &boot,
            ])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let fencer = Self { unshare, dir };
        let begun = Instant::now();
        while !fencer.enter(&["stonith_admin", "--list-registered"]).status.success() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the fencer does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        fencer
    }

    /// Runs a command in the fencer's namespaces.
    fn enter(&self, words: &[&str]) -> Output {
        let children = format!("/proc/{0}/task/{0}/children", self.unshare.id());
        let child = std::fs::read_to_string(children).unwrap_or_default();
        let pid = child.trim().to_owned();
        let output = Command::new("nsenter").args(["-t", &pid, "-m", "-p", "-i", "-n"]).args(words).output().unwrap();
        println!(
            "# {}\n{}{}",
            words.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    fn succeeds(&self, words: &[&str]) -> String {
        let output = self.enter(words);
        assert!(output.status.success(), "{words:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn fails(&self, words: &[&str]) {
        assert!(!self.enter(words).status.success(), "{words:?}");
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn state(&self, node: &str) -> String {
        std::fs::read_to_string(self.path().join(node)).unwrap_or_default().trim().to_owned()
    }
}

impl Drop for Fencer {
    fn drop(&mut self) {
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

/// fence-agents#584, #630: some agents work by hand and fail under Pacemaker. So this test uses the fencer itself.
#[test]
fn the_fencer_drives_the_agent() {
    let fencer = Fencer::start();
    let data_dir = format!("data_dir={}", fencer.path().display());
    let state_dir = format!("state_dir={}/state", fencer.path().display());

    let metadata = fencer.succeeds(&["stonith_admin", "--metadata", "--agent", "fence_ganeti"]);
    assert!(metadata.contains("minimum_grade"));
    fencer.succeeds(&["stonith_admin", "--validate", "--agent", "fence_ganeti", "--option", &data_dir]);
    fencer.succeeds(&[
        "stonith_admin",
        "--register",
        "ganeti",
        "--agent",
        "fence_ganeti",
        "--option",
        &data_dir,
        "--option",
        &state_dir,
    ]);
    fencer.succeeds(&["stonith_admin", "--query", "ganeti"]);

    // The agent's list makes both the full and the short name valid targets, without a host map.
    for name in ["n2.lab", "n2", "N2.lab"] {
        assert!(fencer.succeeds(&["stonith_admin", "--list", name]).contains("ganeti"), "{name}");
    }
    assert!(fencer.succeeds(&["stonith_admin", "--list", "n3.lab"]).contains("0 fence devices"));

    fencer.succeeds(&["stonith_admin", "--fence", "n2", "--timeout", "30"]);
    assert_eq!(fencer.state("n2.lab"), "off");
    fencer.succeeds(&["stonith_admin", "--unfence", "n2.lab", "--timeout", "30"]);
    assert_eq!(fencer.state("n2.lab"), "on");
    fencer.succeeds(&["stonith_admin", "--reboot", "n2.lab", "--timeout", "30"]);
    assert_eq!(fencer.state("n2.lab"), "on");

    // Acknowledged but not done: Pacemaker must get a failure.
    std::fs::write(fencer.path().join("lie"), "").unwrap();
    fencer.fails(&["stonith_admin", "--fence", "n2.lab", "--timeout", "8"]);
    assert_eq!(fencer.state("n2.lab"), "on");
    std::fs::remove_file(fencer.path().join("lie")).unwrap();
    fencer.succeeds(&["stonith_admin", "--fence", "n2.lab", "--timeout", "30"]);
    assert_eq!(fencer.state("n1.lab"), "", "n1 was never touched");
}
