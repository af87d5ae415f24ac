//! `make demo`: the host of Ganeti's master dies in a real cluster. It is fenced, with proof, another host takes over, and
//! the dead one is recorded.

use std::process::ExitCode;
use std::time::Duration;

use lab::{Host, Lab, Options};
use real_parts::protect::{built_programs, protect, text};
use real_parts::story::Teller;
use real_parts::{lab_name, receipts, roles};

const VICTIM: &str = "n1";

/// Pacemaker, its votes and Ganeti's own time-outs: each step takes seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long everything is watched when it is over.
const SETTLED: Duration = Duration::from_secs(10);

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
        replace: true,
        progress: Box::new(|line| println!("{line}")),
        ..Options::default()
    })
    .map_err(text)?;

    println!("\nThe programs are installed, Ganeti is told of ganeti-oob, Pacemaker of fence_ganeti and the roles.");
    protect(&lab, &programs, None)?;
    let victim = lab.host(VICTIM).map_err(text)?;
    roles::configure(&lab, &victim).map_err(text)?;
    show(&victim, &["/usr/lib/gnt-ha/ganeti-oob", "check"])?;
    show(&victim, &["gnt-node", "list", "-o", "name,role,offline,powered"])?;

    let dead = victim.fqdn();
    println!("\nThe power of {dead}, Ganeti's master, is cut.");
    let steps = Steps::watch(&lab, &victim, &dead)?;

    println!("\nWhat there is now:");
    show(&steps.master, &["gnt-node", "list", "-o", "name,role,offline,powered"])?;
    let fencer = lab.hosts().into_iter().find(|host| !receipts::on(host).is_empty());
    show(&fencer.ok_or("no host has a receipt")?, &["gnt-ha", "history"])?;
    steps.table();
    println!(
        "\nThe dead host was proven off before another one took over from it, Ganeti knows, and a receipt says why.\n\
         To try things yourself: tests/lab/README.md."
    );
    Ok(())
}

/// When what was seen, since the power was cut.
struct Steps {
    lost: Duration,
    fenced: Duration,
    serves: Duration,
    recorded: Duration,
    master: Host,
    /// The other hosts that were fenced.
    others: Vec<String>,
}

impl Steps {
    fn watch(lab: &Lab, victim: &Host, dead: &str) -> Result<Self, String> {
        let mut teller = Teller::new(lab);
        teller.start_clock();
        victim.power_off().map_err(text)?;
        let lost = |lab: &Lab| lab.crm_mon().is_ok_and(|seen| seen.node(dead).is_some_and(|node| !node.online));
        let lost = teller.look_until(&format!("Pacemaker has lost {dead}"), PATIENCE, lost)?;
        let fenced = |lab: &Lab| {
            let done = |event: &lab::FenceEvent| event.target == dead && event.status == "success";
            lab.fence_history().is_ok_and(|events| events.iter().any(done))
        };
        let fenced = teller.look_until(&format!("{dead} is fenced"), PATIENCE, fenced)?;
        let mut master = None;
        let serves = teller.look_until("another host serves", PATIENCE, |lab| {
            master = lab.hosts().into_iter().find(roles::serves);
            master.is_some()
        })?;
        let master = master.ok_or("nobody serves")?;
        teller.say(&format!("{}: luxid answers, this host is Ganeti's master now", master.name()));
        let recorded = |_: &Lab| roles::has_offline(&master, dead);
        let recorded = teller.look_until(&format!("{dead} is recorded offline"), PATIENCE, recorded)?;
        teller.say(&format!("{}: Ganeti has {dead} recorded as offline", master.name()));
        let over = recorded + SETTLED;
        let mut since = recorded;
        while since < over {
            since = teller.look_until("it is over", PATIENCE, |_| true)?;
            std::thread::sleep(Duration::from_millis(100));
        }
        let events = lab.fence_history().map_err(text)?;
        let others = events.into_iter().map(|event| event.target).filter(|target| target != dead).collect();
        Ok(Self { lost, fenced, serves, recorded, master, others })
    }

    /// Beside what Ganeti's example agents and `fence_ipmilan` took in labs like this; `make bench` runs them
    /// where they are installed.
    fn table(&self) {
        let others = if self.others.is_empty() { "none".to_owned() } else { self.others.join(", ") };
        let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        let rows = [
            ("after the power was cut", "here".to_owned(), "Ganeti's examples, in earlier runs"),
            ("Pacemaker sees the loss", seconds(self.lost), "3.6 s"),
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

fn show(host: &Host, words: &[&str]) -> Result<(), String> {
    println!("\n  {}# {}", host.name(), words.join(" "));
    let output = host.run(words).map_err(text)?;
    for line in output.stdout.lines().chain(output.stderr.lines()) {
        println!("  {line}");
    }
    if output.success() { Ok(()) } else { Err(format!("`{}` failed on {}", words.join(" "), host.name())) }
}
