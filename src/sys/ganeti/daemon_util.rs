//! Controls Ganeti's daemons on this host through `daemon-util`, their pidfiles and signals.
//!
//! Source: `daemons/daemon-util.in`, `lib/daemon.py`.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::sys::clock::Deadline;
use crate::sys::command::{ProgramError, run};
use crate::sys::procfs;

/// The daemons that run on the master only, in the order of their start.
pub const MASTER_DAEMONS: [&str; 3] = ["ganeti-wconfd", "ganeti-rapi", "ganeti-luxid"];

/// Every daemon that has a pidfile.
const DAEMONS: [&str; 8] = [
    "ganeti-noded",
    "ganeti-confd",
    "ganeti-wconfd",
    "ganeti-rapi",
    "ganeti-luxid",
    "ganeti-mond",
    "ganeti-kvmd",
    "ganeti-metad",
];

/// The daemons of one installation of Ganeti.
#[derive(Clone, Debug)]
pub struct Daemons {
    program_dir: PathBuf,
    run_dir: PathBuf,
}

impl Daemons {
    /// Uses `daemon-util` in `program_dir` and the pidfiles in `run_dir`; reads nothing yet.
    #[must_use]
    pub fn new(program_dir: &Path, run_dir: &Path) -> Self {
        Self { program_dir: program_dir.to_owned(), run_dir: run_dir.to_owned() }
    }

    /// Runs `daemon-util <words>` until it ends or the deadline passes.
    ///
    /// # Errors
    /// [`ProgramError`] if the program cannot be started, fails or times out.
    pub fn daemon_util(&self, words: &[&str], deadline: Deadline) -> Result<(), ProgramError> {
        run(&self.program_dir.join("daemon-util"), words, &[], deadline).map(drop)
    }

    /// Starts those of the master's daemons that do not run. With `no_voting` they do not ask the other nodes.
    ///
    /// Starts them one by one: `daemon-util start-master` stops at the first daemon that already runs, as Debian's
    /// `start-stop-daemon` then rejects a pidfile that does not belong to root. Options that are passed as arguments
    /// reach the daemons under systemd, too.
    ///
    /// # Errors
    /// [`ProgramError`] of the first daemon that does not start; the later ones are not tried.
    pub fn start_master(&self, no_voting: bool, deadline: Deadline) -> Result<(), ProgramError> {
        for daemon in MASTER_DAEMONS.into_iter().filter(|daemon| self.process(daemon).is_none()) {
            // rapi does not vote and has no such options.
            let words: &[&str] = if no_voting && daemon != "ganeti-rapi" {
                &["start", daemon, "--no-voting", "--yes-do-it"]
            } else {
                &["start", daemon]
            };
            self.daemon_util(words, deadline)?;
        }
        Ok(())
    }

    /// Returns the process of a daemon, if a living process has the pid in its pidfile and its name.
    #[must_use]
    pub fn process(&self, daemon: &str) -> Option<Pid> {
        let text = fs::read_to_string(self.pidfile(daemon)).ok()?;
        let pid: i32 = text.trim().parse().ok().filter(|pid| *pid > 1)?;
        (name_of(pid)? == kernel_name(daemon)).then(|| Pid::from_raw(pid))
    }

    /// Returns whether the pidfile of a daemon exists: the daemon was started since the boot and was not stopped on
    /// purpose.
    #[must_use]
    pub fn has_run(&self, daemon: &str) -> bool {
        self.pidfile(daemon).exists()
    }

    /// Sends SIGKILL to those of `daemons` that run, and returns their names.
    #[must_use]
    pub fn kill<'a>(&self, daemons: &[&'a str]) -> Vec<&'a str> {
        let killed = |daemon: &&str| self.process(daemon).is_some_and(|pid| kill(pid, Signal::SIGKILL).is_ok());
        daemons.iter().copied().filter(killed).collect()
    }

    /// Removes the pidfiles that belong to a user other than root and have no living process. Returns the daemons.
    ///
    /// With such a file Debian's `start-stop-daemon` rejects the start of the daemon ("matching only on non-root
    /// pidfile is insecure", Ganeti issue 1623). Such files remain after a SIGKILL, or after a power cut if `/run`
    /// persists.
    ///
    /// # Errors
    /// The error of the file system for the first file that cannot be removed.
    pub fn clear_stale_pidfiles(&self) -> io::Result<Vec<&'static str>> {
        let mut cleared = Vec::new();
        for (daemon, path) in self.stale_pidfiles() {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => cleared.push(daemon),
            }
        }
        Ok(cleared)
    }

    /// Returns the daemons that do not run and whose pidfile belongs to a user other than root, with the path of the
    /// file.
    #[must_use]
    pub fn stale_pidfiles(&self) -> Vec<(&'static str, PathBuf)> {
        let is_stale = |daemon: &str, path: &Path| {
            let metadata = fs::symlink_metadata(path).ok()?;
            (metadata.uid() != 0 && metadata.is_file() && self.process(daemon).is_none()).then_some(())
        };
        let files = DAEMONS.into_iter().map(|daemon| (daemon, self.pidfile(daemon)));
        files.filter(|(daemon, path)| is_stale(daemon, path).is_some()).collect()
    }

    fn pidfile(&self, daemon: &str) -> PathBuf {
        self.run_dir.join(format!("{daemon}.pid"))
    }
}

/// Returns whether a `gnt-cluster master-failover` runs on this host, no matter who started it.
#[must_use]
pub fn failover_under_way() -> bool {
    let is_one = |dir: &Path| {
        let words = fs::read(dir.join("cmdline")).ok()?;
        let mut words = words.split(|byte| *byte == 0);
        // The interpreter is the first word: "python3 /usr/sbin/gnt-cluster master-failover".
        let is_cluster = words.by_ref().take(3).any(|word| word.ends_with(b"/gnt-cluster"));
        (is_cluster && words.next() == Some(b"master-failover")).then_some(())
    };
    procfs::find(is_one).is_some()
}

fn name_of(pid: i32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // A zombie still has its name, and holds no resources.
    let zombie = state.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'));
    (!zombie).then(|| name.trim().to_owned())
}

/// The kernel keeps 15 bytes of a process name (`proc_pid_comm(5)`).
fn kernel_name(daemon: &str) -> &str {
    daemon.get(..15).unwrap_or(daemon)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_name() -> String {
        fs::read_to_string("/proc/self/comm").unwrap().trim().to_owned()
    }

    #[test]
    fn a_living_process_of_another_name_is_not_the_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let daemons = Daemons::new(Path::new("/nonexistent"), dir.path());
        fs::write(dir.path().join("ganeti-luxid.pid"), format!("{}\n", std::process::id())).unwrap();
        assert_ne!(own_name(), "ganeti-luxid");
        assert_eq!(daemons.process("ganeti-luxid"), None);
        assert!(daemons.kill(&["ganeti-luxid"]).is_empty());
        for text in ["", "1", "-1", "x", "99999999999999"] {
            fs::write(dir.path().join("ganeti-luxid.pid"), text).unwrap();
            assert_eq!(daemons.process("ganeti-luxid"), None, "{text:?}");
        }
    }

    /// Ganeti issue 1623: only such files are removed. `start-stop-daemon` accepts files of root.
    #[test]
    fn only_stale_pidfiles_of_others_are_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let daemons = Daemons::new(Path::new("/nonexistent"), dir.path());
        let (luxid, noded) = (dir.path().join("ganeti-luxid.pid"), dir.path().join("ganeti-noded.pid"));
        fs::write(&luxid, "999999\n").unwrap();
        fs::write(&noded, "999999\n").unwrap();
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&luxid, Some(65534), None).unwrap();
            assert_eq!(daemons.clear_stale_pidfiles().unwrap(), ["ganeti-luxid"]);
            assert!(!luxid.exists() && noded.exists());
        }
    }
}
