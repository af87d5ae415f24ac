//! `gnt-ha setup --update`: brings what setup has made in line with Ganeti's nodes.

use super::super::error::CommandError;
use super::super::paths::Paths;
use super::form::{PlanForm, shown};
use crate::cli;
use crate::service::setup::update::SetupUpdate;
use crate::sys::clock::Deadline;

/// Updates what setup has made, after the changes were shown. Returns whether it is in line with Ganeti's nodes.
///
/// # Errors
/// [`CommandError`] if a configuration cannot be read, or the change was not made.
pub fn update(paths: &Paths, dry_run: bool, deadline: Deadline) -> Result<bool, CommandError> {
    let Some(update) = SetupUpdate::plan(&paths.data_dir, deadline)? else { return Ok(true) };
    cli::show(&shown(&update.parts, PlanForm::Table))?;
    if dry_run {
        return Ok(false);
    }
    update.apply(deadline)?;
    Ok(true)
}
