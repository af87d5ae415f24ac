//! One host of a lab, as tests use it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::command::{Cancel, Output, require, run};
use crate::error::{Error, Result};
use crate::init::ENVIRONMENT;
use crate::network::Network;
use crate::power::{HARMLESS, Mains, Power};
use crate::watchdog::Expiry;

/// The most that a command of [`Host::run`] may take.
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
    /// Returns its short name, such as `n1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its name in Pacemaker and its kernel: that of Ganeti, or the short one.
    pub fn uname(&self) -> &str {
        &self.uname
    }

    /// Returns its name in Ganeti, such as `n1.lab`.
    pub fn fqdn(&self) -> String {
        format!("{}.lab", self.name)
    }

    /// Returns its address in the primary or secondary network, or its BMC's.
    pub fn address(&self, network: Network) -> String {
        network.address(self.index)
    }

    /// Returns its IPv6 address in the primary or secondary network.
    pub fn address6(&self, network: Network) -> Option<String> {
        network.address6(self.index)
    }

    /// Returns its BMC's address; port 623, user [`USER`](crate::USER),
    /// [`Lab::bmc_password`](crate::Lab::bmc_password).
    pub fn bmc_address(&self) -> String {
        self.address(Network::Bmc)
    }

    /// Runs a command on the host for at most [`RUN_LIMIT`]. Any exit code is an `Ok`.
    pub fn run(&self, words: &[&str]) -> Result<Output> {
        self.run_within(words, RUN_LIMIT)
    }

    /// Runs a command as [`Host::run`] with another limit; a command that takes longer is killed.
    pub fn run_within(&self, words: &[&str], limit: Duration) -> Result<Output> {
        self.run_with(words, b"", limit)
    }

    /// Runs a command as [`Host::run`], but any exit code other than 0 is an error.
    pub fn check(&self, words: &[&str]) -> Result<Output> {
        require(&format!("on {}", self.name), &words.join(" "), self.run(words)?)
    }

    /// Runs a command as [`Host::run_within`], with bytes for the command's standard input.
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

    /// Returns the command line that enters the host, for callers with their own inputs and outputs. With `foreground`
    /// the command may read from a terminal.
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

    /// Writes a file to the host's disk, where it survives power cycles. A running program can be replaced. `mode` as
    /// for chmod, such as `0o755`.
    pub fn write_file(&self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        let mode = format!("--mode={mode:04o}");
        // The file is replaced as a whole: Pacemaker and Ganeti may run it at any time.
        let script = r#"install -D "$1" /dev/stdin "$2.new" && mv -- "$2.new" "$2""#;
        let words = ["sh", "-c", script, "sh", &mode, path];
        let output = self.run_with(&words, bytes, RUN_LIMIT)?;
        require(&format!("write on {}", self.name), &words.join(" "), output).map(drop)
    }

    /// Returns the content of a file on the host.
    pub fn read_file(&self, path: &str) -> Result<String> {
        Ok(self.check(&["cat", path])?.stdout)
    }

    /// Returns the path of its files from outside, while it has power: for frequent reads, without a process on it.
    pub fn root(&self) -> Option<PathBuf> {
        Some(Path::new("/proc").join(self.mains.init()?.pid.to_string()).join("root"))
    }

    /// Returns the state of its power.
    pub fn power_status(&self) -> Power {
        self.mains.status()
    }

    /// Cuts the power: its cables become silent, and then all its processes end. Its disk stays. Returns when no
    /// process of it runs any more.
    pub fn power_off(&self) -> Result<()> {
        self.mains.off()
    }

    /// Gives it power; returns while it boots. Its services start after the boot delay.
    pub fn power_on(&self) -> Result<()> {
        self.mains.on()
    }

    /// Returns the times at which its watchdog cut its power, the earliest first.
    pub fn expiries(&self) -> Result<Vec<Expiry>> {
        self.mains.expiries()
    }

    /// Unplugs a cable. The BMC does not answer any more without its cable.
    pub fn cut(&self, network: Network) -> Result<()> {
        self.mains.set_link(network, false)
    }

    /// Plugs a cable in again.
    pub fn heal(&self, network: Network) -> Result<()> {
        self.mains.set_link(network, true)
    }

    /// Returns the networks from which it is cut.
    pub fn cuts(&self) -> Result<Vec<Network>> {
        self.mains.cuts()
    }
}
