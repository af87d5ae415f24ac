//! Measures shunning: the time until all nodes shun a node, the cost of shunning thousands, the gain for a failover,
//! and self-fencing.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use e2e::install::{FENCING, GNT_HA, OOB_PROGRAM, Proof, built_programs, install};
use e2e::lab_name;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::shun::lease_times::LeaseTimes;
use lab::{Host, Lab, Options};
use nix::unistd::{SysconfVar, sysconf};
use serde_json::{Value, json};

use crate::Result;
use crate::cases::progress;
use crate::measure::median;
use crate::table::{Goal, Row};

/// The number of nodes that are shunned at once.
const ADDRESSES: u32 = 10_000;

/// The addresses of each node: a shun list has at most 4096 nodes.
const ADDRESSES_OF_A_NODE: u32 = 4;

/// The time for which self-fencing is measured.
const WATCHED: Duration = Duration::from_secs(30);

/// The default times, as far as the lab's watchdog supports them.
const LEASE_TIMES: LeaseTimes = LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 10_000, stop_ms: 5_000 };

/// Returns all rows of shunning.
pub(crate) fn all(runs: usize) -> Result<Vec<Row>> {
    let programs = built_programs()?;
    let mut rows = vec![many(&programs, runs.min(10))?];
    progress("a lab with self-fencing; a host is shunned and readmitted");
    let lab = up(Some(LEASE_TIMES))?;
    let proof = Proof { shun: true, least: Some(Grade::Isolated), self_fence: Some(LEASE_TIMES) };
    install(&lab, &programs, &proof)?;
    rows.push(shun_and_readmit(&lab, runs.min(10))?);
    rows.extend(self_fence(&lab)?);
    drop(lab);
    rows.push(failover(&programs)?);
    Ok(rows)
}

fn up(self_fence: Option<LeaseTimes>) -> Result<Lab> {
    let options = Options {
        name: lab_name("bench-shun"),
        pacemaker: false,
        watchdog: self_fence.map(|terms| Duration::from_millis(terms.watchdog_ms)),
        boot_delay: Duration::from_secs(300),
        replace: true,
        ..Options::default()
    };
    Ok(Lab::up(options)?)
}

/// Measures `gnt-ha shun apply` in a network namespace of its own, with a shun list of thousands.
fn many(programs: &Path, runs: usize) -> Result<Row> {
    progress("ten thousand addresses are shunned");
    let dir = std::env::temp_dir().join(format!("gnt-ha-bench-{}", std::process::id()));
    fs::create_dir_all(dir.join("state"))?;
    let entry = |n: u32| {
        let addresses =
            [0, 1, 2, 3].map(|k| std::net::Ipv4Addr::from(0x0a00_0000 + ADDRESSES_OF_A_NODE * n + k).to_string());
        let entry = json!({"epoch": 1, "addresses": addresses, "scope": "all", "grade": "isolated", "boot_id": null,
                           "since_ms": 1, "by": "bench"});
        (format!("node{n}.example.com"), entry)
    };
    let shun_list: serde_json::Map<String, Value> = (1..=ADDRESSES / ADDRESSES_OF_A_NODE).map(entry).collect();
    fs::write(dir.join("state/shun-list.json"), Value::Object(shun_list).to_string())?;
    let shown = dir.display();
    fs::write(
        dir.join("config.toml"),
        format!("state_directory = \"{shown}/state\"\nrun_directory = \"{shown}/run\"\n"),
    )?;
    let apply = || -> Result<Duration> {
        let begun = Instant::now();
        let done = Command::new("unshare")
            .arg("--net")
            .arg(programs.join("gnt-ha"))
            .arg("--config")
            .arg(dir.join("config.toml"))
            .args(["shun", "apply"])
            .stdout(Stdio::piped())
            .output()?;
        let took = begun.elapsed();
        let output = String::from_utf8_lossy(&done.stdout);
        if done.status.success() && output.contains("10000 addresses") {
            Ok(took)
        } else {
            Err(format!("gnt-ha shun apply: {output}{}", String::from_utf8_lossy(&done.stderr)).into())
        }
    };
    let times: Result<Vec<Duration>> = (0..runs).map(|_| apply()).collect();
    fs::remove_dir_all(&dir)?;
    let middle = median(times?.into_iter());
    Ok(row("10,000 addresses are shunned and read back, s", middle.as_secs_f64(), Goal::AtMost(0.2), "median"))
}

/// Measures the time from the command to the last read-back.
fn shun_and_readmit(lab: &Lab, runs: usize) -> Result<Row> {
    let (n1, n3) = (lab.host("n1")?, lab.host("n3")?);
    let mut times = Vec::new();
    for _ in 0..runs {
        n1.check(&["env", FENCING, OOB_PROGRAM, "power-off", &n3.fqdn()])?;
        let history = n1.check(&[GNT_HA, "history", "--json", "n3"])?.stdout;
        let last: Value = serde_json::from_str(history.lines().last().ok_or("no receipt")?)?;
        let steps = last["receipt"]["steps"].as_array().cloned().unwrap_or_default();
        let at = |word: &str| {
            let step =
                steps.iter().find(|step| step["request"].as_str().is_some_and(|request| request.contains(word)))?;
            step["at_ms"].as_u64()
        };
        let (from, to) = (at("read the power").unwrap_or(0), at("power off").ok_or("no such step")?);
        times.push(Duration::from_millis(to - from));
        n1.check(&[GNT_HA, "readmit", &n3.fqdn(), "--force", "--reason", "bench"])?;
    }
    let middle = median(times.into_iter());
    Ok(row(
        "3 hosts: until all shun a node, read back, s",
        middle.as_secs_f64(),
        Goal::AtMost(0.3),
        "median, of the receipts",
    ))
}

/// Measures the cost of self-fencing on its host.
fn self_fence(lab: &Lab) -> Result<Vec<Row>> {
    progress("self-fencing of one host is watched");
    let host = lab.host("n2")?;
    lab.wait_until("n2 is armed", Duration::from_secs(60), || {
        Ok(host.run(&[GNT_HA, "self-fence", "status"])?.success())
    })?;
    let pid = host.check(&["pgrep", "-o", "-f", "^/usr/sbin/gnt-ha self-fence run"])?.stdout.trim().to_owned();
    host.check(&["nft", COUNTER])?;
    let before = ticks(&host, &pid)?;
    std::thread::sleep(WATCHED);
    let used = ticks(&host, &pid)? - before;
    let asked = questions(&host)?;
    #[allow(clippy::cast_precision_loss, reason = "ticks of seconds")]
    let share = used as f64 / sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100) as f64 / WATCHED.as_secs_f64() * 100.0;
    let status = host.read_file(&format!("/proc/{pid}/status"))?;
    let kilobytes = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok()
    };
    let locked = kilobytes("VmLck:").ok_or("no VmLck")? / 1024.0;
    Ok(vec![
        row("self-fencing: share of a core, %", share, Goal::AtMost(0.1), &format!("over {} s", WATCHED.as_secs())),
        row("self-fencing: locked memory, MB", locked, Goal::AtMost(8.0), "VmLck"),
        row("self-fencing: questions a second to each candidate", asked, Goal::AtMost(1.0), "counted by nftables"),
    ])
}

/// Counts the packets to a confd (`DEFAULT_CONFD_PORT`, `src/Ganeti/Constants.hs`): no other program of the lab's host
/// sends any.
const COUNTER: &str = "add table inet bench; add chain inet bench out { type filter hook output priority 0; }; \
     add rule inet bench out udp dport 1814 counter";

fn questions(host: &Host) -> Result<f64> {
    let table: Value = serde_json::from_str(&host.check(&["nft", "--json", "list", "table", "inet", "bench"])?.stdout)?;
    let items = table["nftables"].as_array().cloned().unwrap_or_default();
    let counted =
        |item: &Value| item["rule"]["expr"].as_array()?.iter().find_map(|part| part["counter"]["packets"].as_u64());
    let packets = items.iter().find_map(counted).ok_or("nft shows no counter")?;
    let candidates = host.check(&["cat", "/var/lib/ganeti/ssconf_master_candidates"])?.stdout.lines().count();
    #[allow(clippy::cast_precision_loss, reason = "some hundreds")]
    Ok(packets as f64 / candidates as f64 / WATCHED.as_secs_f64())
}

fn ticks(host: &Host, pid: &str) -> Result<u64> {
    let stat = host.read_file(&format!("/proc/{pid}/stat"))?;
    let rest = stat.rsplit_once(')').ok_or("no stat")?.1;
    let numbers: Vec<u64> = rest.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // utime and stime are the 14th and 15th of all fields (`proc_pid_stat(5)`), of which two are before, and one is a
    // letter.
    Ok(numbers.get(10).zip(numbers.get(11)).map(|(user, system)| user + system).ok_or("no stat")?)
}

/// Measures `gnt-cluster master-failover` with a dead master: shunned, as after a proven off, and not shunned.
fn failover(programs: &Path) -> Result<Row> {
    let mut times = Vec::new();
    for shunned in [true, false] {
        progress(&format!("a dead master is followed by hand, {}", if shunned { "shunned" } else { "not shunned" }));
        let lab = up(None)?;
        install(&lab, programs, &Proof { shun: false, least: None, self_fence: None })?;
        let (n1, n2) = (lab.host("n1")?, lab.host("n2")?);
        n1.power_off()?;
        if shunned {
            n2.check(&[OOB_PROGRAM, "power-off", &n1.fqdn()])?;
        }
        let begun = Instant::now();
        n2.run_within(&["gnt-cluster", "master-failover"], Duration::from_secs(120))?;
        times.push(begun.elapsed().as_secs_f64());
    }
    let ratio = times[0] / times[1];
    let note = format!("{:.1} s against {:.1} s", times[0], times[1]);
    Ok(row("gnt-cluster master-failover, the dead master shunned, of not shunned", ratio, Goal::AtMost(0.15), &note))
}

fn row(what: &str, figure: f64, goal: Goal, note: &str) -> Row {
    Row {
        what: what.to_owned(),
        ours: format!("{figure:.3}"),
        theirs: "-".to_owned(),
        figure,
        goal,
        note: note.to_owned(),
    }
}
