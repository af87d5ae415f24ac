//! Resets a machine by its watchdog: self-fencing of a node that is cut off, and the measurement of the timeout.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use gnt_ha::core::shun::lease_times::LeaseTimes;
use gnt_ha::service::self_fence::state::{Phase, SelfFenceStatus};
use real_watchdog::archive::Archive;
use real_watchdog::kernel::{Kernel, MODULES, kernel};
use real_watchdog::machine;

/// The times of [`CONFIG`].
const TERMS: LeaseTimes = LeaseTimes { lease_ms: 4_000, watchdog_ms: 3_000, drift_ppm: 10_000, stop_ms: 1_000 };

/// A timeout other than the 4 s with which the driver is loaded: it is set, and read back.
const CONFIG: &str = "[self_fence]\nlease = 4\nwatchdog_timeout = 3\nstop_time = 1\n";

const INIT: &str = include_str!("../src/init.sh");

const MEASURE: &str = include_str!("../src/measure.sh");

/// The limit of a run: much more than it takes.
const LIMIT: Duration = Duration::from_secs(240);

/// The guest's report at one time.
#[derive(Debug)]
struct Report {
    word: String,
    up_ms: u64,
    status: Option<SelfFenceStatus>,
}

/// The watchdog resets a node without a lease, not before its lease has ended and not after the wait time. While a
/// majority grants, by confd or echo, nothing resets it.
#[test]
fn a_machine_without_a_lease_is_reset_within_the_wait_time() {
    let kernel = unpacked_kernel();
    let dir = tempfile::tempdir().unwrap();
    let ended = machine::run(kernel, &initramfs(kernel, INIT), dir.path(), LIMIT).unwrap();
    let console = &ended.console;
    let reports: Vec<Report> = console.lines().filter_map(parse_report).collect();
    let all = |word: &str| {
        let all: Vec<&Report> =
            reports.iter().filter(|report| report.word == word && report.status.is_some()).collect();
        assert!(!all.is_empty(), "the guest did not reach {word:?}:\n{console}");
        all
    };
    let phases = |word: &str| -> BTreeSet<String> {
        all(word)
            .iter()
            .filter_map(|report| report.status.as_ref())
            .map(|status| format!("{:?}", status.phase))
            .collect()
    };
    let only = |phase: Phase| BTreeSet::from([format!("{phase:?}")]);

    assert_eq!(phases("waiting"), only(Phase::Waiting), "{console}");
    assert!(console.contains("@@ state inactive\n"), "the watchdog is not opened before the first lease:\n{console}");

    let leased = all("leased").pop().and_then(|report| report.status.as_ref()).unwrap();
    assert_eq!(leased.phase, Phase::Armed, "{console}");
    assert_eq!((leased.driver.as_deref(), leased.nowayout), (Some("i6300ESB timer"), Some(true)));
    assert_eq!(leased.watchdog_ms, Some(TERMS.watchdog_ms), "as the device reports");
    assert!(console.contains("@@ kernel i6300ESB timer 3\n"), "{console}");
    assert!(leased.candidates.values().all(|word| word == "granted"), "{leased:?}");

    let echo = all("echo").pop().and_then(|report| report.status.as_ref()).unwrap();
    assert!(echo.candidates.values().all(|word| word == "alive"), "{echo:?}");
    // Each phase is longer than the lease or the watchdog's timeout: keepalives are sent only while the node has a
    // lease.
    for word in ["echo", "alone", "unreadable", "again", "armed"] {
        assert_eq!(phases(word), only(Phase::Armed), "{word}:\n{console}");
    }
    assert_ne!(all("echo")[0].status.as_ref().unwrap().pid, all("again")[6].status.as_ref().unwrap().pid);

    // While it disarms, the node still needs the leases of a majority of the candidates, also in a new process.
    assert_eq!(phases("disarming"), only(Phase::Disarming), "{console}");
    let disarming = all("disarming").pop().and_then(|report| report.status.as_ref()).unwrap();
    assert_eq!(disarming.in_force, leased.in_force);
    assert!(
        disarming.guaranteed_until_ms.is_some_and(|until| until > disarming.at_boottime_ms + 500_000),
        "{disarming:?}"
    );

    // The last lease. The status is written once per second, and holds for the time at which it is written.
    let lost = all("lost");
    let last_lease = |report: &&Report| {
        let status = report.status.as_ref()?;
        Some(status.at_boottime_ms + status.lease_left_ms?)
    };
    let lease_end = lost.iter().filter_map(last_lease).max().unwrap();
    let last = lost.last().unwrap();
    assert!(last.up_ms >= lease_end, "reset at {} before the end of the lease at {lease_end}:\n{console}", last.up_ms);
    let granted = Duration::from_millis(lease_end - TERMS.lease_ms);
    assert!(
        Duration::from_millis(last.up_ms) <= granted + TERMS.wait_time(),
        "the machine ran for too long:\n{console}"
    );
    assert_eq!(last.status.as_ref().unwrap().phase, Phase::Lost, "{console}");
    assert!(
        console.contains("gnt-ha self-fence: lease ended: no majority of the master candidates grants it"),
        "{console}"
    );

    // The reset is neither a panic nor the end of the first process.
    assert!(!console.contains("Kernel panic"), "{console}");
    assert_eq!(ended.event("WATCHDOG").map(|data| data["action"].clone()), Some("reset".into()), "{:?}", ended.events);
    let end = ended.event("SHUTDOWN").unwrap();
    assert_eq!(end["reason"], "guest-reset", "{:?}", ended.events);
    println!(
        "lease ended at {lease_end} ms, last report at {} ms, limit {:?}",
        last.up_ms,
        granted + TERMS.wait_time()
    );
}

/// The watchdog resets a host that stops its keepalives, and the next boot reads the time from the host's notes. A host
/// with instances is not reset.
#[test]
fn a_measured_machine_reports_the_time_of_its_reset_at_the_next_boot() {
    let kernel = unpacked_kernel();
    let dir = tempfile::tempdir().unwrap();
    let ended = machine::run(kernel, &initramfs(kernel, MEASURE), dir.path(), LIMIT).unwrap();
    let console = &ended.console;
    for objection in ["failed: instances run here", "it resets this host, without a shutdown"] {
        assert!(console.contains(objection), "{objection}:\n{console}");
    }
    assert!(console.contains("== state inactive"), "the watchdog was not opened before:\n{console}");
    assert_eq!(ended.event("WATCHDOG").map(|data| data["action"].clone()), Some("reset".into()), "{:?}", ended.events);

    // The next boot is simulated on this host, with the content of the guest's disk. The reset may truncate the last
    // line.
    let whole = &console[..=console.rfind('\n').unwrap()];
    let notes: Vec<&str> = whole.lines().filter_map(|line| line.trim_end_matches('\r').strip_prefix("@@ ")).collect();
    assert!(notes.len() > 1, "{console}");
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::write(state.join("watchdog-measurement"), format!("{}\n", notes.join("\n"))).unwrap();
    let config = dir.path().join("config.toml");
    std::fs::write(&config, format!("state_directory = {state:?}\n{CONFIG}")).unwrap();
    let measure = || {
        let mut command = Command::new(programs().join("gnt-ha"));
        let ran = command.arg("--config").arg(&config).args(["self-fence", "measure"]).output().unwrap();
        assert!(ran.status.success(), "{ran:?}\n{console}");
        String::from_utf8(ran.stdout).unwrap()
    };
    let measured = measure();
    assert!(measured.starts_with("i6300ESB timer, set to 3.0 s: reset this host between "), "{measured}");
    assert_eq!(measure(), measured, "the result is kept");
    println!("{measured}");
}

fn parse_report(line: &str) -> Option<Report> {
    let mut words = line.strip_prefix("@@ ")?.splitn(3, ' ');
    let (word, up, status) = (words.next()?, words.next()?, words.next()?);
    // `/proc/uptime` has hundredths of a second.
    let up_ms = up.replace('.', "").parse::<u64>().ok()? * 10;
    Some(Report { word: word.to_owned(), up_ms, status: serde_json::from_str(status).ok()? })
}

/// Returns the kernel, which is downloaded and unpacked once: the tests of this file run in parallel.
fn unpacked_kernel() -> &'static Kernel {
    static KERNEL: OnceLock<Kernel> = OnceLock::new();
    KERNEL.get_or_init(|| kernel(&programs().join("../watchdog")).unwrap())
}

/// Returns the directory of the built programs.
fn programs() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_candidates-confd")).parent().unwrap().to_owned()
}

fn initramfs(kernel: &Kernel, init: &str) -> Vec<u8> {
    let mut archive = Archive::default();
    let dirs = "bin dev etc etc/gnt-ha lib lib64 lib/x86_64-linux-gnu modules proc run sys var var/lib var/lib/ganeti";
    for dir in dirs.split(' ') {
        archive.dir(dir);
    }
    archive.device("dev/console", 5, 1);
    archive.device("dev/null", 1, 3);
    archive.file("init", init.as_bytes());
    archive.copy("bin/busybox", Path::new("/bin/busybox")).unwrap();
    let mut libraries = BTreeSet::new();
    for name in ["gnt-ha", "candidates-confd"] {
        let program = programs().join(name);
        archive.copy(&format!("bin/{name}"), &program).unwrap();
        libraries.extend(needed_by(&program));
    }
    for library in libraries {
        archive.copy(library.trim_start_matches('/'), Path::new(&library)).unwrap();
    }
    for (name, module) in MODULES.iter().zip(&kernel.modules) {
        archive.copy(&format!("modules/{name}"), module).unwrap();
    }
    archive.file("etc/gnt-ha/config.toml", CONFIG.as_bytes());
    for (name, content) in [
        ("hmac.key", "0123456789abcdef0123456789abcdef01234567\n"),
        ("ssconf_master_node", "n2.lab\n"),
        ("ssconf_node_list", "n1.lab\nn2.lab\nn3.lab\n"),
        ("ssconf_node_primary_ips", "n1.lab 192.0.2.1\nn2.lab 192.0.2.2\nn3.lab 192.0.2.3\n"),
        ("ssconf_master_candidates_ips", "192.0.2.1\n192.0.2.2\n192.0.2.3\n"),
    ] {
        archive.file(&format!("var/lib/ganeti/{name}"), content.as_bytes());
    }
    archive.finish()
}

/// Returns the shared libraries of a program, and their loader.
fn needed_by(program: &Path) -> BTreeSet<String> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect()
}
