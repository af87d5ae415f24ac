//! Runs `gnt-ha hook` as Ganeti runs a hook's script: with only Ganeti's variables in the environment, and without
//! stdin.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

const HOOKS: [&str; 9] = [
    "cluster-verify",
    "config-update",
    "instance-modify",
    "instance-start",
    "master-ip-turnup",
    "node-add",
    "node-modify",
    "node-remove",
    "",
];

/// A configured part of gnt-ha, made by hand.
const CIB: &str = r#"<cib><configuration><crm_config/><nodes><node id="3" uname="gone.lab"/></nodes><resources>
    <primitive id="f" class="stonith" type="fence_ganeti"/></resources><constraints/></configuration></cib>"#;

struct Site {
    dir: TempDir,
    here: String,
}

impl Site {
    /// Makes a site without Ganeti and Pacemaker.
    fn bare() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let here = nix::unistd::gethostname().unwrap().into_string().unwrap();
        let site = Self { dir, here };
        let state = site.path("state").display().to_string();
        site.write(
            "config.toml",
            &format!("state_directory = \"{state}\"\nrun_directory = \"{state}\"\n[shun]\nafter_off = false\n"),
        );
        site
    }

    /// Makes a Ganeti cluster with this host, its master or not, and gone.lab, which is offline.
    fn node(is_master: bool) -> Self {
        let site = Self::bare();
        let here = &site.here;
        let master = if is_master { here } else { "gone.lab" };
        site.write("data/ssconf_node_list", &format!("{here}\ngone.lab\n"));
        site.write("data/ssconf_master_node", &format!("{master}\n"));
        site.write("data/ssconf_cluster_tags", "");
        site.write(
            "data/config.data",
            &serde_json::json!({"version": 3_000_000, "serial_no": 1, "cluster": {"master_node": "u1"},
                "nodegroups": {"g": {}}, "nodes": {"u1": {"name": here, "group": "g", "master_candidate": true},
                "u2": {"name": "gone.lab", "group": "g", "offline": true}}})
            .to_string(),
        );
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs a hook. Returns the exit code and the output.
    fn hook(&self, path: &str, phase: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
        let mut command = Command::new("sh");
        command.args(["-c", r#"exec "$@" <&-"#, "sh", env!("CARGO_BIN_EXE_gnt-ha"), "--config"]);
        command.arg(self.path("config.toml")).arg("hook");
        for (option, name) in [("--data-dir", "data"), ("--state-dir", "state"), ("--cib", "cib.xml")] {
            command.arg(option).arg(self.path(name));
        }
        command.env_clear().env("PATH", "/sbin:/bin:/usr/sbin:/usr/bin").envs(variables.iter().copied());
        if !path.is_empty() {
            command.env("GANETI_HOOKS_PATH", path).env("GANETI_HOOKS_PHASE", phase).env("GANETI_HOOKS_VERSION", "2");
        }
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout) + &text(output.stderr))
    }
}

/// Rule: a package that is installed and not set up does nothing to Ganeti.
#[test]
fn where_nothing_is_set_up_every_hook_is_silent() {
    let of_gone = [("GANETI_OP_TARGET", "gone.lab"), ("GANETI_OFFLINE", "True")];
    for site in [Site::bare(), Site::node(true), Site::node(false)] {
        for hook in HOOKS {
            for phase in ["pre", "post"] {
                assert_eq!(site.hook(hook, phase, &of_gone), (Some(0), String::new()), "{hook} {phase}");
            }
        }
        assert!(!site.path("state").exists(), "nothing is left behind");
    }
}

/// Rule: before an operation a failure stops Ganeti, so only a forbidden operation fails; after it, Ganeti shows the
/// failure.
#[test]
fn what_must_not_be_done_and_what_was_not_is_one_line() {
    let site = Site::node(true);
    site.write("cib.xml", CIB);
    site.write(
        "state/shun-list.json",
        r#"{"gone.lab": {"epoch": 1, "addresses": ["192.0.2.9"], "scope": "tcp", "grade": "unknown", "boot_id": null,
            "since_ms": 1, "by": "the test"}}"#,
    );
    let back = [("GANETI_OP_TARGET", "gone.lab"), ("GANETI_OFFLINE", "False")];
    let (code, printed) = site.hook("node-modify", "pre", &back);
    assert_eq!(code, Some(1));
    assert_eq!(printed, "gnt-ha: gone.lab: the other nodes shun it; readmit it first: gnt-ha readmit gone.lab\n");

    // No Pacemaker has such a node, and most machines have no Pacemaker.
    let off = [("GANETI_OP_TARGET", "gone.lab"), ("GANETI_OFFLINE", "True")];
    assert_eq!(site.hook("node-modify", "pre", &off), (Some(0), String::new()));
    let (code, printed) = site.hook("node-modify", "post", &off);
    assert_eq!((code, printed.matches('\n').count()), (Some(1), 1), "{printed}");
    assert!(
        printed.starts_with("gnt-ha: ") && printed.contains("gone.lab: whether Pacemaker has it running"),
        "{printed}"
    );

    let damaged = Site::node(true);
    damaged.write("cib.xml", CIB);
    damaged.write("state/shun-list.json", "{");
    assert_eq!(damaged.hook("node-modify", "pre", &back), (Some(0), String::new()), "Ganeti is not held up");
    let (code, printed) = damaged.hook("node-modify", "post", &off);
    assert!(code == Some(1) && printed.contains("shun-list.json"), "{printed}");
}

/// What the recovery remembers of a start that luxid has accepted.
const STARTED: &str = r#"{"at": {"wall_ms": 1, "boottime_ms": 1}, "breaker": {"blocked": [], "limit": 0, "excused": []},
    "lines": [], "waits": true, "unconfirmed": {}, "started": {"web": {"on": null, "at": {"wall_ms": 1, "boottime_ms": 1}}}}"#;

/// The master asks luxid whose start an instance gets, only while a start of gnt-ha's may be under way. Without an answer
/// it stops the job: an instance that was stopped must not start. Where recovery is off, nothing is even read.
#[test]
fn a_start_of_unknown_origin_is_stopped_where_gnt_ha_starts_instances() {
    let site = |is_master: bool, tag: &str| {
        let site = Site::node(is_master);
        site.write("data/ssconf_cluster_tags", &format!("{tag}\n"));
        site
    };
    let other = "ganeti:watcher:autorepair:failover";
    let instance = |status| [("GANETI_INSTANCE_NAME", "web"), ("GANETI_INSTANCE_STATUS", status)];
    let tag = "ocf:recover:on";
    for (hook, status) in [("instance-start", "down"), ("instance-modify", "up")] {
        let (code, shown) = site(true, tag).hook(hook, "pre", &instance(status));
        assert_eq!((code, shown.matches('\n').count()), (Some(1), 1), "{hook}: {shown}");
        assert!(shown.starts_with("gnt-ha: web: cannot find out whether gnt-ha starts it"), "{shown}");
        // A start was submitted before the administrator removed the tag.
        let started = site(true, other);
        started.write("state/recovery.json", STARTED);
        assert_eq!(started.hook(hook, "pre", &instance(status)).0, Some(1), "{hook}");
        // Ganeti names the master, and the file of this host still names the last one.
        let new = site(false, tag);
        let mut variables = instance(status).to_vec();
        variables.push(("GANETI_MASTER", new.here.as_str()));
        assert_eq!(new.hook(hook, "pre", &variables).0, Some(1), "{hook}");
        let unreadable = site(true, other);
        unreadable.write("data/config.data", "{");
        for site in [site(false, tag), site(true, other), unreadable] {
            assert_eq!(site.hook(hook, "pre", &instance(status)), (Some(0), String::new()), "{hook}");
        }
        assert_eq!(site(true, tag).hook(hook, "post", &instance(status)), (Some(0), String::new()), "{hook}");
    }
    let marked_up = site(true, tag).hook("instance-start", "pre", &instance("up"));
    assert_eq!(marked_up, (Some(0), String::new()));
}

/// The output names the postponed actions in a form that the same program reads, and nothing else.
#[test]
fn what_is_no_step_is_not_begun() {
    let run = |word: &str| Command::new(env!("CARGO_BIN_EXE_gnt-ha")).args(["hook", word]).output().unwrap();
    let output = run("fence=--all");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("gnt-ha: "));
}
