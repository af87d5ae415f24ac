//! Pacemaker's configuration on this host: read from the file that pacemaker-based keeps, written by Pacemaker's tools.
//!
//! The file follows a change on each full member at once (within 30 ms, measured). Where Pacemaker does not run it is as
//! old as that; a remote node has none.

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

/// Where pacemaker-based keeps it.
pub const FILE: &str = "/var/lib/pacemaker/cib/cib.xml";

/// The most that such a file may hold, in bytes.
const LIMIT: u64 = 32 * 1024 * 1024;

/// The set of properties that is ours.
const SET: &str = "--set-name=gnt-ha";

/// For how long the file may show what was there before.
const SOON: Duration = Duration::from_secs(1);

/// How often the file is looked at while a change is waited for.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Why the configuration is not known.
#[derive(Debug, thiserror::Error)]
pub enum CibError {
    /// No such file.
    #[error(
        "there is no {}: Pacemaker has never run on this host as a full member, so whether the cluster is paused \
         cannot be known here", .0.display()
    )]
    Absent(PathBuf),
    /// It is there and cannot be read.
    #[error("cannot read {}, so whether the cluster is paused cannot be known: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It was read and cannot be used.
    #[error("cannot use {}, so whether the cluster is paused cannot be known: {error}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// Why.
        error: BadCib,
    },
}

impl CibError {
    /// The same for whoever asks for something else than a pause.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Absent(path) => format!("there is no {}", path.display()),
            Self::Unreadable { path, error } => format!("{} cannot be read: {error}", path.display()),
            Self::Bad { path, error } => format!("{} cannot be used: {error}", path.display()),
        }
    }
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Pacemaker's tool.
    #[error(transparent)]
    Tool(#[from] ProgramError),
    /// What was changed is not seen in the file.
    #[error("crm_attribute succeeded, but {} does not contain the change (crm_attribute --type crm_config --name {PAUSE} --query)", .0.display())]
    NotSeen(PathBuf),
    /// The file.
    #[error(transparent)]
    Cib(#[from] CibError),
}

/// Reads it. `power_agents` are agents that the configuration names as such that switch power.
///
/// # Errors
/// [`CibError`].
pub fn read(path: &Path, power_agents: &BTreeSet<String>) -> Result<Cib, CibError> {
    Cib::parse(&text(path)?, power_agents).map_err(|error| CibError::Bad { path: path.to_owned(), error })
}

/// Reads what the administrator has configured; none where Pacemaker has never run.
///
/// # Errors
/// [`CibError`], but never [`CibError::Absent`].
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
    let whole = File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_string(&mut text));
    match whole {
        Ok(_) if text.len() as u64 > LIMIT => {
            let error = io::Error::other(format!("it has more than {LIMIT} bytes"));
            Err(CibError::Unreadable { path: path.to_owned(), error })
        }
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(CibError::Absent(path.to_owned())),
        Err(error) => Err(CibError::Unreadable { path: path.to_owned(), error }),
    }
}

/// Pauses the whole cluster, and returns when this host's file has it.
///
/// # Errors
/// [`ChangeError`].
pub fn set_pause(path: &Path, pause: &Pause, deadline: Deadline) -> Result<(), ChangeError> {
    // One word with its value, which may begin with a dash.
    let update = format!("--update={}", pause.to_property());
    change(&[SET, &update], deadline)?;
    // Somebody else's may stand before it.
    wait_until(path, deadline, |cib| cib.pause.is_some())
}

/// Takes the pause of the cluster away, and returns when this host's file has none.
///
/// # Errors
/// [`ChangeError`].
pub fn delete_pause(path: &Path, deadline: Deadline) -> Result<(), ChangeError> {
    change(&[SET, "--delete"], deadline)?;
    match wait_until(path, deadline.at_most(SOON), |cib| cib.pause.is_none()) {
        // Somebody put one into another set.
        Err(ChangeError::NotSeen(_)) => change(&["--delete"], deadline)?,
        seen => return seen,
    }
    wait_until(path, deadline, |cib| cib.pause.is_none())
}

fn change(what: &[&str], deadline: Deadline) -> Result<(), ProgramError> {
    let words = [&["--type=crm_config", "--name", PAUSE], what].concat();
    run(Path::new("crm_attribute"), &words, &[], deadline).map(drop)
}

fn wait_until(path: &Path, deadline: Deadline, seen: impl Fn(&Cib) -> bool) -> Result<(), ChangeError> {
    loop {
        let cib = read(path, &BTreeSet::new())?;
        match () {
            () if seen(&cib) => return Ok(()),
            () if deadline.passed() => return Err(ChangeError::NotSeen(path.to_owned())),
            () => deadline.sleep(POLL_INTERVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_tells_nothing_allows_least() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cib.xml");
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
