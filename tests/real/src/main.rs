//! `make demo`: a host of a real cluster falls silent, and is fenced, with proof.

use std::process::ExitCode;
use std::time::Duration;

use lab::{Lab, Network, Options};
use real_parts::protect::{built_programs, protect, text};
use real_parts::story::Teller;

const VICTIM: &str = "n3";

/// A real server needs minutes to boot; this one must not be back before the story is told.
const BOOT_DELAY: Duration = Duration::from_secs(20);

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
        name: "demo".to_owned(),
        boot_delay: BOOT_DELAY,
        replace: true,
        progress: Box::new(|line| println!("{line}")),
        ..Options::default()
    })
    .map_err(text)?;

    println!("\nfence_ganeti and ganeti-oob are installed, Ganeti and Pacemaker are told of them.");
    protect(&lab, &programs, Some("n1.lab"))?;
    let master = lab.host("n1").map_err(text)?;
    show(&lab, "n1", &["ganeti-oob", "check"])?;
    show(&lab, "n1", &["gnt-node", "power", "status"])?;

    println!(
        "\n{VICTIM}.lab falls silent: no network, but its power is on and it runs. It could still write to a disk."
    );
    let victim = lab.host(VICTIM).map_err(text)?;
    let mut teller = Teller::new(&lab);
    teller.start_clock();
    victim.cut(Network::Primary).map_err(text)?;
    victim.cut(Network::Secondary).map_err(text)?;
    teller.say("n3: every cable is out");
    let fenced = |lab: &Lab| {
        lab.fence_history()
            .is_ok_and(|events| events.iter().any(|event| event.target == "n3.lab" && event.status == "success"))
    };
    teller.look_until("n3.lab is fenced", Duration::from_secs(90), fenced)?;
    let offline = |_: &Lab| {
        master
            .run(&["gnt-node", "list", "--no-headers", "-o", "offline", "n3.lab"])
            .is_ok_and(|output| output.stdout.trim() == "Y")
    };
    teller.look_until("n3.lab is recorded offline", Duration::from_secs(60), offline)?;
    teller.say("n1: Ganeti has n3.lab recorded as offline");

    println!("\nWhat there is now:");
    show(&lab, "n1", &["gnt-node", "list", "-o", "name,role,offline,powered"])?;
    show(&lab, "n1", &["stonith_admin", "--history", "n3.lab", "--verbose"])?;
    show(&lab, "n1", &["gnt-ha", "history"])?;
    println!(
        "The host was proven off before anybody took over from it, Ganeti knows, and a receipt says why.\n\
         To try things yourself: tests/lab/README.md."
    );
    Ok(())
}

fn show(lab: &Lab, host: &str, words: &[&str]) -> Result<(), String> {
    // Where an administrator's shell would find it.
    let program = if words.first() == Some(&"ganeti-oob") {
        "/usr/lib/gnt-ha/ganeti-oob"
    } else {
        words.first().copied().unwrap_or_default()
    };
    let line: Vec<&str> = std::iter::once(program).chain(words.iter().skip(1).copied()).collect();
    println!("\n  {host}# {}", line.join(" "));
    let output = lab.host(host).and_then(|host| host.run(&line)).map_err(text)?;
    for line in output.stdout.lines().chain(output.stderr.lines()) {
        println!("  {line}");
    }
    if output.success() { Ok(()) } else { Err(format!("`{}` failed on {host}", words.join(" "))) }
}
