//! The checks of full mode. Each has its own deadline: a daemon that hangs is a failure within that time.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gnt_ha::core::roles::health::CONFD;
use gnt_ha::core::roles::master_claims::{MasterClaim, disagreement};
use gnt_ha::core::roles::simulate::Simulated;
use gnt_ha::core::roles::{Failure, NodeRole};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::ganeti::confd::Confd;
use gnt_ha::sys::ganeti::luxi::Luxi;
use gnt_ha::sys::time_limit::{NoResultError, within};
use gnt_ha::sys::{addresses, tcp_check, trial_file};
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::ganeti_view::GanetiView;
use crate::paths::AgentPaths;

/// The most that each check may take; the monitor's own deadline may be nearer.
const CHECK_LIMIT: Duration = Duration::from_secs(4);

fn failure(check: &'static str, found: impl Into<String>) -> Failure {
    Failure { check, found: found.into() }
}

const SIMULATED: &str = "simulated by a file";

/// The ssconf files that name the directories of instances' disks (`lib/ssconf.py`).
const STORAGE: [&str; 3] = ["file_storage_dir", "shared_file_storage_dir", "gluster_storage_dir"];

const NODED: &str = "noded";

/// Returns the daemons that a node's checks found not to answer. A simulated failure does not count.
#[must_use]
pub fn silent_daemons(failures: &[Failure]) -> Vec<&'static str> {
    let real = failures.iter().filter(|failure| failure.found != SIMULATED);
    real.filter_map(|failure| match failure.check {
        NODED => Some("ganeti-noded"),
        CONFD => Some("ganeti-confd"),
        _ => None,
    })
    .collect()
}

/// Returns the failures of the master role on this host: luxid, wconfd, the master IP, and peers that disagree. `claims`
/// are the candidates' master claims.
#[must_use]
pub fn master(paths: &AgentPaths, ganeti: &GanetiView, claims: &[MasterClaim], deadline: Deadline) -> Vec<Failure> {
    let mut failures: Vec<Failure> = disagreement(&ganeti.here, claims).into_iter().collect();
    if ganeti.simulated.contains(&Simulated::FailedMasterDaemon) {
        failures.push(failure("luxid", SIMULATED));
    } else {
        match paths.luxids_master(deadline.at_most(CHECK_LIMIT)) {
            Ok(master) if ganeti.is_here(&master) => {}
            Ok(master) => failures.push(failure("luxid", format!("it names {master} as the master"))),
            Err(error) => failures.push(failure("luxid", error.to_string())),
        }
    }
    failures.extend(wconfd(paths, deadline));
    failures.extend(master_ip(ganeti));
    failures
}

/// Returns the failure of wconfd; `None` if it answers an echo in time.
#[must_use]
pub fn wconfd(paths: &AgentPaths, deadline: Deadline) -> Option<Failure> {
    let answer = Luxi::connect(&paths.wconfd(), deadline.at_most(CHECK_LIMIT)).and_then(|mut wconfd| wconfd.echo());
    // wconfd uses luxid's protocol, and the client's errors name luxid.
    answer.err().map(|error| failure("wconfd", error.to_string().replace("luxid", "wconfd")))
}

fn master_ip(ganeti: &GanetiView) -> Option<Failure> {
    if ganeti.simulated.contains(&Simulated::MissingMasterIp) {
        return Some(failure("master IP", SIMULATED));
    }
    let Some((address, device)) = ganeti.master_ip() else {
        return Some(failure("master IP", "Ganeti's files do not have it"));
    };
    match addresses::has(address, device.as_deref()) {
        Ok(true) => None,
        Ok(false) => {
            let device = device.unwrap_or_else(|| "this host".to_owned());
            Some(failure("master IP", format!("{address} is not on {device}")))
        }
        Err(error) => Some(failure("master IP", error.to_string())),
    }
}

/// Returns the failures of this node: noded, confd on a master candidate, the root file system, and storage if the tag
/// asks for it.
#[must_use]
pub fn node(paths: &AgentPaths, ganeti: &GanetiView, deadline: Deadline) -> Vec<Failure> {
    let mut failures = Vec::new();
    let own = ganeti.own_address();
    if ganeti.simulated.contains(&Simulated::UnresponsiveNoded) {
        failures.push(failure(NODED, SIMULATED));
    } else if let Some(own) = own {
        // noded's version call needs a certificate that only master candidates have. Every node can ask for the TLS
        // handshake.
        if let Err(error) = tcp_check::speaks_tls(own, tcp_check::NODED_PORT, deadline.at_most(CHECK_LIMIT)) {
            failures.push(failure(NODED, format!("no answer from {own}: {error}")));
        }
    }
    if ganeti.simulated.contains(&Simulated::UnresponsiveConfd) {
        failures.push(failure(CONFD, SIMULATED));
    } else if ganeti.rank != NodeRole::Other
        && let Some(own) = own
    {
        match Confd::new(&paths.data_dir).and_then(|confd| confd.answers(own, deadline.at_most(CHECK_LIMIT))) {
            Ok(true) => {}
            Ok(false) => failures.push(failure(CONFD, format!("no answer from {own}"))),
            Err(error) => failures.push(failure(CONFD, error.to_string())),
        }
    }
    if ganeti.simulated.contains(&Simulated::ReadOnlyRoot) {
        failures.push(failure("root file system", SIMULATED));
    } else if let Err(error) = writable(&paths.state_dir, deadline.at_most(CHECK_LIMIT)) {
        failures.push(failure("root file system", error.to_string()));
    }
    if ganeti.tags().check_storage {
        failures.extend(storage(ganeti, deadline));
    }
    failures
}

/// Returns the failures of Ganeti's directories of instances' disks, where this node has them. A directory that hangs
/// or is read-only is a failure.
fn storage(ganeti: &GanetiView, deadline: Deadline) -> Vec<Failure> {
    let dirs = STORAGE.into_iter().filter_map(|name| ganeti.ssconf.line(name).ok().flatten()).map(PathBuf::from);
    let failed =
        |dir: PathBuf| {
            let shown = dir.display().to_string();
            let written = in_time(deadline.at_most(CHECK_LIMIT), move || {
                if dir.try_exists()? { trial_file::write(&dir) } else { Ok(()) }
            });
            written.err().map(|error| failure("storage", format!("{shown}: {error}")))
        };
    dirs.filter(|dir| dir.is_absolute()).filter_map(failed).collect()
}

/// Succeeds if `/` is mounted for writing, and a file can be written in `dir`. Creates `dir` if it is absent.
fn writable(dir: &Path, deadline: Deadline) -> io::Result<()> {
    if statvfs("/")?.flags().contains(FsFlags::ST_RDONLY) {
        return Err(io::ErrorKind::ReadOnlyFilesystem.into());
    }
    let dir = dir.to_owned();
    in_time(deadline, move || {
        std::fs::create_dir_all(&dir)?;
        trial_file::write(&dir)
    })
}

/// Runs `write` in a thread of its own: a disk that hangs blocks that thread and not the agent.
fn in_time(deadline: Deadline, write: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    within(deadline.left(), write).unwrap_or_else(|error| match error {
        // A host that cannot start a thread leaves the state unknown, which is not a success.
        NoResultError::Thread(error) => Err(error),
        NoResultError::Timeout => Err(io::Error::other("the write did not end in time")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A simulated failure must not kill a daemon that works, and a file system has no daemon.
    #[test]
    fn only_a_daemon_that_is_really_silent_is_named() {
        let found = [failure(NODED, SIMULATED), failure(CONFD, "no answer"), failure("root file system", "no answer")];
        assert_eq!(silent_daemons(&found), ["ganeti-confd"]);
        assert!(silent_daemons(&[]).is_empty());
    }
}
