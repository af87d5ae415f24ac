//! Pacemaker's configuration on this host: read from the file that pacemaker-based keeps, changed with Pacemaker's
//! tools.
//!
//! The file contains a change within 30 ms on each full member (measured). On a host where Pacemaker does not run, the
//! file is as old as Pacemaker's last run; a remote node has no such file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::pacemaker::cib::{Cib, PAUSE};
use crate::core::pacemaker::resources::Resources;
use crate::core::pacemaker::tree::BadCib;
use crate::core::reconcile::Pause;
use crate::sys::clock::Deadline;
use crate::sys::command::{ProgramError, run};

/// The file in which pacemaker-based keeps the configuration.
pub const FILE: &str = "/var/lib/pacemaker/cib/cib.xml";

/// The most bytes that such a file may have.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// The property set that belongs to gnt-ha.
const SET: &str = "--set-name=gnt-ha";

/// The time for which the file may still have the old content.
const READ_BACK_TIMEOUT: Duration = Duration::from_secs(1);

/// The interval between two reads of the file while a change is awaited.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The reason why the configuration is unknown.
#[derive(Debug, thiserror::Error)]
pub enum CibError {
    /// The file does not exist: Pacemaker has never run on this host as a full member.
    #[error(
        "there is no {}: Pacemaker has never run on this host as a full member, so it is unknown here \
         whether the cluster is paused", .0.display()
    )]
    Absent(PathBuf),
    /// The file exists and cannot be read.
    #[error("cannot read {}, so it is unknown whether the cluster is paused: {error}", path.display())]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// The error of the file system.
        error: io::Error,
    },
    /// The file was read and is not a valid configuration.
    #[error("cannot use {}, so it is unknown whether the cluster is paused: {error}", path.display())]
    Bad {
        /// The path of the file.
        path: PathBuf,
        /// The fault in the configuration.
        error: BadCib,
    },
}

impl CibError {
    /// Returns the error text for a caller that does not ask for the pause.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Absent(path) => format!("there is no {}", path.display()),
            Self::Unreadable { path, error } => format!("{} cannot be read: {error}", path.display()),
            Self::Bad { path, error } => format!("{} cannot be used: {error}", path.display()),
        }
    }
}

/// The reason why a change was not made, or is not proven.
#[derive(Debug, thiserror::Error)]
pub enum CibChangeError {
    /// Pacemaker's tool ended with an error, or not in time.
    #[error(transparent)]
    Tool(#[from] ProgramError),
    /// The tool succeeded, and the file does not contain the change.
    #[error("crm_attribute succeeded, but {} does not contain the change (crm_attribute --type crm_config --name {PAUSE} --query)", .0.display())]
    NotSeen(PathBuf),
    /// The file cannot be read back.
    #[error(transparent)]
    Cib(#[from] CibError),
}

/// Reads the configuration. `power_agents` are the agents that `config.toml` names as switching power.
///
/// # Errors
/// [`CibError`] if the file does not exist, cannot be read, or is not a valid configuration.
pub fn read(path: &Path, power_agents: &BTreeSet<String>) -> Result<Cib, CibError> {
    Cib::parse(&text(path)?, power_agents).map_err(|error| CibError::Bad { path: path.to_owned(), error })
}

/// Reads the resources, devices, constraints and properties; `None` on a host where Pacemaker has never run.
///
/// # Errors
/// [`CibError::Unreadable`] or [`CibError::Bad`], never [`CibError::Absent`].
pub fn resources(path: &Path) -> Result<Option<Resources>, CibError> {
    match text(path) {
        Err(CibError::Absent(_)) => Ok(None),
        text => match Resources::parse(&text?) {
            Ok(resources) => Ok(Some(resources)),
            Err(error) => Err(CibError::Bad { path: path.to_owned(), error }),
        },
    }
}

fn text(path: &Path) -> Result<String, CibError> {
    let mut text = String::new();
    let whole = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    match whole {
        Ok(_) if text.len() as u64 > MAX_BYTES => {
            let error = io::Error::other(format!("it has more than {MAX_BYTES} bytes"));
            Err(CibError::Unreadable { path: path.to_owned(), error })
        }
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(CibError::Absent(path.to_owned())),
        Err(error) => Err(CibError::Unreadable { path: path.to_owned(), error }),
    }
}

/// Pauses reconciliation in the whole cluster. Returns when the file on this host contains the pause.
///
/// # Errors
/// [`CibChangeError`] if `crm_attribute` fails, or the file does not contain the pause at the deadline.
pub fn set_pause(path: &Path, pause: &Pause, deadline: Deadline) -> Result<(), CibChangeError> {
    // The value is part of the option, as it may begin with a dash.
    let update = format!("--update={}", pause.to_property());
    change(&[SET, &update], deadline)?;
    // A pause in another property set may take precedence, so any pause counts.
    wait_until(path, deadline, |cib| cib.pause.is_some())
}

/// Deletes the pause of the cluster. Returns when the file on this host has no pause.
///
/// # Errors
/// [`CibChangeError`] if `crm_attribute` fails, or the file still contains a pause at the deadline.
pub fn delete_pause(path: &Path, deadline: Deadline) -> Result<(), CibChangeError> {
    change(&[SET, "--delete"], deadline)?;
    match wait_until(path, deadline.at_most(READ_BACK_TIMEOUT), |cib| cib.pause.is_none()) {
        // The pause is in another property set than ours.
        Err(CibChangeError::NotSeen(_)) => change(&["--delete"], deadline)?,
        seen => return seen,
    }
    wait_until(path, deadline, |cib| cib.pause.is_none())
}

fn change(what: &[&str], deadline: Deadline) -> Result<(), ProgramError> {
    let words = [&["--type=crm_config", "--name", PAUSE], what].concat();
    run(Path::new("crm_attribute"), &words, &[], deadline).map(drop)
}

fn wait_until(path: &Path, deadline: Deadline, seen: impl Fn(&Cib) -> bool) -> Result<(), CibChangeError> {
    loop {
        let cib = read(path, &BTreeSet::new())?;
        match () {
            () if seen(&cib) => return Ok(()),
            () if deadline.passed() => return Err(CibChangeError::NotSeen(path.to_owned())),
            () => deadline.sleep(POLL_INTERVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_answer_allows_least() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cib.xml");
        let read = |path: &Path| read(path, &BTreeSet::new());
        assert!(matches!(read(&path), Err(CibError::Absent(_))));
        for text in [&b""[..], b"<cib><configuration>", b"\xff\xfe"] {
            std::fs::write(&path, text).unwrap();
            assert!(read(&path).is_err());
        }
        std::fs::write(&path, "<cib><configuration><crm_config/></configuration></cib>").unwrap();
        assert_eq!(read(&path).unwrap().pause, None);
    }
}
