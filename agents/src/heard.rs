//! Keeps on disk which configurations newer than its own this node has seen at other candidates, so that a boot does
//! not lose it. Sources: confd of the candidates, and Ganeti's files.

use std::time::Duration;

use gnt_ha::core::roles::NodeRole;
use gnt_ha::core::roles::master_claims::{AHEAD_MOST, MasterClaim, NewerConfig, unlikely, update_newer_config};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::newer_config::{FILE, read};
use gnt_ha::sys::output;
use gnt_ha::sys::store::{PATIENCE, Store};

use crate::site::{Place, Site};

/// The most that the peers' confd are waited for; on a network that works they answer within 1 ms.
pub const PEERS: Duration = Duration::from_millis(300);

/// Asks the candidates and updates the file. Where this host serves the role, its own configuration is the valid one
/// and the file is removed.
pub fn listen(place: &Place, site: &Site, deadline: Deadline) {
    if site.rank == NodeRole::Other {
        return;
    }
    if place.is_listening() {
        // A file that cannot be removed is older than the configuration that is served here. A later monitor removes
        // it.
        let _ = Store::new(&place.state_dir).remove(FILE);
        return;
    }
    keep(place, &site.words(place, deadline.at_most(PEERS)));
}

fn keep(place: &Place, words: &[MasterClaim]) {
    // Without this node's own serial number the age of its copy is unknown.
    let Some(own) = words.iter().find(|word| word.own).map(|word| word.serial) else { return };
    if let Some(MasterClaim { from, master, serial, .. }) = unlikely(own, words) {
        output::print_error(&format!(
            "{from} names {master} (serial {serial}), more than {AHEAD_MOST} ahead of {own} here: not remembered, as no other \
             candidate is as far"
        ));
    }
    // A file that cannot be read is left for the administrator: it may hold what no other host knows any more.
    let Ok(before) = read(&place.state_dir) else { return };
    let after = update_newer_config(before.clone(), own, words);
    if after != before {
        let store = Store::new(&place.state_dir);
        // If the disk cannot be written, the store keeps the text until the next boot.
        let _ = match after {
            Some(heard) => store.write(FILE, &heard, PATIENCE).map(drop),
            None => store.remove(FILE),
        };
    }
}

/// Returns the newer configuration that this node has seen and does not have. `own` is the serial number of its own
/// configuration.
#[must_use]
pub fn missed(place: &Place, own: Option<u64>) -> Option<(u64, NewerConfig)> {
    let own = own.unwrap_or(0);
    // A file that cannot be read must not allow this node to take the role: its copy may be old.
    let unreadable =
        |_| Some(NewerConfig { serial: u64::MAX, master: "a damaged newer-config.json".to_owned(), missed: true });
    let heard = read(&place.state_dir).unwrap_or_else(unreadable);
    heard.filter(|heard| heard.is_missed(own)).map(|heard| (own, heard))
}
