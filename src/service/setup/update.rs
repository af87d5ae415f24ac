//! Brings what a setup has made in line with Ganeti's nodes.

use std::path::Path;

use super::apply::apply;
use super::error::SetupError;
use crate::core::ganeti::config::GanetiConfig;
use crate::core::pacemaker::resources::Resources;
use crate::core::setup::{Part, has_made, of_nodes};
use crate::sys::clock::Deadline;
use crate::sys::ganeti::files;
use crate::sys::pacemaker::{PacemakerError, cibadmin};

/// The changes that follow from Ganeti's nodes.
#[derive(Debug)]
pub struct SetupUpdate {
    /// The parts that are to be changed.
    pub parts: Vec<Part>,
    cib: String,
    ganeti: GanetiConfig,
}

impl SetupUpdate {
    /// Makes the plan; changes nothing. `None` if there is nothing to change, if no setup was made, or if Pacemaker does
    /// not run on this host.
    ///
    /// # Errors
    /// [`SetupError`] if a configuration cannot be read.
    pub fn plan(data_dir: &Path, deadline: Deadline) -> Result<Option<Self>, SetupError> {
        let cib = match cibadmin::query(deadline) {
            Err(PacemakerError::NotHere) => return Ok(None),
            cib => cib?,
        };
        let resources = Resources::parse(&cib)?;
        if !has_made(&resources) {
            return Ok(None);
        }
        let ganeti = files::read_config(data_dir)?;
        let mut parts = of_nodes(&resources, &ganeti);
        parts.retain(|part| part.state.is_open());
        Ok((!parts.is_empty()).then_some(Self { parts, cib, ganeti }))
    }

    /// Makes the changes, after a trial on a copy. Runs within a job of Ganeti's, which holds its locks, and so submits no
    /// job.
    ///
    /// # Errors
    /// [`SetupError`] if a change was not made.
    pub fn apply(&self, deadline: Deadline) -> Result<(), SetupError> {
        apply(&self.cib, &self.parts, &self.ganeti, |after| of_nodes(after, &self.ganeti), deadline)
    }
}
