//! What this node has heard of newer configurations than its own, kept on disk: a boot must not make it forget.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use gnt_ha::core::roles::Rank;
use gnt_ha::core::roles::words::{Heard, Word, hear};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::state_file;

use crate::site::{Place, Site};

/// How long the peers' confd are waited for; on a network that works they answer within a millisecond.
pub const PEERS: Duration = Duration::from_millis(300);

/// Listens to the candidates, unless the role is served here: then this configuration is the one that counts.
pub fn listen(place: &Place, site: &Site, deadline: Deadline) {
    if site.rank == Rank::Other {
        return;
    }
    if place.is_listening() {
        // What cannot be removed is older than what is served here, and is removed by a later monitor.
        let _ = std::fs::remove_file(path(place));
        return;
    }
    keep(place, &site.words(place, deadline.at_most(PEERS)));
}

fn keep(place: &Place, words: &[Word]) {
    // Without its own serial number nothing tells how old this node's copy is.
    let Some(own) = words.iter().find(|word| word.own).map(|word| word.serial) else { return };
    // What cannot be read is left for whoever looks: it may hold what nobody else knows any more.
    let Ok(before) = read(place) else { return };
    let after = hear(before.clone(), own, words);
    if after != before {
        let _ = match after {
            Some(heard) => state_file::write(&path(place), &heard),
            None => std::fs::remove_file(path(place)),
        };
    }
}

/// What was heard and missed by this node, whose configuration has the serial `own`.
#[must_use]
pub fn missed(place: &Place, own: Option<u64>) -> Option<(u64, Heard)> {
    let own = own.unwrap_or(0);
    // A file that cannot be read is no licence to take the role with a copy that may be old.
    let unreadable = |_| Some(Heard { serial: u64::MAX, master: "a damaged heard.json".to_owned(), missed: true });
    let heard = read(place).unwrap_or_else(unreadable);
    heard.filter(|heard| heard.missed && heard.serial > own).map(|heard| (own, heard))
}

fn read(place: &Place) -> io::Result<Option<Heard>> {
    state_file::read(&path(place))
}

fn path(place: &Place) -> PathBuf {
    place.state_dir.join("heard.json")
}
