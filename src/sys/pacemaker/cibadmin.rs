//! Copies of Pacemaker's configuration and state for trying a change, and changes of the running cluster, both with
//! Pacemaker's tools.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{PacemakerError, answer};
use crate::core::pacemaker::names::PacemakerName;
use crate::core::pacemaker::simulation::{Death, lost_node_state, without_quorum};
use crate::sys::clock::Deadline;

/// Merges a fragment; what the fragment does not name stays (cibadmin(8)).
const MERGE: [&str; 4] = ["--modify", "--allow-create", "--xml-pipe", "--sync-call"];

/// Deletes one element, by its id.
const DELETE: [&str; 3] = ["--delete", "--xml-pipe", "--sync-call"];

/// Reads the configuration and state of the running cluster.
///
/// # Errors
/// [`PacemakerError`] if Pacemaker does not run here or `cibadmin` fails.
pub fn query(deadline: Deadline) -> Result<String, PacemakerError> {
    if super::started_ms().is_none() {
        return Err(PacemakerError::NotHere);
    }
    answer("cibadmin", &["--query"], &[], &[], deadline)
}

/// Merges `fragment` into the configuration of the running cluster.
///
/// # Errors
/// [`PacemakerError`] if `cibadmin` fails.
pub fn merge(fragment: &str, deadline: Deadline) -> Result<(), PacemakerError> {
    answer("cibadmin", &MERGE, &[], fragment.as_bytes(), deadline).map(drop)
}

/// Deletes one element, by its id, from the configuration of the running cluster.
///
/// # Errors
/// [`PacemakerError`] if `cibadmin` fails.
pub fn delete(element: &str, deadline: Deadline) -> Result<(), PacemakerError> {
    answer("cibadmin", &DELETE, &[], element.as_bytes(), deadline).map(drop)
}

/// A copy of the configuration in a directory of its own; dropping this value deletes both.
pub struct CibCopy {
    dir: PathBuf,
    file: PathBuf,
}

impl CibCopy {
    /// Writes the copy below `run`, which the next boot empties. The file has mode 0600, as the configuration may
    /// contain passwords.
    ///
    /// # Errors
    /// [`PacemakerError::File`] if the directory or the file cannot be made.
    pub fn begin(run: &Path, cib: &str) -> Result<Self, PacemakerError> {
        let dir = run.join(format!("cib-copy-{}", std::process::id()));
        let file = dir.join("cib.xml");
        let write = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
            let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
            open.write_all(cib.as_bytes())
        };
        let written = write();
        let copy = Self { dir, file };
        written.map_err(|error| PacemakerError::File { path: copy.file.clone(), error })?;
        Ok(copy)
    }

    /// Merges `fragment` into the copy.
    ///
    /// # Errors
    /// [`PacemakerError`] if `cibadmin` fails.
    pub fn merge(&self, fragment: &str, deadline: Deadline) -> Result<(), PacemakerError> {
        self.cibadmin(&MERGE, fragment, deadline)
    }

    /// Deletes one element, by its id, from the copy.
    ///
    /// # Errors
    /// [`PacemakerError`] if `cibadmin` fails.
    pub fn delete(&self, element: &str, deadline: Deadline) -> Result<(), PacemakerError> {
        self.cibadmin(&DELETE, element, deadline)
    }

    fn cibadmin(&self, words: &[&str], xml: &str, deadline: Deadline) -> Result<(), PacemakerError> {
        let environment = [("CIB_file", self.file.display().to_string())];
        answer("cibadmin", words, &environment, xml.as_bytes(), deadline).map(drop)
    }

    /// Checks the copy with crm_verify(8).
    ///
    /// # Errors
    /// [`PacemakerError::Failed`] with the faults that it finds; [`PacemakerError::Start`] if it cannot be started.
    pub fn verify(&self, deadline: Deadline) -> Result<(), PacemakerError> {
        let file = self.file.display().to_string();
        answer("crm_verify", &["--verbose", "--xml-file", &file], &[], &[], deadline).map(drop)
    }

    /// Simulates what Pacemaker would do with the copy: now or after this death, with the quorum of now or without
    /// quorum. Returns the output of `crm_simulate --output-as=xml`.
    ///
    /// # Errors
    /// [`PacemakerError`] if a file cannot be written, the node has no state, or a tool fails.
    pub fn simulate(
        &self,
        death: Option<&Death>,
        keeps_quorum: bool,
        deadline: Deadline,
    ) -> Result<String, PacemakerError> {
        let file = match death {
            Some(Death::Member(node)) => self.lose(node, deadline)?,
            Some(Death::Connection(failed)) => self.fail(failed, deadline)?,
            None => self.file.clone(),
        };
        let file = if keeps_quorum { file } else { self.lose_quorum(&file)? };
        let file = file.display().to_string();
        answer("crm_simulate", &["--simulate", "--output-as=xml", "--xml-file", &file], &[], &[], deadline)
    }

    /// Writes a copy of `file` without quorum. `crm_simulate --quorum` changes nothing (tested with 2.1.5).
    fn lose_quorum(&self, file: &Path) -> Result<PathBuf, PacemakerError> {
        let path = self.dir.join("without-quorum.xml");
        let failed = |error| PacemakerError::File { path: path.clone(), error };
        let cib = fs::read_to_string(file).map_err(failed)?;
        fs::write(&path, without_quorum(&cib)).map_err(failed)?;
        Ok(path)
    }

    /// Writes a second copy, in which corosync has lost `node`. `crm_simulate --node-fail` changes its input in the
    /// same way. But in Pacemaker 3.0.0 it prints no transition then, and it aborts for an unknown name.
    fn lose(&self, node: &PacemakerName, deadline: Deadline) -> Result<PathBuf, PacemakerError> {
        let path = self.dir.join("lost.xml");
        let failed = |error| PacemakerError::File { path: path.clone(), error };
        let cib = fs::read_to_string(&self.file).map_err(failed)?;
        let state = lost_node_state(&cib, node).ok_or_else(|| PacemakerError::NoState(node.clone()))?;
        fs::copy(&self.file, &path).map_err(failed)?;
        let environment = [("CIB_file", path.display().to_string())];
        let words = [&MERGE[..], &["--scope", "status"]].concat();
        answer("cibadmin", &words, &environment, state.as_bytes(), deadline)?;
        Ok(path)
    }

    /// Writes a second copy, in which the operation `failed` of a connection has failed. In Pacemaker 3.0.0,
    /// `crm_simulate` prints no transition if it also changes its input.
    fn fail(&self, failed: &str, deadline: Deadline) -> Result<PathBuf, PacemakerError> {
        let path = self.dir.join("failed.xml");
        let (from, to) = (self.file.display().to_string(), path.display().to_string());
        let words = ["--xml-file", &from, "--op-inject", failed, "--save-input", &to];
        answer("crm_simulate", &words, &[], &[], deadline)?;
        Ok(path)
    }
}

impl Drop for CibCopy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}
