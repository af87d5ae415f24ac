//! Reads corosync's timeouts and quorum on this host, with its tools and from its configuration.

use std::path::Path;
use std::time::Duration;

use super::clock::Deadline;
use super::command::{ProgramError, report, run};
use crate::core::budget::detection::Totem;
use crate::core::quorum::Quorum;

/// The time limit for corosync's tools, which answer from memory.
pub const COROSYNC_TIMEOUT: Duration = Duration::from_secs(2);

/// The configuration file of corosync.
const CONF: &str = "/etc/corosync/corosync.conf";

/// The prefix of the keys with the times that corosync has computed (cmap_keys(7)).
const RUNTIME: &str = "runtime.config.totem";

/// The prefix of the keys for votes and quorum devices (cmap_keys(7)).
const QUORUM: &str = "quorum.";

/// The reason why corosync's votes or timeouts are unknown.
#[derive(Debug, thiserror::Error)]
pub enum CorosyncError {
    /// A tool failed that reads the votes.
    #[error("corosync's count of votes is unknown: {0}")]
    Votes(ProgramError),
    /// The output of the tools has no valid votes.
    #[error("corosync's count of votes is unknown: cannot parse the output of corosync-quorumtool -s")]
    UnparsedVotes,
    /// corosync does not answer, and its configuration cannot be read.
    #[error("cannot read {CONF}: {0}")]
    Unreadable(std::io::Error),
    /// corosync does not answer, and its configuration is not valid.
    #[error("cannot parse {CONF}")]
    UnparsedConf,
}

/// Returns how corosync counts votes, in this host's partition.
///
/// # Errors
/// [`CorosyncError::Votes`] if a tool fails, [`CorosyncError::UnparsedVotes`] if the output cannot be parsed.
pub fn quorum(deadline: Deadline) -> Result<Quorum, CorosyncError> {
    let cmap = run(Path::new("corosync-cmapctl"), &[QUORUM], &[], deadline).map_err(CorosyncError::Votes)?;
    // `corosync-quorumtool` exits with 2 if there is no quorum.
    let tool = report(Path::new("corosync-quorumtool"), &["-s"], deadline).map_err(CorosyncError::Votes)?;
    Quorum::parse(&cmap, &tool).ok_or(CorosyncError::UnparsedVotes)
}

/// Returns corosync's timeouts from the running daemon, or from its configuration if the daemon does not answer.
///
/// # Errors
/// [`CorosyncError::Unreadable`] or [`CorosyncError::UnparsedConf`], if the configuration cannot be used either.
pub fn totem(deadline: Deadline) -> Result<Totem, CorosyncError> {
    let running = run(Path::new("corosync-cmapctl"), &[RUNTIME], &[], deadline);
    if let Some(totem) = running.ok().as_deref().and_then(Totem::of_cmap) {
        return Ok(totem);
    }
    let text = std::fs::read_to_string(CONF).map_err(CorosyncError::Unreadable)?;
    Totem::of_conf(&text).ok_or(CorosyncError::UnparsedConf)
}
