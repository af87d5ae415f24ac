//! Ganeti's job queue, drained for a planned move and opened again.

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

/// That we drained the queue. Ganeti's own flag outlives a boot: so does this.
const DRAINED_BY_US: &str = "queue-drained.json";

/// The part of the time that running jobs are waited for.
const DRAIN_SHARE: u32 = 3;

/// How often running jobs are counted.
const DRAIN_PAUSE: Duration = Duration::from_millis(200);

/// How long the daemons may take to show that they work.
const WORKS: Duration = Duration::from_secs(1);

/// Whether this stop is a planned one: what the role needs works still. No job ends without wconfd, and a recovery is
/// the sooner over the better. `site`, if Ganeti's files can be read.
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

/// Lets running jobs end, for a part of the time. Whatever goes wrong here, the stop goes on.
pub(super) fn drain(place: &Place, deadline: Deadline) {
    let until = deadline.at_most(deadline.left() / DRAIN_SHARE);
    let question = || Luxi::connect(&place.luxid(), until.at_most(QUESTION));
    match question().and_then(|mut luxi| luxi.is_drained()) {
        // The administrator's, who opens it again; or ours of a stop that was killed.
        Ok(true) => {}
        // Before it is true, as we may be killed between the two. What cannot be kept cannot be undone.
        Ok(false) => match mark(place).map(|()| question().and_then(|mut luxi| luxi.set_drain_flag(true))) {
            // With a dead candidate Ganeti confirms only after 5 s and more; the flag is set long before.
            Ok(Ok(()) | Err(LuxiError::Unconfirmed)) => {}
            Ok(Err(_)) | Err(_) => return,
        },
        Err(_) => return,
    }
    while question().and_then(|mut luxi| luxi.jobs_under_way()).is_ok_and(|jobs| jobs > 0) && !until.passed() {
        until.sleep(DRAIN_PAUSE);
    }
}

/// The queue takes jobs again, if we drained it for a move and the role is here after all. What is not confirmed is
/// tried again at the next monitor: a queue that stays drained takes no record of a dead node either.
///
/// It is asked first: a failover opens the queue by itself, and Ganeti cannot open one that is open
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

/// The role is elsewhere, and taking it opened the queue (`lib/bootstrap.py`): who drains it from now on is not us.
pub(super) fn forget(place: &Place) {
    // What cannot be removed now is removed at the next monitor.
    let _ = store(place).remove(DRAINED_BY_US);
}

fn mark(place: &Place) -> io::Result<()> {
    store(place).write(DRAINED_BY_US, &now(), PATIENCE).map(drop)
}

fn store(place: &Place) -> Store {
    Store::new(&place.state_dir)
}
