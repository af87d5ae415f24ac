//! Identifies processes by id and start time, so that a reused id is never taken for ours.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::state;

/// A process: its id and when it started, in clock ticks after the machine's boot
/// (field 22 of `/proc/PID/stat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    start: u64,
}

/// Returns state letter and start time; `None` if the process does not exist.
fn stat(pid: i32) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let letter = fields.next()?.chars().next()?;
    Some((letter, fields.nth(18)?.parse().ok()?))
}

impl Process {
    pub(crate) fn of(pid: i32) -> Option<Self> {
        stat(pid).map(|(_, start)| Self { pid, start })
    }

    /// Returns the calling process, by the id that the mounted `/proc` gives it: outside of a process namespace that
    /// was entered but whose `/proc` is not mounted yet.
    pub(crate) fn current() -> Result<Self> {
        let link = Path::new("/proc/self");
        let target = fs::read_link(link).map_err(Error::file("read", link))?;
        target
            .to_str()
            .and_then(|t| t.parse().ok())
            .and_then(Self::of)
            .ok_or_else(|| Error::Answer { what: "/proc/self".into(), detail: target.display().to_string() })
    }

    pub(crate) fn load(path: &Path) -> Option<Self> {
        state::load(path).ok().flatten()
    }

    pub(crate) fn alive(self) -> bool {
        stat(self.pid).is_some_and(|(letter, start)| start == self.start && letter != 'Z' && letter != 'X')
    }

    pub(crate) fn kill(self) {
        if self.alive() {
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
        }
    }

    pub(crate) fn wait_gone(self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while self.alive() {
            if Instant::now() > end {
                return false;
            }
            thread::sleep(Duration::from_millis(3));
        }
        true
    }
}

/// Returns the processes in a network namespace, without the calling one.
pub(crate) fn inside(namespace: &Path) -> Vec<Process> {
    let Ok(wanted) = fs::metadata(namespace).map(|m| (m.dev(), m.ino())) else { return Vec::new() };
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let Ok(list) = fs::read_dir("/proc") else { return Vec::new() };
    list.flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|m| (m.dev(), m.ino()) == wanted))
        .filter_map(Process::of)
        .collect()
}

/// Kills the processes in the namespace until no process is left; returns false if one remains.
pub(crate) fn kill_inside(namespace: &Path, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    loop {
        let left: Vec<_> = inside(namespace).into_iter().filter(|p| p.alive()).collect();
        if left.is_empty() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        left.into_iter().for_each(Process::kill);
        thread::sleep(Duration::from_millis(10));
    }
}
