//! Runs `ganeti-oob sync` from time to time, so that shunned nodes stay shunned: it sends the shun list to all nodes
//! and merges their answers.

use std::path::Path;
use std::time::Duration;

use gnt_ha::service::shun::applier;
use gnt_ha::sys::clock::{Deadline, now};
use gnt_ha::sys::command::{ProgramError, run_and_hear};
use gnt_ha::sys::output::print_error;

use crate::paths::AgentPaths;

/// The path at which `make install` installs the program.
const PROGRAM: &str = "/usr/lib/gnt-ha/ganeti-oob";

/// The interval in ms while a node is shunned: a node that was away must get the shun list.
const SHUNNED_MS: u64 = 30_000;

/// The interval in ms otherwise. The nodes' boot ids and self-fencing states must be recent when a node is lost.
const QUIET_MS: u64 = 180_000;

/// The most that a sync may take of a monitor's time.
const LIMIT: Duration = Duration::from_secs(4);

/// The note with the time of the last run, in ms of the clock since boot.
const NOTE: &str = "shun-synced";

/// Runs the sync if it is due. A failure is printed on stderr, and the sync is tried again at its next time.
pub fn sync_if_due(paths: &AgentPaths, deadline: Deadline) {
    let shuns = applier::remembers(&paths.state_dir);
    let pause = if shuns { SHUNNED_MS } else { QUIET_MS };
    let now_ms = now().boottime_ms;
    let last: Option<u64> = paths.markers.note(NOTE).and_then(|text| text.parse().ok());
    if last.is_some_and(|last| last <= now_ms && now_ms - last < pause) || !Path::new(PROGRAM).exists() {
        return;
    }
    // Without the note the sync would run at each monitor.
    if paths.markers.write_note(NOTE, &now_ms.to_string()).is_err() {
        return;
    }
    // A program that succeeds also prints lines, for example of a shunning that is not durable.
    let output = match run_and_hear(Path::new(PROGRAM), &["sync"], deadline.at_most(LIMIT)) {
        Ok(output) | Err(ProgramError::Failed { said: output, .. }) => output,
        Err(error) => error.to_string(),
    };
    for line in output.lines().filter(|line| !line.is_empty()) {
        print_error(&format!("shun: {line}"));
    }
}
