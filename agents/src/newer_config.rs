//! Keeps on disk the newest configuration that this node has seen at another candidate and does not have, so that a boot
//! does not lose the fact. Sources: confd of the candidates, and Ganeti's files.

use std::time::Duration;

use gnt_ha::core::roles::NodeRole;
use gnt_ha::core::roles::master_claims::{AHEAD_MOST, MasterClaim, NewerConfig, unlikely_claim, update_newer_config};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::newer_config::{FILE, read};
use gnt_ha::sys::output;
use gnt_ha::sys::store::{DISK_LIMIT, Store};

use crate::ganeti_view::GanetiView;
use crate::paths::AgentPaths;

/// The time limit of the requests to the peers' confd; on a network that works they answer within 1 ms.
pub const PEER_LIMIT: Duration = Duration::from_millis(300);

/// Asks the candidates and updates the file. Where this host serves the role, its own configuration is the valid one
/// and the file is removed.
pub fn update(paths: &AgentPaths, ganeti: &GanetiView, deadline: Deadline) {
    if ganeti.rank == NodeRole::Other {
        return;
    }
    if paths.is_listening() {
        // A file that cannot be removed is older than the configuration that is served here. A later monitor removes
        // it.
        let _ = Store::new(&paths.state_dir).remove(FILE);
        return;
    }
    keep(paths, &ganeti.master_claims(paths, deadline.at_most(PEER_LIMIT)));
}

fn keep(paths: &AgentPaths, claims: &[MasterClaim]) {
    // Without this node's own serial number the age of its copy is unknown.
    let Some(own) = claims.iter().find(|claim| claim.own).map(|claim| claim.serial) else { return };
    if let Some(MasterClaim { from, master, serial, .. }) = unlikely_claim(own, claims) {
        output::print_error(&format!(
            "{from} names {master} (serial {serial}), more than {AHEAD_MOST} ahead of {own} here: not remembered, as no other \
             candidate is as far"
        ));
    }
    // A file that cannot be read is left for the administrator: it may hold a fact that no other host has any more.
    let Ok(before) = read(&paths.state_dir) else { return };
    let after = update_newer_config(before.clone(), own, claims);
    if after != before {
        let store = Store::new(&paths.state_dir);
        // If the disk cannot be written, the store keeps the text until the next boot.
        let _ = match after {
            Some(newer) => store.write(FILE, &newer, DISK_LIMIT).map(drop),
            None => store.remove(FILE),
        };
    }
}

/// Returns the newer configuration that this node has seen and does not have. `own` is the serial number of its own
/// configuration.
#[must_use]
pub fn if_newer(paths: &AgentPaths, own: Option<u64>) -> Option<(u64, NewerConfig)> {
    let own = own.unwrap_or(0);
    // A file that cannot be read must not allow this node to take the role: its copy may be old.
    let unreadable =
        |_| Some(NewerConfig { serial: u64::MAX, master: "a damaged newer-config.json".to_owned(), confirmed: true });
    let newer = read(&paths.state_dir).unwrap_or_else(unreadable);
    newer.filter(|newer| newer.blocks_role(own)).map(|newer| (own, newer))
}
