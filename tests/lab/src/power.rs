//! Switches a host's power, as its BMC or a person at the plug does.

use std::fs::{self, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::error::{Error, Result};
use crate::init::{STAGE_FILE, STAGE_UP};
use crate::network::{self, Network};
use crate::process::{Process, kill_inside};
use crate::state::{self, Dir, Lock};
use crate::watchdog::{self, Expiry};

/// A host's power, as its BMC would report it, and the progress of its boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// No process of the host exists.
    Off,
    /// The host has power; its services are not started yet.
    Booting,
    /// The host has power and its boot is over.
    On,
}

/// The prefix of every command of a host: clock and kernel modules are the machine's.
pub(crate) const HARMLESS: [&str; 2] = ["setpriv", "--bounding-set=-sys_time,-sys_module"];

const TIME_LIMIT: Duration = Duration::from_secs(30);

/// The power of one host, which is identified by the lab's and its own name.
#[derive(Debug, Clone)]
pub(crate) struct Mains {
    dir: Dir,
    lab: String,
    host: String,
    index: u8,
}

impl Mains {
    pub(crate) fn of(lab: &str, host: &str) -> Result<Self> {
        let Some(index) = network::index(host) else {
            return Err(Error::NoHost { lab: lab.into(), host: host.into(), hosts: "n1, n2, ...".into() });
        };
        Ok(Self { dir: Dir::of(lab)?, lab: lab.into(), host: host.into(), index })
    }

    /// Returns the host's PID 1, if it runs.
    pub(crate) fn init(&self) -> Option<Process> {
        Process::load(&self.dir.init(&self.host)).filter(|p| p.alive())
    }

    pub(crate) fn status(&self) -> Power {
        match self.init() {
            None => Power::Off,
            Some(init) if stage(init).as_deref() == Some(STAGE_UP) => Power::On,
            Some(_) if Process::load(&self.dir.supervisor(&self.host)).is_some_and(Process::alive) => Power::Booting,
            // The process is dying, but not dead yet.
            Some(_) => Power::On,
        }
    }

    /// The cables are cut first: the kernel closes a dying process' connections, and a host without power sends
    /// nothing.
    pub(crate) fn off(&self) -> Result<()> {
        let _lock = Lock::of_host(&self.dir, &self.host, TIME_LIMIT)?;
        if network::host_file(&self.lab, &self.host).exists() {
            network::silence(&self.lab, &self.host)?;
        }
        self.kill()
    }

    fn kill(&self) -> Result<()> {
        // The supervisor is killed first: its purpose is to turn the host on again.
        let supervisor = Process::load(&self.dir.supervisor(&self.host));
        for process in [supervisor, self.init()].into_iter().flatten() {
            process.kill();
            if !process.wait_gone(Duration::from_secs(10)) {
                return Err(Error::TimedOut {
                    what: format!("end of process {} of {}", process.pid, self.host),
                    seconds: 10,
                    last: String::new(),
                });
            }
        }
        // The outer processes of entered shells, and processes that a just killed supervisor had started.
        kill_inside(&network::host_file(&self.lab, &self.host), Duration::from_secs(10));
        Ok(())
    }

    /// Returns when the host answers (sshd is up), not when its services have started.
    pub(crate) fn on(&self) -> Result<()> {
        let _lock = Lock::of_host(&self.dir, &self.host, TIME_LIMIT)?;
        if self.init().is_some() {
            return Ok(());
        }
        self.kill()?;
        let _ = fs::remove_file(self.dir.init(&self.host));
        let log = self.dir.host(&self.host).join("console.log");
        let console = OpenOptions::new().create(true).append(true).open(&log).map_err(Error::file("open", &log))?;
        let copy = console.try_clone().map_err(Error::file("share", &log))?;
        // In the switch's namespace, where the teardown of the lab finds it.
        let switch = format!("--net={}", network::switch_file(&self.lab).display());
        let status = Command::new("setsid")
            .args(["--fork", "nsenter", &switch])
            .arg(self.dir.program())
            .args(["supervise", &self.lab, &self.host])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(console)
            .stderr(copy)
            .status()
            .map_err(Error::system("start setsid"))?;
        if !status.success() {
            return Err(Error::Answer { what: "setsid".into(), detail: status.to_string() });
        }
        let begin = Instant::now();
        while self.init().is_none_or(|init| stage(init).is_none()) {
            let supervisor = Process::load(&self.dir.supervisor(&self.host));
            let ended = begin.elapsed() > Duration::from_secs(2) && !supervisor.is_some_and(Process::alive);
            if ended || begin.elapsed() > TIME_LIMIT {
                let last = fs::read_to_string(&log).unwrap_or_default();
                let last = last.lines().last().unwrap_or_default().to_owned();
                return Err(Error::TimedOut {
                    what: format!("boot of {}", self.host),
                    seconds: begin.elapsed().as_secs(),
                    last,
                });
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Changes the disk of a host that has no power, and prevents that it gets any meanwhile.
    pub(crate) fn while_off(&self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let _lock = Lock::of_host(&self.dir, &self.host, TIME_LIMIT)?;
        if self.init().is_some() { Err(Error::HostOn(self.host.clone())) } else { work() }
    }

    pub(crate) fn cuts(&self) -> Result<Vec<Network>> {
        Ok(state::load(&self.dir.cuts(&self.host))?.unwrap_or_default())
    }

    pub(crate) fn expiries(&self) -> Result<Vec<Expiry>> {
        Ok(state::load(&self.dir.expiries(&self.host))?.unwrap_or_default())
    }

    /// Unplugs a cable or plugs it in; it stays so over power cycles.
    pub(crate) fn set_link(&self, network: Network, up: bool) -> Result<()> {
        let _lock = Lock::of_host(&self.dir, &self.host, TIME_LIMIT)?;
        let mut cuts = self.cuts()?;
        if cuts.contains(&network) != up {
            return Ok(());
        }
        if network == Network::Bmc || self.init().is_some() {
            network::set_link(&self.lab, &self.host, self.index, network, up)?;
        }
        cuts.retain(|n| *n != network);
        if !up {
            cuts.push(network);
        }
        state::save(&self.dir.cuts(&self.host), &cuts)
    }

    /// Runs one boot of the host until its end, from outside or from inside; afterwards its cables are silent.
    fn live(&self) -> Result<Option<i32>> {
        network::connect(&self.lab, &self.host, self.index, &self.cuts()?)?;
        crate::disk::fresh_work(&self.dir, &self.host)?;
        let watchdog = watchdog::start(&self.dir, &self.lab, &self.host)?;
        let status = Command::new("nsenter")
            .arg(format!("--net={}", network::host_file(&self.lab, &self.host).display()))
            .args([
                "unshare",
                "--mount",
                "--pid",
                "--uts",
                "--ipc",
                "--fork",
                "--kill-child=KILL",
                "--propagation",
                "private",
            ])
            .args(HARMLESS)
            .arg(self.dir.program())
            .args(["init", &self.lab, &self.host])
            .status()
            .map_err(Error::system("start nsenter"))?;
        network::silence(&self.lab, &self.host)?;
        if let Some(mut watchdog) = watchdog {
            let _ = watchdog.kill();
            let _ = watchdog.wait();
        }
        Ok(status.signal())
    }
}

/// Returns the progress; `None` until the host's own `/run` has the file.
fn stage(init: Process) -> Option<String> {
    fs::read_to_string(
        Path::new("/proc").join(init.pid.to_string()).join("root").join(STAGE_FILE.trim_start_matches('/')),
    )
    .ok()
}

/// Supervises a host with power: starts it, and again when it has restarted itself.
pub fn supervise(lab: &str, host: &str) -> Result<()> {
    let mains = Mains::of(lab, host)?;
    state::save(&mains.dir.supervisor(host), &Process::current()?)?;
    // The system call `reboot` inside the host shows as this signal.
    while mains.live()? == Some(Signal::SIGHUP as i32) {
        eprintln!("{host} restarts itself");
    }
    Ok(())
}
