//! Runs the benchmark in namespaces: files, network and processes that end with this program.
//!
//! The programs read their configuration at its usual path, so `/etc` gets an overlay that no other process sees. The
//! process namespace ends with its first process, and that one is killed when this program ends, for any reason.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount};
use nix::unistd::geteuid;

use crate::Result;

/// A directory in memory that only the namespace sees; it hides the machine's `/run`.
pub(crate) const MEMORY: &str = "/run";

/// Runs the cases in namespaces. Returns their output on stdout.
pub(crate) fn run_inside(runs: u16) -> Result<Vec<u8>> {
    if !geteuid().is_root() {
        return Err("namespaces and mounts are root's: run it as root or with sudo".into());
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]);
    command.arg("--mount-proc").arg(std::env::current_exe()?).arg("inside").arg(runs.to_string());
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
    let output = child.and_then(|child| child.wait_with_output()).map_err(|error| format!("setpriv: {error}"))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("nothing was measured to its end ({})", output.status).into())
    }
}

/// Prepares the namespaces: an overlay over `/etc`, a directory in memory, the loopback device.
pub(crate) fn furnish() -> Result<()> {
    // Started by hand, it would mount over the machine's own directories.
    if std::process::id() != 1 {
        return Err("this part runs only as the first process of its namespaces".into());
    }
    let doing = |what: &'static str| move |error| format!("cannot {what} in a namespace of our own: {error}");
    mount(Some("bench"), MEMORY, Some("tmpfs"), MsFlags::empty(), Some("mode=0755")).map_err(doing("mount a tmpfs"))?;
    let (upper, work) = (Path::new(MEMORY).join("etc"), Path::new(MEMORY).join("etc-work"));
    fs::create_dir(&upper)?;
    fs::create_dir(&work)?;
    let layers = format!("lowerdir=/etc,upperdir={},workdir={}", upper.display(), work.display());
    mount(Some("bench"), "/etc", Some("overlay"), MsFlags::empty(), Some(layers.as_str()))
        .map_err(doing("lay an overlay over /etc"))?;
    succeed(Command::new("ip").args(["link", "set", "lo", "up"]))
}

/// Runs a command whose output is not needed.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()).into())
    }
}
