//! Pacemaker's standby, set and taken away by its own tool (crm_attribute(8)).

use std::path::Path;

use crate::core::pacemaker::names::PacemakerName;
use crate::core::pacemaker::standby::{MARK, MARKED, OURS, Own, STANDBY};
use crate::sys::clock::Deadline;
use crate::sys::command::{ProgramError, run};

/// Puts a node on standby, and marks it as ours before: what is marked and not done is no harm.
///
/// # Errors
/// [`ProgramError`].
pub fn set(node: &PacemakerName, deadline: Deadline) -> Result<(), ProgramError> {
    attribute(node, MARK, &["--update", MARKED], deadline)?;
    attribute(node, STANDBY, &["--update", OURS], deadline)
}

/// Takes away what is ours; the mark last, so that what fails is tried again.
///
/// # Errors
/// [`ProgramError`].
pub fn end(node: &PacemakerName, own: Own, deadline: Deadline) -> Result<(), ProgramError> {
    if own.standby {
        attribute(node, STANDBY, &["--delete"], deadline)?;
    }
    if own.mark {
        attribute(node, MARK, &["--delete"], deadline)?;
    }
    Ok(())
}

fn attribute(node: &PacemakerName, name: &str, what: &[&str], deadline: Deadline) -> Result<(), ProgramError> {
    let words = [&["--node", node.as_str(), "--lifetime", "forever", "--name", name], what].concat();
    run(Path::new("crm_attribute"), &words, &[], deadline).map(drop)
}
