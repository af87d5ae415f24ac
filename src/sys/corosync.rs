//! Corosync on this host: how long it waits before a host is gone.

use std::path::Path;

use super::clock::Deadline;
use super::command::{report, run};
use crate::core::budget::detection::Totem;
use crate::core::quorum::Quorum;

/// Its configuration.
const CONF: &str = "/etc/corosync/corosync.conf";

/// Where the running one keeps what it reckoned itself (cmap_keys(7)).
const RUNTIME: &str = "runtime.config.totem";

/// What is configured of votes and of a quorum device (cmap_keys(7)).
const QUORUM: &str = "quorum.";

/// How it counts votes, in this host's part of the cluster.
///
/// # Errors
/// Why that is not known, in one line.
pub fn quorum(deadline: Deadline) -> Result<Quorum, String> {
    let not_known = |error: String| format!("how corosync counts votes is not known: {error}");
    let cmap =
        run(Path::new("corosync-cmapctl"), &[QUORUM], &[], deadline).map_err(|error| not_known(error.to_string()))?;
    // It ends with 2 where there is no quorum.
    let tool =
        report(Path::new("corosync-quorumtool"), &["-s"], deadline).map_err(|error| not_known(error.to_string()))?;
    Quorum::parse(&cmap, &tool)
        .ok_or_else(|| not_known("what corosync-quorumtool -s prints is not understood".to_owned()))
}

/// Its times, as the running one has them; else by its configuration.
///
/// # Errors
/// Why neither is known, in one line.
pub fn totem(deadline: Deadline) -> Result<Totem, String> {
    let running = run(Path::new("corosync-cmapctl"), &[RUNTIME], &[], deadline);
    if let Some(totem) = running.ok().as_deref().and_then(Totem::of_cmap) {
        return Ok(totem);
    }
    let text = std::fs::read_to_string(CONF).map_err(|error| format!("cannot read {CONF}: {error}"))?;
    Totem::of_conf(&text).ok_or_else(|| format!("{CONF} is not understood"))
}
