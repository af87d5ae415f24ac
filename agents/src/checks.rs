//! The checks of full mode. Each has its own deadline: a daemon that hangs is a failure within that time.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use gnt_ha::core::roles::health::CONFD;
use gnt_ha::core::roles::master_claims::{MasterClaim, disagreement};
use gnt_ha::core::roles::simulate::Simulated;
use gnt_ha::core::roles::{Failure, NodeRole};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::ganeti::confd::Confd;
use gnt_ha::sys::ganeti::luxi::Luxi;
use gnt_ha::sys::{addresses, tcp_check, trial_file};
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::site::{Place, Site};

/// The most that each check may take; the monitor's own deadline may be nearer.
const EACH: Duration = Duration::from_secs(4);

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

/// Returns the failures of the master role on this host: luxid, wconfd, the master IP, and peers that disagree. `words`
/// are the candidates' master claims.
#[must_use]
pub fn master(place: &Place, site: &Site, words: &[MasterClaim], deadline: Deadline) -> Vec<Failure> {
    let mut failures: Vec<Failure> = disagreement(&site.here, words).into_iter().collect();
    if site.simulated.contains(&Simulated::FailedMasterDaemon) {
        failures.push(failure("luxid", SIMULATED));
    } else {
        match place.luxids_master(deadline.at_most(EACH)) {
            Ok(master) if site.is_here(&master) => {}
            Ok(master) => failures.push(failure("luxid", format!("it takes {master} for the master"))),
            Err(error) => failures.push(failure("luxid", error.to_string())),
        }
    }
    failures.extend(wconfd(place, deadline));
    failures.extend(master_ip(site));
    failures
}

/// Returns the failure of wconfd; `None` if it answers an echo in time.
#[must_use]
pub fn wconfd(place: &Place, deadline: Deadline) -> Option<Failure> {
    let answer = Luxi::connect(&place.wconfd(), deadline.at_most(EACH)).and_then(|mut wconfd| wconfd.echo());
    // wconfd uses luxid's protocol, and the client's errors name luxid.
    answer.err().map(|error| failure("wconfd", error.to_string().replace("luxid", "wconfd")))
}

fn master_ip(site: &Site) -> Option<Failure> {
    if site.simulated.contains(&Simulated::MissingMasterIp) {
        return Some(failure("master IP", SIMULATED));
    }
    let Some((address, device)) = site.master_ip() else {
        return Some(failure("master IP", "Ganeti's files name none"));
    };
    match addresses::has(address, device.as_deref()) {
        Ok(true) => None,
        Ok(false) => {
            let device = device.map(|device| format!(" on {device}")).unwrap_or_default();
            Some(failure("master IP", format!("{address} is not{device}")))
        }
        Err(error) => Some(failure("master IP", error.to_string())),
    }
}

/// Returns the failures of this node: noded, confd on a master candidate, the root file system, and storage if the tag
/// asks for it.
#[must_use]
pub fn node(place: &Place, site: &Site, deadline: Deadline) -> Vec<Failure> {
    let mut failures = Vec::new();
    let own = site.own_address();
    if site.simulated.contains(&Simulated::UnresponsiveNoded) {
        failures.push(failure(NODED, SIMULATED));
    } else if let Some(own) = own {
        // noded's version call needs a certificate that only master candidates have. Every node can ask for the TLS
        // handshake.
        if let Err(error) = tcp_check::speaks_tls(own, tcp_check::NODED_PORT, deadline.at_most(EACH)) {
            failures.push(failure(NODED, format!("no answer from {own}: {error}")));
        }
    }
    if site.simulated.contains(&Simulated::UnresponsiveConfd) {
        failures.push(failure(CONFD, SIMULATED));
    } else if site.rank != NodeRole::Other
        && let Some(own) = own
    {
        match Confd::new(&place.data_dir).and_then(|confd| confd.answers(own, deadline.at_most(EACH))) {
            Ok(true) => {}
            Ok(false) => failures.push(failure(CONFD, format!("no answer from {own}"))),
            Err(error) => failures.push(failure(CONFD, error.to_string())),
        }
    }
    if site.simulated.contains(&Simulated::ReadOnlyRoot) {
        failures.push(failure("root file system", SIMULATED));
    } else if let Err(error) = writable(&place.state_dir, deadline.at_most(EACH)) {
        failures.push(failure("root file system", error.to_string()));
    }
    if site.tags().check_storage {
        failures.extend(storage(site, deadline));
    }
    failures
}

/// Returns the failures of Ganeti's directories of instances' disks, where this node has them. A directory that hangs
/// or is read-only is a failure.
fn storage(site: &Site, deadline: Deadline) -> Vec<Failure> {
    let dirs = STORAGE.into_iter().filter_map(|name| site.ssconf.line(name).ok().flatten()).map(PathBuf::from);
    let failed = |dir: PathBuf| {
        let shown = dir.display().to_string();
        let written =
            in_time(deadline.at_most(EACH), move || if dir.try_exists()? { trial_file::write(&dir) } else { Ok(()) });
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
    let (sender, receiver) = mpsc::channel();
    // A host that cannot start a thread leaves the state unknown, which is not a success.
    std::thread::Builder::new().spawn(move || sender.send(write()))?;
    receiver.recv_timeout(deadline.left()).unwrap_or_else(|_| Err(io::Error::other("a write did not end in time")))
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
