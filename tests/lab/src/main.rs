//! The program `lab`: hosts on one machine, to test a cluster on.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime};

use clap::{Parser, Subcommand, ValueEnum};
use lab::{Error, Host, Lab, Network, Options, Result, Status, parts};

#[derive(Parser)]
#[command(
    name = "lab",
    version,
    about = "Hosts with corosync, Pacemaker, Ganeti and BMCs, as namespaces of this machine",
    max_term_width = 100
)]
struct Arguments {
    /// Which lab: 1 to 15 of a-z, 0-9 and -
    #[arg(long, global = true, default_value = "lab")]
    name: String,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build a lab and leave it running
    Up {
        /// How many hosts: 2 to 7
        #[arg(long, default_value_t = 3)]
        hosts: u8,
        /// How many of them, the last ones, run pacemaker-remoted and are regular nodes of Ganeti; no connection to them is configured
        #[arg(long, default_value_t = 0, value_name = "COUNT")]
        remotes: u8,
        /// Seconds a host waits at later boots before its services start
        #[arg(long, default_value_t = 0, value_name = "SECONDS")]
        boot_delay: u64,
        /// Have Pacemaker fence each host through its BMC (fence_ipmilan)
        #[arg(long)]
        fencing: bool,
        /// Let corosync use the secondary network too
        #[arg(long)]
        two_links: bool,
        /// Give each host a watchdog that expires after so many seconds without a keepalive
        #[arg(long, value_name = "SECONDS")]
        watchdog: Option<u64>,
        /// What the hosts are made of: debian-12, debian-12-backports, debian-13, debian-sid, or a directory with a root in it;
        /// n2=NAME for one host alone. Without it: this machine's own root
        #[arg(long = "system", value_name = "[HOST=]NAME")]
        systems: Vec<String>,
        /// Have Pacemaker call a node n1 that Ganeti calls n1.lab
        #[arg(long)]
        short_names: bool,
        /// Add a third host with corosync's qnetd as quorum device, which decides a tie
        #[arg(long)]
        qnetd: bool,
        /// Make the Ganeti cluster anew, though the disks of one are kept
        #[arg(long)]
        fresh: bool,
        /// Take down a lab of this name first
        #[arg(long)]
        replace: bool,
    },
    /// Take a lab down, whatever state it is in; nothing of it stays
    Down,
    /// Show the hosts, as Pacemaker and Ganeti see them
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give or take a host's power, as its BMC would
    Power {
        /// The command to run
        action: Action,
        /// Such as n1
        host: String,
    },
    /// Put a host without power on another system; its own disk stays
    System {
        /// Such as n1
        host: String,
        /// As for `up`: debian-13, or a directory with a root in it
        system: String,
    },
    /// Make the tree of a system, if it is missing; print its directory, its date and its version of Pacemaker
    Tree {
        /// As for `up`, such as debian-13
        system: String,
    },
    /// Take a cable out
    Cut {
        /// Such as n1
        host: String,
        /// primary, secondary or bmc
        #[arg(default_value = "primary")]
        network: Network,
    },
    /// Put a cable back; all of a host's if none is named
    Heal {
        /// Such as n1
        host: String,
        /// primary, secondary or bmc
        network: Option<Network>,
    },
    /// The third host, of a lab that has one
    Qnetd {
        /// The command to run
        action: Third,
    },
    /// Have the switch drop all between two, such as n1 and n2, or n1 and qnetd, and nothing that it dropped before
    Block {
        /// Pairs of names; none: drop nothing
        names: Vec<String>,
    },
    /// Run a command on a host; its exit code is passed on (125: the lab's own failure)
    Run {
        /// End it after so many seconds (exit code 124)
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<f64>,
        /// Such as n1
        host: String,
        /// The command and its arguments, after --
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// A shell on a host
    Shell {
        /// Such as n1
        host: String,
    },
    /// Print what changes, a line each, until Ctrl-C
    Watch,
    /// Put a file on a host's disk, with its mode
    Install {
        /// Such as n1, or all
        host: String,
        /// The file on this machine
        source: PathBuf,
        /// Where it goes: a full path with the file's name
        destination: String,
    },
    /// Print the password of the BMCs' user admin
    Password,
    #[command(hide = true)]
    Chassis {
        lab: String,
        host: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    #[command(hide = true)]
    Bmc { lab: String, host: String },
    #[command(hide = true)]
    Supervise { lab: String, host: String },
    #[command(hide = true)]
    Watchdog { lab: String, host: String },
    #[command(hide = true)]
    Init { lab: String, host: String },
    #[command(hide = true)]
    Services { host: String },
    #[command(hide = true)]
    Warden { lab: String },
}

#[derive(Clone, Copy, ValueEnum)]
enum Action {
    On,
    Off,
    Cycle,
    Status,
}

#[derive(Clone, Copy, ValueEnum)]
enum Third {
    /// Start the daemon qnetd
    Start,
    /// End qnetd at once
    Kill,
    /// Stop it by a signal: its connections stay, and it says nothing
    Pause,
    /// End the pause
    Resume,
    /// Take its cable out
    Cut,
    /// Put its cable back
    Heal,
    /// Show its clients
    Status,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let own_failure = if matches!(arguments.verb, Verb::Run { .. }) { 125 } else { 1 };
    match act(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error}");
            ExitCode::from(if matches!(error, Error::Cancelled) { 130 } else { own_failure })
        }
    }
}

fn act(arguments: Arguments) -> Result<ExitCode> {
    let name = arguments.name;
    let host = |host: &str| Lab::attach(&name)?.host(host);
    match arguments.verb {
        Verb::Up {
            hosts,
            remotes,
            boot_delay,
            fencing,
            two_links,
            watchdog,
            systems,
            short_names,
            qnetd,
            fresh,
            replace,
        } => {
            let options = Options {
                name,
                hosts,
                remotes,
                boot_delay: Duration::from_secs(boot_delay),
                fencing,
                two_links,
                watchdog: watchdog.map(Duration::from_secs),
                systems,
                short_names,
                qnetd,
                fresh,
                replace,
                // A reader of the output that has ended must not leave half a lab.
                progress: Box::new(|line| drop(writeln!(io::stdout(), "{line}"))),
                ..Options::default()
            };
            // Ctrl-C and other signals end this program at once; the lab's warden cleans up.
            Lab::up(options)?.keep();
        }
        Verb::Down => {
            let found = Lab::down(&name)?;
            println!("{}", if found { format!("lab {name} is gone") } else { format!("there is no lab {name}") });
        }
        Verb::Status { json } => show(&Lab::attach(&name)?.status()?, json)?,
        Verb::Power { action, host: of } => power(&host(&of)?, action)?,
        Verb::System { host: of, system } => {
            let mut lab = Lab::attach(&name)?;
            let host = lab.host(&of)?;
            lab.change_system(&host, &system, &|line| drop(writeln!(io::stdout(), "{line}")))?;
        }
        Verb::Tree { system } => {
            let (root, about) = lab::tree(&system, &|line| eprintln!("{line}"))?;
            println!("{}\n{about}", root.display());
        }
        Verb::Cut { host: of, network } => host(&of)?.cut(network)?,
        Verb::Heal { host: of, network } => {
            let host = host(&of)?;
            let networks = network.map_or_else(|| host.cuts(), |n| Ok(vec![n]))?;
            networks.into_iter().try_for_each(|network| host.heal(network))?;
        }
        Verb::Qnetd { action } => third(&Lab::attach(&name)?, action)?,
        Verb::Block { names } => {
            let (pairs, rest) = names.as_chunks::<2>();
            if let Some(alone) = rest.first() {
                return Err(Error::Answer { what: "lab block".into(), detail: format!("{alone} has no second name") });
            }
            let pairs: Vec<_> = pairs.iter().map(|[a, b]| (a.as_str(), b.as_str())).collect();
            Lab::attach(&name)?.block_between(&pairs)?;
        }
        Verb::Run { timeout, host: on, command } => {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            return enter(&host(&on)?, &words, timeout);
        }
        Verb::Shell { host: on } => return enter(&host(&on)?, &["bash", "-l"], None),
        Verb::Watch => watch(&Lab::attach(&name)?),
        Verb::Install { host: on, source, destination } => install(&Lab::attach(&name)?, &on, &source, &destination)?,
        Verb::Password => println!("{}", Lab::attach(&name)?.bmc_password()?),
        Verb::Chassis { lab, host, words } => print!("{}", parts::chassis(&lab, &host, &words)?),
        Verb::Bmc { lab, host } => parts::keep_bmc(&lab, &host)?,
        Verb::Supervise { lab, host } => parts::supervise(&lab, &host)?,
        Verb::Watchdog { lab, host } => parts::keep_watchdog(&lab, &host)?,
        Verb::Init { lab, host } => parts::init(&lab, &host)?,
        Verb::Services { host } => parts::services(&host)?,
        Verb::Warden { lab } => parts::warden(&lab)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn power(host: &Host, action: Action) -> Result<()> {
    match action {
        Action::On => host.power_on()?,
        Action::Off => host.power_off()?,
        Action::Cycle => {
            host.power_off()?;
            host.power_on()?;
        }
        Action::Status => {}
    }
    println!("{}: {}", host.name(), host.power_status().word());
    Ok(())
}

fn third(lab: &Lab, action: Third) -> Result<()> {
    let Some(qnetd) = lab.qnetd() else {
        let (lab, host, hosts) = (lab.name().into(), "qnetd".into(), "no third host: lab up --qnetd".into());
        return Err(Error::NoHost { lab, host, hosts });
    };
    match action {
        Third::Start => qnetd.start()?,
        Third::Kill => qnetd.kill()?,
        Third::Pause => qnetd.pause(),
        Third::Resume => qnetd.resume(),
        Third::Cut => qnetd.set_link(false)?,
        Third::Heal => qnetd.set_link(true)?,
        Third::Status => print!("{}", qnetd.clients()?),
    }
    Ok(())
}

fn enter(host: &Host, words: &[&str], timeout: Option<f64>) -> Result<ExitCode> {
    let limit = timeout.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    let mut command = host.command(words, limit, io::stdin().is_terminal())?;
    if let Some(terminal) = std::env::var_os("TERM") {
        command.env("TERM", terminal);
    }
    let status = command.status().map_err(|source| Error::System { what: "start nsenter".into(), source })?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
}

fn install(lab: &Lab, on: &str, source: &PathBuf, destination: &str) -> Result<()> {
    let failed = |e| Error::File { what: "read", path: source.clone(), source: e };
    let bytes = fs::read(source).map_err(failed)?;
    let mode = fs::metadata(source).map_err(failed)?.permissions().mode() & 0o7777;
    let hosts = if on == "all" { lab.hosts() } else { vec![lab.host(on)?] };
    hosts.iter().try_for_each(|host| host.write_file(destination, &bytes, mode))
}

fn show(status: &Status, json: bool) -> Result<()> {
    if json {
        let text = serde_json::to_string_pretty(status)
            .map_err(|e| Error::Answer { what: "status".into(), detail: e.to_string() })?;
        println!("{text}");
        return Ok(());
    }
    let quorum = match status.quorum {
        None => "no Pacemaker answers",
        Some(true) => "quorum",
        Some(false) => "NO quorum",
    };
    let dc = status.dc.as_deref().unwrap_or("none");
    let unfinished = if status.ready { "" } else { ", not completely built" };
    println!("lab {}: {quorum}, DC {dc}{unfinished}", status.name);
    println!(
        "{:<5} {:<8} {:<9} {:<10} {:<12} {:<14} CUT FROM",
        "HOST", "POWER", "PACEMAKER", "GANETI", "ADDRESS", "BMC"
    );
    for host in &status.hosts {
        let cuts: Vec<String> = host.cuts.iter().map(Network::to_string).collect();
        let cuts = if cuts.is_empty() { "-".into() } else { cuts.join(",") };
        println!(
            "{:<5} {:<8} {:<9} {:<10} {:<12} {:<14} {cuts}",
            host.name, host.power, host.member, host.ganeti, host.address, host.bmc
        );
    }
    Ok(())
}

fn watch(lab: &Lab) {
    let mut watch = lab.watch();
    println!("{}  watching lab {} (times are UTC)", clock(SystemTime::now()), lab.name());
    loop {
        for event in watch.poll() {
            println!("{}  {}", clock(event.at), event.text);
        }
        if io::stdout().flush().is_err() {
            return;
        }
        thread::sleep(Duration::from_millis(500));
    }
}

fn clock(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() % 86400;
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, since.subsec_millis())
}
