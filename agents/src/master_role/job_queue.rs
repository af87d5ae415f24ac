//! Drains Ganeti's job queue for a planned move of the master role, and opens the queue again.

use std::io;
use std::time::Duration;

use gnt_ha::core::ganeti::tags::Mode;
use gnt_ha::sys::clock::{Deadline, now};
use gnt_ha::sys::ganeti::luxi::{Luxi, LuxiError};
use gnt_ha::sys::store::{DISK_LIMIT, Store};

use super::REQUEST_LIMIT;
use crate::checks;
use crate::ganeti_view::GanetiView;
use crate::newer_config::PEER_LIMIT;
use crate::paths::AgentPaths;

/// The file that records that this program drained the queue. Ganeti's own flag outlives a boot, and so does this file.
const DRAINED_BY_US: &str = "queue-drained.json";

/// The divisor of the time left: running jobs are waited for during a third of it.
const DRAIN_SHARE: u32 = 3;

/// The pause between two counts of the running jobs.
const DRAIN_PAUSE: Duration = Duration::from_millis(200);

/// The most that the daemons may take to show that they work.
const WORKS_LIMIT: Duration = Duration::from_secs(1);

/// Whether this stop is a planned one: the parts that the role needs still work. No job ends without wconfd, and a
/// recovery must not be delayed. `ganeti` is given if Ganeti's files can be read.
pub(super) fn is_planned(paths: &AgentPaths, ganeti: Option<&GanetiView>, deadline: Deadline) -> bool {
    let soon = deadline.at_most(WORKS_LIMIT);
    match ganeti {
        Some(ganeti) if ganeti.tags().master_mode == Mode::Full => {
            let claims = ganeti.master_claims(paths, soon.at_most(PEER_LIMIT));
            checks::master(paths, ganeti, &claims, soon).is_empty()
        }
        _ => checks::wconfd(paths, soon).is_none(),
    }
}

/// Drains the queue and waits for running jobs, for a part of the time. The stop goes on after any error.
pub(super) fn drain(paths: &AgentPaths, deadline: Deadline) {
    let until = deadline.at_most(deadline.left() / DRAIN_SHARE);
    let connect = || Luxi::connect(&paths.luxid(), until.at_most(REQUEST_LIMIT));
    match connect().and_then(|mut luxi| luxi.is_drained()) {
        // The administrator drained it, and opens it again; or an earlier stop of this program did, and was killed.
        Ok(true) => {}
        // The file is written first, as the agent may be killed between the two steps. Without the file the queue is
        // not drained.
        Ok(false) => match mark(paths).map(|()| connect().and_then(|mut luxi| luxi.set_drain_flag(true))) {
            // With a dead candidate Ganeti confirms only after 5 s or more; the flag is set long before.
            Ok(Ok(()) | Err(LuxiError::Unconfirmed)) => {}
            Ok(Err(_)) | Err(_) => return,
        },
        Err(_) => return,
    }
    while connect().and_then(|mut luxi| luxi.jobs_under_way()).is_ok_and(|jobs| jobs > 0) && !until.passed() {
        until.sleep(DRAIN_PAUSE);
    }
}

/// Opens the queue if this program drained it for a move and the role is here after all. An opening that is not
/// confirmed is tried again at the next monitor: a drained queue also takes no job that records a dead node.
///
/// Asks luxid first: a failover opens the queue by itself, and Ganeti cannot open a queue that is open
/// (`src/Ganeti/Query/Server.hs`).
pub(super) fn take_jobs(paths: &AgentPaths, deadline: Deadline) {
    if !store(paths).has(DRAINED_BY_US) {
        return;
    }
    let connect = || Luxi::connect(&paths.luxid(), deadline.at_most(REQUEST_LIMIT));
    let opened = connect().and_then(|mut luxi| if luxi.is_drained()? { luxi.set_drain_flag(false) } else { Ok(()) });
    if opened.is_ok() {
        forget(paths);
    }
}

/// Forgets that this program drained the queue. The role is on another node, and taking it opened the queue
/// (`lib/bootstrap.py`): any later drain is not ours.
pub(super) fn forget(paths: &AgentPaths) {
    // A file that cannot be removed now is removed at the next monitor.
    let _ = store(paths).remove(DRAINED_BY_US);
}

fn mark(paths: &AgentPaths) -> io::Result<()> {
    store(paths).write(DRAINED_BY_US, &now(), DISK_LIMIT).map(drop)
}

fn store(paths: &AgentPaths) -> Store {
    Store::new(&paths.state_dir)
}
