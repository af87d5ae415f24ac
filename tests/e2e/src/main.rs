//! `make demo`: from a bare Ganeti and a bare Pacemaker to a cluster that survives the failure of its master. The
//! master's host fails and is fenced, with a proof; another node becomes the master; the failed node is recorded offline,
//! and returns.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use e2e::install::{Proof, built_programs, install, install_hooks, text};
use e2e::progress::Progress;
use e2e::{lab_name, receipts, roles};
use lab::{Host, Lab, Options, Output};

const VICTIM: &str = "n1";

/// The most that a step may take: Pacemaker, its votes and Ganeti's own timeouts take seconds each.
const TIME_LIMIT: Duration = Duration::from_secs(90);

/// The time for which the cluster is watched after the end.
const SETTLED: Duration = Duration::from_secs(10);

/// The boot delay. A server takes minutes from power to its services; here it is as long as the demonstration needs.
const BOOT: Duration = Duration::from_secs(45);

fn main() -> ExitCode {
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("demo: {line}");
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<(), String> {
    let programs = built_programs()?;
    println!("Three hosts, each with its own namespaces, disk and BMC simulator; real corosync, Pacemaker, Ganeti.");
    let lab = Lab::up(Options {
        name: lab_name("demo"),
        boot_delay: BOOT,
        replace: true,
        progress: Box::new(|line| println!("{line}")),
        ..Options::default()
    })
    .map_err(text)?;
    let victim = lab.host(VICTIM).map_err(text)?;
    protect(&lab, &programs, &victim)?;

    let dead = victim.fqdn();
    println!("\nThe power of {dead}, Ganeti's master, is cut.");
    let steps = Steps::watch(&lab, &victim, &dead)?;

    println!("\nThe actions on {dead} and the proof, on the host that fenced it:");
    let fencer = lab.hosts().into_iter().find(|host| !receipts::on(host).is_empty());
    show(&fencer.ok_or("no host has a receipt")?, &["gnt-ha", "history", "--incident", "last"])?;
    take_back(&lab, &steps.master, &victim)?;
    steps.table();
    println!(
        "\nThe failed host was proven off before another host became master, it is recorded offline in Ganeti, and a receipt has the proof.\n\
         The same by hand, page by page: docs/tutorial.md. To try things yourself: tests/lab/README.md."
    );
    Ok(())
}

/// Sets up a bare Ganeti and a bare Pacemaker up to a rehearsed failure, as an administrator does.
fn protect(lab: &Lab, programs: &Path, master: &Host) -> Result<(), String> {
    println!(
        "\nNeither uses the other. The programs are installed, and the configuration names the BMCs. Do they answer?"
    );
    install(lab, programs, &Proof::default())?;
    install_hooks(lab)?;
    show(master, &["/usr/lib/gnt-ha/ganeti-oob", "check"])?;
    println!("\nThe configuration that Pacemaker and Ganeti lack, applied after a test on a copy:");
    show(master, &["gnt-ha", "setup", "--apply"])?;
    println!("\nAre all hosts set up completely?");
    show_when_ok(lab, master, &["gnt-ha", "check"])?;
    println!("\nWhat would happen if the master's host died now?");
    // The hosts publish their scores at a monitor.
    let all_offer = || Ok(offers(master)? == lab.hosts().len());
    lab.wait_until("all candidates offer themselves", TIME_LIMIT, all_offer).map_err(text)?;
    show_when_ok(lab, master, &["gnt-ha", "rehearse", VICTIM])
}

/// Returns the number of hosts that would take the master role.
fn offers(host: &Host) -> lab::Result<usize> {
    let words = ["attrd_updater", "--query", "--all", "--name", "master-gnt-ha-master"];
    let output = host.run(&words)?.stdout;
    Ok(output.lines().filter(|line| line.contains("value=\"") && !line.contains("value=\"\"")).count())
}

/// Readmits the host that was fenced and boots: the others shun it until the administrator does so.
fn take_back(lab: &Lab, master: &Host, back: &Host) -> Result<(), String> {
    let node = back.fqdn();
    println!(
        "\n{node} has power again and boots, as slowly as a server. Until it is readmitted, the other nodes drop its packets."
    );
    lab.wait_until(&format!("{node} is back"), TIME_LIMIT, || Ok(lab.crm_mon()?.is_online(&node))).map_err(text)?;
    show_when_ok(lab, master, &["gnt-ha", "readmit", VICTIM])?;
    show(master, &["gnt-node", "add", "--readd", "--no-ssh-key-check", &node])?;
    show_when_ok(lab, master, &["gnt-ha", "status"])
}

/// The times of the observations, since the power was cut.
struct Steps {
    lost: Duration,
    fenced: Duration,
    serves: Duration,
    recorded: Duration,
    master: Host,
    /// The other hosts that were fenced, if any.
    others: Vec<String>,
}

impl Steps {
    fn watch(lab: &Lab, victim: &Host, dead: &str) -> Result<Self, String> {
        let mut progress = Progress::new(lab);
        progress.start_clock();
        victim.power_off().map_err(text)?;
        let lost = |lab: &Lab| lab.crm_mon().is_ok_and(|seen| seen.node(dead).is_some_and(|node| !node.online));
        let lost = progress.poll_until(&format!("Pacemaker has lost {dead}"), TIME_LIMIT, lost)?;
        let fenced = |lab: &Lab| {
            let done = |event: &lab::FenceEvent| event.target == dead && event.status == "success";
            lab.fence_history().is_ok_and(|events| events.iter().any(done))
        };
        let fenced = progress.poll_until(&format!("{dead} is fenced"), TIME_LIMIT, fenced)?;
        let mut master = None;
        let serves = progress.poll_until("another host serves", TIME_LIMIT, |lab| {
            master = lab.hosts().into_iter().find(roles::serves);
            master.is_some()
        })?;
        let master = master.ok_or("no host serves")?;
        progress.add(&format!("{}: luxid answers, this host is Ganeti's master now", master.name()));
        let recorded = |_: &Lab| roles::has_offline(&master, dead);
        let recorded = progress.poll_until(&format!("{dead} is recorded offline"), TIME_LIMIT, recorded)?;
        progress.add(&format!("{}: Ganeti has {dead} recorded as offline", master.name()));
        let over = recorded + SETTLED;
        let mut since = recorded;
        while since < over {
            since = progress.poll_until("it is over", TIME_LIMIT, |_| true)?;
            std::thread::sleep(Duration::from_millis(100));
        }
        let events = lab.fence_history().map_err(text)?;
        let others = events.into_iter().map(|event| event.target).filter(|target| target != dead).collect();
        Ok(Self { lost, fenced, serves, recorded, master, others })
    }

    /// Prints the times beside those of Ganeti's example agents and `fence_ipmilan` in similar labs; `make bench` runs
    /// them where they are installed.
    fn table(&self) {
        let others = if self.others.is_empty() { "none".to_owned() } else { self.others.join(", ") };
        let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        let rows = [
            ("after the power was cut", "here".to_owned(), "Ganeti's examples, in earlier runs"),
            ("Pacemaker detects the failure", seconds(self.lost), "3.6 s"),
            ("fenced", seconds(self.fenced), "6.4 s"),
            ("another host is the serving master", seconds(self.serves), "42 s"),
            ("recorded offline in Ganeti", seconds(self.recorded), "68 s, or never"),
            ("other hosts fenced", others, "both, when the old master came back"),
        ];
        println!();
        for (what, here, examples) in rows {
            println!("  {what:36}{here:10}{examples}");
        }
    }
}

/// Runs a command and prints its output.
fn show(host: &Host, words: &[&str]) -> Result<(), String> {
    let output = host.run(words).map_err(text)?;
    print(host, words, &output);
    if output.success() { Ok(()) } else { Err(format!("`{}` failed on {}", words.join(" "), host.name())) }
}

/// Repeats a command until it succeeds, and prints its output.
fn show_when_ok(lab: &Lab, host: &Host, words: &[&str]) -> Result<(), String> {
    let mut last = None;
    let waited = lab.wait_until(&words.join(" "), TIME_LIMIT, || {
        let output = host.run(words)?;
        let is_ok = output.success();
        last = Some(output);
        Ok(is_ok)
    });
    if let Some(output) = last {
        print(host, words, &output);
    }
    waited.map(drop).map_err(text)
}

fn print(host: &Host, words: &[&str], output: &Output) {
    println!("\n  {}# {}", host.name(), words.join(" "));
    for line in output.stdout.trim_end().lines().chain(output.stderr.trim_end().lines()) {
        println!("{}", format!("  {line}").trim_end());
    }
}
