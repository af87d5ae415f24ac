//! The systemd units: how much access they leave, and whether the programs work under their restrictions.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

/// The highest exposure that `systemd-analyze security` may report for each, from 0 (nothing is open) to 10.
const EXPOSURE: [(&str, f64); 4] = [
    ("gnt-ha-report@.service", 3.0),
    ("gnt-ha-shun.service", 3.0),
    ("gnt-ha-shun-sync.service", 3.0),
    // This unit needs devices, and runs a program of the administrator's.
    ("gnt-ha-self-fence.service", 4.0),
];

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("units").join(name)
}

#[test]
fn no_unit_leaves_more_open_than_it_needs() {
    for (name, most) in EXPOSURE {
        let analysed =
            Command::new("systemd-analyze").args(["security", "--offline=yes", "--no-pager"]).arg(unit(name)).output();
        let Ok(analysed) = analysed else {
            eprintln!("SKIPPED: there is no systemd-analyze here (package systemd)");
            return;
        };
        let text = String::from_utf8_lossy(&analysed.stdout);
        let exposure = text.lines().rev().find_map(|line| line.split_once("exposure level for "));
        let exposure = exposure.and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<f64>().ok());
        let exposure = exposure.unwrap_or_else(|| panic!("{name}: {analysed:?}"));
        assert!(exposure <= most, "{name}: {exposure}\n{text}");
    }
}

/// Returns setpriv(1)'s names of the capabilities that a unit leaves its programs.
fn capabilities(name: &str) -> String {
    let text = std::fs::read_to_string(unit(name)).unwrap();
    assert!(text.contains("\nNoNewPrivileges=yes\n") && text.contains("\nProtectSystem=strict\n"), "{name}");
    let kept = text.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let kept = kept.split_whitespace().map(|one| format!(",+{}", one.trim_start_matches("CAP_").to_lowercase()));
    format!("-all{}", kept.collect::<String>())
}

/// Returns a command with root in namespaces of its own, if that is available.
fn can_unshare() -> bool {
    let words = ["--user", "--map-root-user", "--net", "--mount", "nft", "list", "ruleset"];
    let is_able = Command::new("unshare").args(words).output().is_ok_and(|ran| ran.status.success());
    if !is_able {
        eprintln!("SKIPPED: no namespaces (unshare --user --net --mount) or no nft here");
    }
    is_able
}

struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        let here = nix::unistd::gethostname().unwrap().into_string().unwrap();
        let (state, run) = (site.path("state"), site.path("run"));
        std::fs::create_dir(&run).unwrap();
        site.write("config.toml", &format!("state_directory = {state:?}\nrun_directory = {run:?}\n"));
        site.write("data/ssconf_node_list", &format!("{here}\ngone.lab\n"));
        site.write("data/ssconf_master_node", &format!("{here}\n"));
        site.write("data/ssconf_online_nodes", &format!("{here}\n"));
        site.write("data/ssconf_master_candidates", &format!("{here}\n"));
        site.write("data/ssconf_cluster_tags", "");
        site.write(
            "state/shun-list.json",
            r#"{"gone.lab": {"epoch": 1, "addresses": ["192.0.2.77"], "scope": "all", "grade": "isolated",
                "boot_id": null, "since_ms": 1, "by": "the test"}}"#,
        );
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Returns each file, with its content and the time of its last change.
    fn files(&self) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
        let mut files = BTreeMap::new();
        let mut dirs = vec![self.0.path().to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                let changed = path.metadata().unwrap().modified().unwrap();
                if path.is_dir() {
                    dirs.push(path.clone());
                }
                files.insert(path.clone(), (changed, std::fs::read(&path).unwrap_or_default()));
            }
        }
        files
    }

    /// Runs `gnt-ha` with the capabilities that the unit leaves, where only the run directory can be written, and then
    /// prints the kernel's rules.
    fn confined(&self, name: &str, words: &[&str]) -> Output {
        let script = r#"mount --bind "$1" "$1" && mount --bind "$1/run" "$1/run" && mount -o remount,bind,ro "$1" || exit 99
            capabilities=$2; program=$3; config=$1/config.toml; shift 3
            setpriv --no-new-privs --bounding-set "$capabilities" "$program" --config "$config" "$@" || exit
            nft list ruleset"#;
        Command::new("unshare")
            .args(["--user", "--map-root-user", "--net", "--mount", "sh", "-c", script, "sh"])
            .arg(self.0.path())
            .args([&capabilities(name), env!("CARGO_BIN_EXE_gnt-ha")])
            .args(words)
            .output()
            .unwrap()
    }
}

/// Before the network is up, from a shun list in a directory that cannot be written.
#[test]
fn shun_rules_are_applied_under_the_units_capabilities() {
    if !can_unshare() {
        return;
    }
    let site = Site::new();
    let ran = site.confined("gnt-ha-shun.service", &["shun", "apply"]);
    let rules = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && rules.contains("192.0.2.77"), "{ran:?}");
    // Without the capability it fails.
    let without = site.confined("gnt-ha-report@.service", &["shun", "apply"]);
    assert!(!without.status.success(), "{without:?}");
}

/// A node that shuns every node that could notify it is freed only by an administrator's confirmation; a candidate
/// never is.
#[test]
fn a_host_that_shuns_all_nodes_is_released_by_command() {
    if !can_unshare() {
        return;
    }
    let site = Site::new();
    let (config, data) = (site.path("config.toml"), site.path("data"));
    // The path of Ganeti's files, in the mount namespace only.
    let script = r#"[ -d /var/lib/ganeti ] && mount --bind "$1" /var/lib/ganeti || exit 99
        config=$2; program=$3; shift 3
        "$program" --config "$config" shun apply && "$program" --config "$config" "$@"; code=$?
        nft list ruleset; exit $code"#;
    let release = |words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "--mount", "sh", "-c", script, "sh"]);
        command.arg(&data).arg(&config).arg(env!("CARGO_BIN_EXE_gnt-ha")).args(["shun", "release", "gone"]);
        command.args(words).output().unwrap()
    };
    let printed =
        |ran: &Output| String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    let candidate = release(&["--force", "--reason", "the test"]);
    if candidate.status.code() == Some(99) {
        eprintln!("SKIPPED: /var/lib/ganeti is not there, or nothing can be mounted on it");
        return;
    }
    assert!(printed(&candidate).contains("this host is a master candidate"), "{candidate:?}");
    site.write("data/ssconf_master_candidates", "gone.lab\n");
    let unforced = release(&[]);
    assert!(
        printed(&unforced).contains("--force --reason TEXT") && printed(&unforced).contains("192.0.2.77"),
        "{unforced:?}"
    );
    for refused in [&candidate, &unforced] {
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    }
    let list = site.path("state/shun-list.json");
    assert!(std::fs::read_to_string(&list).unwrap().contains("gone.lab"));
    let released = release(&["--force", "--reason", "the test"]);
    assert!(released.status.success() && !printed(&released).contains("192.0.2.77"), "{released:?}");
    assert!(!std::fs::read_to_string(&list).unwrap().contains("gone.lab"));
}

/// Self-fencing asks and answers other nodes only over UDP, and binds the port before anything is armed.
#[test]
fn the_self_fence_answers_others_under_the_units_capabilities() {
    if !can_unshare() {
        return;
    }
    let site = Site::new();
    let here = nix::unistd::gethostname().unwrap().into_string().unwrap();
    site.write("data/hmac.key", &"0123456789".repeat(4));
    site.write("data/ssconf_node_primary_ips", &format!("{here} 127.0.0.1\n"));
    site.write("data/ssconf_master_candidates_ips", "127.0.0.1\n");
    let script = r#"[ -d /var/lib/ganeti ] && mount --bind "$1" /var/lib/ganeti || exit 99
        config=$2; capabilities=$3; program=$4
        ip link set lo up || exit 99
        setpriv --no-new-privs --bounding-set "$capabilities" "$program" --config "$config" self-fence run &
        daemon=$!
        # Its first status; a daemon that ended has none.
        while kill -0 $daemon && "$program" --config "$config" self-fence status --json | grep -qx null; do sleep 0.1; done
        "$program" --config "$config" self-fence status --json
        kill $daemon; wait $daemon"#;
    let ran = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--mount", "sh", "-c", script, "sh"])
        .arg(site.path("data"))
        .arg(site.path("config.toml"))
        .args([&capabilities("gnt-ha-self-fence.service"), env!("CARGO_BIN_EXE_gnt-ha")])
        .output()
        .unwrap();
    if ran.status.code() == Some(99) {
        eprintln!("SKIPPED: /var/lib/ganeti is not there, nothing can be mounted on it, or there is no ip");
        return;
    }
    let printed = String::from_utf8_lossy(&ran.stdout);
    assert!(printed.contains("\"phase\":\"off\"") && printed.contains("\"echo_fault\":null"), "{ran:?}");
}

fn ask(address: SocketAddr, path: &str) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(client, "GET {path} HTTP/1.1\r\nHost: n1\r\n\r\n").unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    text
}

/// Started as by systemd, with a listening socket as stdin. Simultaneous readers are all answered, beside a silent one
/// whose connection is closed, and nothing is changed.
#[test]
fn a_report_over_http_serves_all_and_changes_nothing() {
    let site = Site::new();
    let before = site.files();
    let listener = TcpListener::bind("127.0.18.13:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Only root can drop capabilities.
    let is_root = nix::unistd::geteuid().is_root();
    let mut command = Command::new(if is_root { "setpriv" } else { env!("CARGO_BIN_EXE_gnt-ha") });
    if is_root {
        command.args(["--no-new-privs", "--bounding-set", &capabilities("gnt-ha-report@.service")]);
        command.arg(env!("CARGO_BIN_EXE_gnt-ha"));
    }
    command.args(["report", "--http"]);
    for (option, name) in [("--state-dir", "state"), ("--data-dir", "data"), ("--cib", "cib.xml")] {
        command.arg(option).arg(site.path(name));
    }
    let mut server =
        command.stdin(OwnedFd::from(listener)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut silent = TcpStream::connect(address).unwrap();
    silent.write_all(b"GET /").unwrap();
    let readers: Vec<_> = (0..3).map(|_| std::thread::spawn(move || ask(address, "/1/report/all"))).collect();
    for reader in readers {
        let text = reader.join().unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("gone.lab"), "{text}");
    }
    assert!(ask(address, "/metrics").contains("gnt_ha_collected_timestamp_seconds"));
    assert!(ask(address, "/other").starts_with("HTTP/1.1 404 "));
    silent.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut rest = Vec::new();
    // The connection may end by a close or a reset.
    let cut = silent.read_to_end(&mut rest).map_err(|error| error.kind());
    assert!(!matches!(cut, Err(std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)), "{cut:?}");
    assert_eq!(rest, b"");
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(site.files(), before);
}
