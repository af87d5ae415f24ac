//! What this node has heard of newer configurations than its own, kept on disk: a boot must not make it forget.

use std::time::Duration;

use gnt_ha::core::roles::NodeRole;
use gnt_ha::core::roles::master_claims::{AHEAD_MOST, MasterClaim, NewerConfig, unlikely, update_newer_config};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::newer_config::{FILE, read};
use gnt_ha::sys::output;
use gnt_ha::sys::store::{PATIENCE, Store};

use crate::site::{Place, Site};

/// How long the peers' confd are waited for; on a network that works they answer within a millisecond.
pub const PEERS: Duration = Duration::from_millis(300);

/// Listens to the candidates, unless the role is served here: then this configuration is the one that counts.
pub fn listen(place: &Place, site: &Site, deadline: Deadline) {
    if site.rank == NodeRole::Other {
        return;
    }
    if place.is_listening() {
        // What cannot be removed is older than what is served here, and is removed by a later monitor.
        let _ = Store::new(&place.state_dir).remove(FILE);
        return;
    }
    keep(place, &site.words(place, deadline.at_most(PEERS)));
}

fn keep(place: &Place, words: &[MasterClaim]) {
    // Without its own serial number nothing tells how old this node's copy is.
    let Some(own) = words.iter().find(|word| word.own).map(|word| word.serial) else { return };
    if let Some(MasterClaim { from, master, serial, .. }) = unlikely(own, words) {
        output::print_error(&format!(
            "{from} names {master} (serial {serial}), more than {AHEAD_MOST} ahead of {own} here: not remembered, as no other \
             candidate is as far"
        ));
    }
    // What cannot be read is left for whoever looks: it may hold what nobody else knows any more.
    let Ok(before) = read(&place.state_dir) else { return };
    let after = update_newer_config(before.clone(), own, words);
    if after != before {
        let store = Store::new(&place.state_dir);
        // On a disk that takes nothing it is kept until the next boot.
        let _ = match after {
            Some(heard) => store.write(FILE, &heard, PATIENCE).map(drop),
            None => store.remove(FILE),
        };
    }
}

/// What was heard and missed by this node, whose configuration has the serial `own`.
#[must_use]
pub fn missed(place: &Place, own: Option<u64>) -> Option<(u64, NewerConfig)> {
    let own = own.unwrap_or(0);
    // A file that cannot be read is no licence to take the role with a copy that may be old.
    let unreadable =
        |_| Some(NewerConfig { serial: u64::MAX, master: "a damaged newer-config.json".to_owned(), missed: true });
    let heard = read(&place.state_dir).unwrap_or_else(unreadable);
    heard.filter(|heard| heard.is_missed(own)).map(|heard| (own, heard))
}
