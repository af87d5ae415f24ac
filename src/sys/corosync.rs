//! Reads corosync's timeouts and quorum on this host, with its tools and from its configuration.

use std::path::Path;

use super::clock::Deadline;
use super::command::{report, run};
use crate::core::budget::detection::Totem;
use crate::core::quorum::Quorum;

/// The configuration file of corosync.
const CONF: &str = "/etc/corosync/corosync.conf";

/// The prefix of the keys with the times that corosync has computed (cmap_keys(7)).
const RUNTIME: &str = "runtime.config.totem";

/// The prefix of the keys for votes and quorum devices (cmap_keys(7)).
const QUORUM: &str = "quorum.";

/// Returns how corosync counts votes, in this host's partition.
///
/// # Errors
/// One line with the reason, if a tool fails or its output cannot be parsed.
pub fn quorum(deadline: Deadline) -> Result<Quorum, String> {
    let not_known = |error: String| format!("how corosync counts votes is not known: {error}");
    let cmap =
        run(Path::new("corosync-cmapctl"), &[QUORUM], &[], deadline).map_err(|error| not_known(error.to_string()))?;
    // `corosync-quorumtool` exits with 2 if there is no quorum.
    let tool =
        report(Path::new("corosync-quorumtool"), &["-s"], deadline).map_err(|error| not_known(error.to_string()))?;
    Quorum::parse(&cmap, &tool)
        .ok_or_else(|| not_known("what corosync-quorumtool -s prints is not understood".to_owned()))
}

/// Returns corosync's timeouts from the running daemon, or from its configuration if the daemon does not answer.
///
/// # Errors
/// One line with the reason, if the configuration cannot be read or parsed either.
pub fn totem(deadline: Deadline) -> Result<Totem, String> {
    let running = run(Path::new("corosync-cmapctl"), &[RUNTIME], &[], deadline);
    if let Some(totem) = running.ok().as_deref().and_then(Totem::of_cmap) {
        return Ok(totem);
    }
    let text = std::fs::read_to_string(CONF).map_err(|error| format!("cannot read {CONF}: {error}"))?;
    Totem::of_conf(&text).ok_or_else(|| format!("{CONF} is not understood"))
}
