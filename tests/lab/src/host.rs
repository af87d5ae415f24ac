//! One host of a lab.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::command::{Cancel, Output, require, run};
use crate::error::{Error, Result};
use crate::init::ENVIRONMENT;
use crate::network::Network;
use crate::power::{HARMLESS, Mains, Power};
use crate::watchdog::Bite;

/// How long [`Host::run`] lets a command take.
pub const RUN_LIMIT: Duration = Duration::from_secs(60);

/// A host: a machine with its own network, processes, disk and BMC. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Host {
    pub(crate) name: String,
    pub(crate) uname: String,
    pub(crate) index: u8,
    pub(crate) mains: Mains,
    pub(crate) cancel: Arc<Cancel>,
}

impl Host {
    /// Its short name, such as `n1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name for Pacemaker and its kernel: that of Ganeti, or the short one.
    pub fn uname(&self) -> &str {
        &self.uname
    }

    /// Its name for Ganeti, such as `n1.lab`.
    pub fn fqdn(&self) -> String {
        format!("{}.lab", self.name)
    }

    /// Its address in the primary or secondary network, or its BMC's.
    pub fn address(&self, network: Network) -> String {
        network.address(self.index)
    }

    /// Its IPv6 address in the primary or secondary network.
    pub fn address6(&self, network: Network) -> Option<String> {
        network.address6(self.index)
    }

    /// Its BMC's address; port 623, user [`USER`](crate::USER), [`Lab::bmc_password`](crate::Lab::bmc_password).
    pub fn bmc_address(&self) -> String {
        self.address(Network::Bmc)
    }

    /// Runs a command on it for at most [`RUN_LIMIT`]. Any exit code is an `Ok`.
    pub fn run(&self, words: &[&str]) -> Result<Output> {
        self.run_within(words, RUN_LIMIT)
    }

    /// As [`Host::run`] with a limit of one's own; a command that takes longer is killed.
    pub fn run_within(&self, words: &[&str], limit: Duration) -> Result<Output> {
        self.run_with(words, b"", limit)
    }

    /// As [`Host::run`], but any exit code other than 0 is an error.
    pub fn check(&self, words: &[&str]) -> Result<Output> {
        require(&format!("on {}", self.name), &words.join(" "), self.run(words)?)
    }

    /// As [`Host::run_within`] with bytes for the command's standard input.
    pub fn run_with(&self, words: &[&str], input: &[u8], limit: Duration) -> Result<Output> {
        let mut command = self.command(words, Some(limit), false)?;
        let start = Instant::now();
        // `timeout` on the host ends the command itself; the longer limit is for a stuck host.
        let output = run(&mut command, input, limit + Duration::from_secs(5), &self.cancel)?;
        if matches!(output.code, 124 | 137) && start.elapsed() >= limit {
            let what = format!("`{}` on {}", words.join(" "), self.name);
            return Err(Error::TimedOut { what, seconds: limit.as_secs(), last: output.text() });
        }
        if !output.success() && self.mains.init().is_none() {
            return Err(Error::HostOff(self.name.clone()));
        }
        Ok(output)
    }

    /// The command line that enters the host, for callers with inputs and outputs of their
    /// own. With `foreground` the command may read from a terminal.
    pub fn command(&self, words: &[&str], limit: Option<Duration>, foreground: bool) -> Result<Command> {
        let init = self.mains.init().ok_or_else(|| Error::HostOff(self.name.clone()))?;
        let mut command = Command::new("/usr/bin/nsenter");
        command.args(["-t", &init.pid.to_string(), "-m", "-p", "-u", "-i", "-n", "--"]).args(HARMLESS);
        if let Some(limit) = limit {
            command.args(["timeout", "--kill-after=2"]);
            if foreground {
                command.arg("--foreground");
            }
            command.arg(format!("{:.3}", limit.as_secs_f64()));
        }
        command.args(words).env_clear().envs(ENVIRONMENT);
        Ok(command)
    }

    /// Puts a file on the host's disk, where it survives power cycles; a program that runs
    /// is replaced without harm. `mode` as for chmod, such as `0o755`.
    pub fn write_file(&self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        let mode = format!("--mode={mode:04o}");
        // Put in its place whole: Pacemaker and Ganeti run what is there at any moment.
        let script = r#"install -D "$1" /dev/stdin "$2.new" && mv -- "$2.new" "$2""#;
        let words = ["sh", "-c", script, "sh", &mode, path];
        let output = self.run_with(&words, bytes, RUN_LIMIT)?;
        require(&format!("write on {}", self.name), &words.join(" "), output).map(drop)
    }

    /// The content of a file on the host.
    pub fn read_file(&self, path: &str) -> Result<String> {
        Ok(self.check(&["cat", path])?.stdout)
    }

    /// Its files as they are seen from outside, while it has power: to look often, and without a process on it.
    pub fn root(&self) -> Option<PathBuf> {
        Some(Path::new("/proc").join(self.mains.init()?.pid.to_string()).join("root"))
    }

    /// Does it have power?
    pub fn power_status(&self) -> Power {
        self.mains.status()
    }

    /// Takes the power away: silence on its cables, then the end of all its processes. Its
    /// disk stays. Returns when nothing of it runs any more.
    pub fn power_off(&self) -> Result<()> {
        self.mains.off()
    }

    /// Gives it power; returns when it boots. Its services start after the boot delay.
    pub fn power_on(&self) -> Result<()> {
        self.mains.on()
    }

    /// When its watchdog took its power, the earliest first.
    pub fn bites(&self) -> Result<Vec<Bite>> {
        self.mains.bites()
    }

    /// Takes a cable out. For the BMC: it answers no more.
    pub fn cut(&self, network: Network) -> Result<()> {
        self.mains.set_link(network, false)
    }

    /// Puts a cable back.
    pub fn heal(&self, network: Network) -> Result<()> {
        self.mains.set_link(network, true)
    }

    /// The networks it is cut from.
    pub fn cuts(&self) -> Result<Vec<Network>> {
        self.mains.cuts()
    }
}
