//! Corosync on this host: how long it waits before a host is gone.

use std::path::Path;

use super::clock::Deadline;
use super::program::run;
use crate::core::budget::loss::Totem;

/// Its configuration.
const CONF: &str = "/etc/corosync/corosync.conf";

/// Where the running one keeps what it reckoned itself (cmap_keys(7)).
const RUNTIME: &str = "runtime.config.totem";

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
