//! Runs `ganeti-oob`, the only program that shuns and readmits nodes on all other nodes.

use std::path::Path;
use std::time::Duration;

use crate::core::ganeti::oob::DEADLINE_VARIABLE;
use crate::core::survey::Survey;
use crate::sys::clock::Deadline;
use crate::sys::command::{ProgramError, run_with};
use crate::sys::every_node;

/// The path at which `make install` installs the program.
const PROGRAM: &str = "/usr/lib/gnt-ha/ganeti-oob";

/// The part of the time limit that the program has for its last message.
const KEPT: Duration = Duration::from_millis(500);

/// Returns the program's survey of the other nodes and of this host.
///
/// # Errors
/// One line with the reason why there is no survey.
pub(super) fn survey(config: &Path, deadline: Deadline) -> Result<Survey, String> {
    every_node::ask_ours(Path::new(PROGRAM), &["survey", "--config", &config.display().to_string()], deadline)
}

/// Runs the program with these arguments and returns its stdout.
///
/// # Errors
/// The program's own error line, without its name; or why it could not run.
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
