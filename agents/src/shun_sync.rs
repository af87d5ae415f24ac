//! Syncs the shun list from time to time, so that shunned nodes stay shunned: sends it to all nodes and merges their
//! answers.

use std::path::Path;
use std::time::Duration;

use gnt_ha::core::config::DEFAULT_PATH;
use gnt_ha::service::shun::applier;
use gnt_ha::service::shun::order_error::OrderError;
use gnt_ha::service::shun::sync::sync;
use gnt_ha::sys::clock::{Deadline, now};
use gnt_ha::sys::config_file::{self, ConfigFileError};
use gnt_ha::sys::output::print_error;

use crate::paths::AgentPaths;

/// The interval in ms while a node is shunned: a node that was away must get the shun list.
const SHUNNED_MS: u64 = 30_000;

/// The interval in ms otherwise. The nodes' boot ids and self-fencing states must be recent when a node is lost.
const QUIET_MS: u64 = 180_000;

/// The most that a sync may take of a monitor's time.
const SYNC_TIMEOUT: Duration = Duration::from_secs(4);

/// The note with the time of the last run, in ms of the clock since boot.
const NOTE: &str = "shun-synced";

/// The reason why no node was asked.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error(transparent)]
    Config(#[from] ConfigFileError),
    #[error(transparent)]
    Order(#[from] OrderError),
}

/// Runs the sync if it is due. A failure is printed on stderr, and the sync is tried again at its next time.
pub fn sync_if_due(paths: &AgentPaths, deadline: Deadline) {
    let shuns = applier::remembers(&paths.state_dir);
    let pause = if shuns { SHUNNED_MS } else { QUIET_MS };
    let now_ms = now().boottime_ms;
    let last: Option<u64> = paths.markers.note(NOTE).and_then(|text| text.parse().ok());
    if last.is_some_and(|last| last <= now_ms && now_ms - last < pause) {
        return;
    }
    // Without the note the sync would run at each monitor.
    if paths.markers.write_note(NOTE, &now_ms.to_string()).is_err() {
        return;
    }
    let lines = sync_now(paths, deadline.at_most(SYNC_TIMEOUT)).unwrap_or_else(|error| vec![error.to_string()]);
    lines.iter().for_each(|line| print_error(&format!("shun: {line}")));
}

/// Returns the lines to report: a sync without a failure also has notes, for example of a shunning that is not durable.
fn sync_now(paths: &AgentPaths, deadline: Deadline) -> Result<Vec<String>, SyncError> {
    let config = config_file::load_or_default(Path::new(DEFAULT_PATH))?;
    let synced = sync(&config, &paths.data_dir, deadline.at_most(config.deadline))?;
    Ok(synced.notes.iter().cloned().chain(synced.failure()).collect())
}
