//! Sets and ends the standby of Pacemaker nodes with Pacemaker's own tool (crm_attribute(8)).

use std::path::Path;

use crate::core::pacemaker::names::PacemakerName;
use crate::core::pacemaker::standby::{MARK, MARKED, OURS, OwnMarks, STANDBY};
use crate::sys::clock::Deadline;
use crate::sys::command::{ProgramError, run};

/// Puts a node on standby, and marks the standby as ours first: a mark without a standby is harmless.
///
/// # Errors
/// [`ProgramError`] if `crm_attribute` cannot be started, fails or times out.
pub fn set(node: &PacemakerName, deadline: Deadline) -> Result<(), ProgramError> {
    attribute(node, MARK, &["--update", MARKED], deadline)?;
    attribute(node, STANDBY, &["--update", OURS], deadline)
}

/// Deletes the attributes that are ours; the mark is the last one, so that a failed deletion is tried again.
///
/// # Errors
/// [`ProgramError`] if `crm_attribute` cannot be started, fails or times out.
pub fn end(node: &PacemakerName, own: OwnMarks, deadline: Deadline) -> Result<(), ProgramError> {
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
