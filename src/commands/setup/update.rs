//! `gnt-ha setup --update`: brings what setup has made in line with Ganeti's nodes.

use super::super::error::CommandError;
use super::super::paths::Paths;
use super::apply::apply;
use super::form::{PlanForm, shown};
use crate::cli;
use crate::core::pacemaker::resources::Resources;
use crate::core::setup::{has_made, of_nodes};
use crate::sys::clock::Deadline;
use crate::sys::ganeti::files;
use crate::sys::pacemaker::{PacemakerError, cibadmin};

/// Updates what setup has made; returns whether it is in line with Ganeti's nodes. Runs within a job of Ganeti's, which
/// holds its locks, and so submits no job.
///
/// # Errors
/// [`CommandError`] if a configuration cannot be read, or the change was not made.
pub fn update(paths: &Paths, dry_run: bool, deadline: Deadline) -> Result<bool, CommandError> {
    let cib = match cibadmin::query(deadline) {
        Err(PacemakerError::NotHere) => return Ok(true),
        cib => cib?,
    };
    let resources = Resources::parse(&cib)?;
    if !has_made(&resources) {
        return Ok(true);
    }
    let ganeti = files::read_config(&paths.data_dir)?;
    let mut parts = of_nodes(&resources, &ganeti);
    parts.retain(|part| part.state.is_open());
    if parts.is_empty() {
        return Ok(true);
    }
    cli::show(&shown(&parts, PlanForm::Table))?;
    if dry_run {
        return Ok(false);
    }
    apply(&cib, &parts, &ganeti, |after| of_nodes(after, &ganeti), deadline)?;
    Ok(true)
}
