//! Drains Ganeti's job queue for a planned move of the master role, and opens the queue again.

use std::io;
use std::time::Duration;

use gnt_ha::core::ganeti::tags::Mode;
use gnt_ha::sys::clock::{Deadline, now};
use gnt_ha::sys::ganeti::luxi::{Luxi, LuxiError};
use gnt_ha::sys::store::{PATIENCE, Store};

use super::QUESTION;
use crate::checks;
use crate::heard::PEERS;
use crate::site::{Place, Site};

/// The file that records that this program drained the queue. Ganeti's own flag outlives a boot, and so does this file.
const DRAINED_BY_US: &str = "queue-drained.json";

/// The divisor of the time left: running jobs are waited for during a third of it.
const DRAIN_SHARE: u32 = 3;

/// The pause between two counts of the running jobs.
const DRAIN_PAUSE: Duration = Duration::from_millis(200);

/// The most that the daemons may take to show that they work.
const WORKS: Duration = Duration::from_secs(1);

/// Whether this stop is a planned one: the parts that the role needs still work. No job ends without wconfd, and a
/// recovery must not be delayed. `site` is given if Ganeti's files can be read.
pub(super) fn is_planned(place: &Place, site: Option<&Site>, deadline: Deadline) -> bool {
    let soon = deadline.at_most(WORKS);
    match site {
        Some(site) if site.tags().master_mode == Mode::Full => {
            let words = site.words(place, soon.at_most(PEERS));
            checks::master(place, site, &words, soon).is_empty()
        }
        _ => checks::wconfd(place, soon).is_none(),
    }
}

/// Drains the queue and waits for running jobs, for a part of the time. The stop goes on after any error.
pub(super) fn drain(place: &Place, deadline: Deadline) {
    let until = deadline.at_most(deadline.left() / DRAIN_SHARE);
    let question = || Luxi::connect(&place.luxid(), until.at_most(QUESTION));
    match question().and_then(|mut luxi| luxi.is_drained()) {
        // The administrator drained it, and opens it again; or an earlier stop of this program did, and was killed.
        Ok(true) => {}
        // The file is written first, as the agent may be killed between the two steps. Without the file the queue is
        // not drained.
        Ok(false) => match mark(place).map(|()| question().and_then(|mut luxi| luxi.set_drain_flag(true))) {
            // With a dead candidate Ganeti confirms only after 5 s or more; the flag is set long before.
            Ok(Ok(()) | Err(LuxiError::Unconfirmed)) => {}
            Ok(Err(_)) | Err(_) => return,
        },
        Err(_) => return,
    }
    while question().and_then(|mut luxi| luxi.jobs_under_way()).is_ok_and(|jobs| jobs > 0) && !until.passed() {
        until.sleep(DRAIN_PAUSE);
    }
}

/// Opens the queue if this program drained it for a move and the role is here after all. An opening that is not
/// confirmed is tried again at the next monitor: a drained queue also takes no job that records a dead node.
///
/// Asks luxid first: a failover opens the queue by itself, and Ganeti cannot open a queue that is open
/// (`src/Ganeti/Query/Server.hs`).
pub(super) fn take_jobs(place: &Place, deadline: Deadline) {
    if !store(place).has(DRAINED_BY_US) {
        return;
    }
    let question = || Luxi::connect(&place.luxid(), deadline.at_most(QUESTION));
    let opened = question().and_then(|mut luxi| if luxi.is_drained()? { luxi.set_drain_flag(false) } else { Ok(()) });
    if opened.is_ok() {
        forget(place);
    }
}

/// Forgets that this program drained the queue. The role is on another node, and taking it opened the queue
/// (`lib/bootstrap.py`): any later drain is not ours.
pub(super) fn forget(place: &Place) {
    // A file that cannot be removed now is removed at the next monitor.
    let _ = store(place).remove(DRAINED_BY_US);
}

fn mark(place: &Place) -> io::Result<()> {
    store(place).write(DRAINED_BY_US, &now(), PATIENCE).map(drop)
}

fn store(place: &Place) -> Store {
    Store::new(&place.state_dir)
}
