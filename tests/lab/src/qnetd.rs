//! A third host, which runs only corosync's qnetd: neither corosync nor Pacemaker, no disk of its own.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::{Cancel, require, run};
use crate::error::{Error, Result};
use crate::network::{self, Network};
use crate::process::{inside, kill_inside};
use crate::state::{Dir, make_dir};

/// The name of its cables at the switch, and of its namespace.
pub(crate) const NAME: &str = "qnetd";

/// Its number in the primary network.
const INDEX: u8 = 200;

/// Its address in the primary network; TCP port 5403.
pub(crate) fn address() -> String {
    Network::Primary.address(INDEX)
}

/// The host with qnetd of a lab that has one.
#[derive(Debug, Clone)]
pub struct Qnetd {
    lab: String,
    dir: Dir,
}

impl Qnetd {
    pub(crate) fn of(lab: &str, dir: &Dir) -> Self {
        Self { lab: lab.into(), dir: dir.clone() }
    }

    /// Returns its name for [`Lab::block_between`](crate::Lab::block_between).
    pub fn name(&self) -> &'static str {
        NAME
    }

    /// Its address in the primary network.
    pub fn address(&self) -> String {
        address()
    }

    /// Makes its cables.
    pub(crate) fn connect(&self) -> Result<()> {
        network::connect(&self.lab, NAME, INDEX, &[])?;
        network::raise_outside(&self.lab, NAME)
    }

    /// The files of one qnetd: they need names of their own, or those of several labs would be the same.
    fn settings(&self) -> Result<(String, String)> {
        let dir = self.dir.host(NAME);
        make_dir(&dir, 0o700)?;
        let socket = dir.join("qnetd.sock").display().to_string();
        Ok((format!("lock_file={},local_socket_file={socket}", dir.join("qnetd.pid").display()), socket))
    }

    fn inside(&self) -> String {
        format!("--net={}", network::host_file(&self.lab, NAME).display())
    }

    /// Starts qnetd, without TLS. It has no memory of its earlier decisions.
    pub fn start(&self) -> Result<()> {
        let (settings, _) = self.settings()?;
        let path = self.dir.host(NAME).join("qnetd.log");
        let log = OpenOptions::new().create(true).append(true).open(&path).map_err(Error::file("open", &path))?;
        let copy = log.try_clone().map_err(Error::file("share", &path))?;
        let status = Command::new("setsid")
            .args(["--fork", "nsenter", &self.inside()])
            .args(["corosync-qnetd", "-f", "-4", "-s", "off", "-S", &settings])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(copy)
            .status()
            .map_err(Error::system("start setsid"))?;
        if status.success() { Ok(()) } else { Err(Error::Answer { what: "setsid".into(), detail: status.to_string() }) }
    }

    /// Whether it runs or is stopped by a signal.
    pub fn is_there(&self) -> bool {
        !inside(&network::host_file(&self.lab, NAME)).is_empty()
    }

    /// Kills it: its clients see their connections closed.
    pub fn kill(&self) -> Result<()> {
        if kill_inside(&network::host_file(&self.lab, NAME), Duration::from_secs(10)) {
            return Ok(());
        }
        Err(Error::TimedOut { what: "end of qnetd".into(), seconds: 10, last: String::new() })
    }

    /// Pauses it: it keeps its connections, and sends nothing.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Continues it after [`Qnetd::pause`].
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        for process in inside(&network::host_file(&self.lab, NAME)) {
            let _ = kill(Pid::from_raw(process.pid), signal);
        }
    }

    /// Unplugs its cable, or plugs it in again.
    pub fn set_link(&self, up: bool) -> Result<()> {
        network::set_link(&self.lab, NAME, INDEX, Network::Primary, up)
    }

    /// Returns its report of its clients (corosync-qnetd-tool(8)).
    pub fn clients(&self) -> Result<String> {
        let (_, socket) = self.settings()?;
        let words = ["-l", "-v", "-p", &socket];
        let mut command = Command::new("corosync-qnetd-tool");
        command.args(words);
        let output = run(&mut command, b"", Duration::from_secs(10), &Cancel::default())?;
        require("ask qnetd", "corosync-qnetd-tool", output).map(|output| output.stdout)
    }
}
