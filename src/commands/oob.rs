//! `ganeti-oob`, which has the other nodes refuse one and let it in again: the one road for everybody who asks for that.

use std::path::Path;
use std::time::Duration;

use crate::core::ganeti::oob::DEADLINE_VARIABLE;
use crate::core::survey::Survey;
use crate::sys::clock::Deadline;
use crate::sys::command::{ProgramError, run_with};
use crate::sys::every_node;

/// Where `make install` puts it.
const PROGRAM: &str = "/usr/lib/gnt-ha/ganeti-oob";

/// What is left of the time for its last word.
const KEPT: Duration = Duration::from_millis(500);

/// What it says of the other nodes and of this host.
///
/// # Errors
/// Why it says nothing, in one line.
pub(super) fn survey(config: &Path, deadline: Deadline) -> Result<Survey, String> {
    every_node::ask_ours(Path::new(PROGRAM), &["survey", "--config", &config.display().to_string()], deadline)
}

/// Runs it with these words, and returns what it said.
///
/// # Errors
/// Its own line.
pub(super) fn ask(words: &[&str], config: &Path, limit: Duration) -> Result<String, String> {
    let config = config.to_str().ok_or("the path of the configuration is no text")?;
    let words = [&["--config", config][..], words].concat();
    let seconds = limit.saturating_sub(KEPT).as_secs_f64();
    let environment = [(DEADLINE_VARIABLE, format!("{seconds:.3}"))];
    run_with(Path::new(PROGRAM), &words, &[], &environment, Deadline::after(limit)).map_err(|error| match error {
        ProgramError::Failed { said, .. } => said.trim().trim_start_matches("ganeti-oob: ").to_owned(),
        error => error.to_string(),
    })
}
