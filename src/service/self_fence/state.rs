//! What the administrator wants of self-fencing, and what it says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::shun::lease_times::LeaseTimes;
use crate::core::shun::readiness::Boot;
use crate::sys::clock::now;
use crate::sys::{identity, state_file};

/// What the administrator wants; it survives boots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredState {
    /// Self-fencing is to be armed.
    pub armed: bool,
}

/// In the state folder.
fn wanted_file(state: &Path) -> PathBuf {
    state.join("self-fence.json")
}

/// What is wanted; nothing was said yet: not armed.
///
/// # Errors
/// When the file cannot be read.
pub fn desired(state: &Path) -> io::Result<DesiredState> {
    Ok(state_file::read(&wanted_file(state))?.unwrap_or_default())
}

/// Keeps what is wanted.
///
/// # Errors
/// What the file system says.
pub fn set_desired(state: &Path, wanted: DesiredState) -> io::Result<()> {
    // From here on others may be told of it, and rely on it for a while after it is not wanted any more.
    if wanted.armed || self::desired(state).map_or(true, |before| before.armed) {
        state_file::write(&promise_file(state), &true)?;
    }
    state_file::write(&wanted_file(state), &wanted)
}

/// In the state folder: there while other nodes may have been told of self-fencing of this host, in this boot or an earlier one.
fn promise_file(state: &Path) -> PathBuf {
    state.join("self-fence-promised.json")
}

/// Forgets what an earlier boot may have promised, once this one is up for longer than that lasts. What cannot be removed is
/// tried again.
pub fn forget_promise(state: &Path, promise: Duration) {
    if uptime() >= promise && promise_file(state).exists() {
        let _ = std::fs::remove_file(promise_file(state));
    }
}

/// How long this host is up; zero where that cannot be told.
fn uptime() -> Duration {
    Duration::from_millis(identity::uptime_ms().unwrap_or_default())
}

/// What this boot is, for [`crate::core::shun::readiness::may_serve`]. What cannot be read is taken for wanted.
#[must_use]
pub fn boot(state: &Path, run: &Path) -> Boot {
    let holds = |status: Status| matches!(status.phase, Phase::Armed | Phase::Disarming | Phase::Lost);
    Boot {
        is_armed: said_now(run).is_some_and(holds),
        is_wanted: desired(state).map_or(true, |wanted| wanted.armed),
        was_promised: promise_file(state).exists(),
        uptime: uptime(),
    }
}

/// In which state self-fencing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It is not wanted, and the watchdog is not open.
    Off,
    /// It is wanted, and has had no lease yet: the watchdog is not open.
    Waiting,
    /// The watchdog is open, and others may rely on it.
    Armed,
    /// It is not wanted any more; its promise to others is not over.
    Disarming,
    /// Its promise is over; the watchdog cannot be closed and is petted whatever comes.
    Free,
    /// The lease has ended: nobody pets the watchdog.
    Lost,
}

/// What self-fencing says of itself, refreshed each second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// When, in milliseconds of the clock since boot.
    pub at_boottime_ms: u64,
    /// Of which boot that is.
    pub boot_id: String,
    /// Its process.
    pub pid: u32,
    /// In which state it is.
    pub phase: Phase,
    /// The watchdog's driver; none while it is not open.
    pub driver: Option<String>,
    /// Its time, in milliseconds.
    pub watchdog_ms: Option<u64>,
    /// Closing it leaves it armed.
    pub nowayout: Option<bool>,
    /// When the questions were sent that the lease counts from, by the clock since boot.
    pub granted_at_ms: Option<u64>,
    /// The candidates whose majority counts.
    pub in_force: BTreeSet<IpAddr>,
    /// For how long the lease holds from now, in milliseconds; none without one.
    pub lease_left_ms: Option<u64>,
    /// What each candidate said last: `may run`, `refuses`, `alive`, `silent`.
    pub candidates: BTreeMap<IpAddr, String>,
    /// Until when the promise to others holds, in milliseconds of the clock since boot, while it is being disarmed.
    pub guaranteed_until_ms: Option<u64>,
    /// The shortest times that others were told since it was armed: a process that is started later keeps no longer ones.
    #[serde(default)]
    pub told: Option<LeaseTimes>,
    /// What keeps it from being armed.
    pub why_not: Option<String>,
    /// What keeps it from answering other nodes that ask whether this one is there.
    #[serde(default)]
    pub answers_nobody: Option<String>,
    /// It runs with real-time priority.
    pub real_time: bool,
}

/// In the run folder: empty after a boot.
#[must_use]
pub fn status_file(run: &Path) -> PathBuf {
    run.join("self-fence-status.json")
}

impl Status {
    /// When the lease was granted last, and by the majority of whom.
    #[must_use]
    pub fn granted(&self) -> Option<(Duration, BTreeSet<IpAddr>)> {
        let granted_ms = self.granted_at_ms.filter(|at| *at <= self.at_boottime_ms && !self.in_force.is_empty())?;
        Some((Duration::from_millis(granted_ms), self.in_force.clone()))
    }
}

/// What self-fencing said of itself last in this boot, whatever its age: the one that is started next goes on from there, in
/// each phase, as others may rely on it in each.
#[must_use]
pub fn last_status(run: &Path) -> Option<Status> {
    let status: Status = state_file::read(&status_file(run)).ok().flatten()?;
    (status.boot_id == identity::incarnation() && status.at_boottime_ms <= now().boottime_ms).then_some(status)
}

/// How old the daemon's own word may be, in milliseconds.
const FRESH_MS: u64 = 5_000;

/// What self-fencing says of itself now; none if it does not run.
#[must_use]
pub fn said_now(run: &Path) -> Option<Status> {
    let status = last_status(run)?;
    (now().boottime_ms.saturating_sub(status.at_boottime_ms) <= FRESH_MS).then_some(status)
}

/// Whether this process runs with real-time priority: `policy` in `proc_pid_stat(5)`: 1 is FIFO, 2 is RR.
pub(super) fn is_real_time() -> bool {
    let policy = || -> io::Result<Option<u32>> {
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        Ok(stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(38)?.parse().ok()))
    };
    matches!(policy(), Ok(Some(1 | 2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::shun::readiness::may_serve;

    /// A boot that is not armed starts no instance while others may take it for one that is: also after it was disarmed.
    #[test]
    fn a_promise_outlives_the_wish_and_the_boot() {
        let folder = tempfile::tempdir().unwrap();
        let (state, run) = (folder.path(), folder.path());
        let early = |boot: Boot| may_serve(Boot { uptime: Duration::ZERO, ..boot }, Duration::from_secs(600));
        assert!(early(boot(state, run)), "nothing was ever wanted");
        set_desired(state, DesiredState { armed: false }).unwrap();
        assert!(early(boot(state, run)), "there was nothing to disarm");
        set_desired(state, DesiredState { armed: true }).unwrap();
        assert!(!early(boot(state, run)));
        set_desired(state, DesiredState { armed: false }).unwrap();
        assert!(!early(boot(state, run)), "disarmed, and the promise is not over");
        forget_promise(state, Duration::MAX);
        assert!(!early(boot(state, run)));
        forget_promise(state, Duration::ZERO);
        assert!(early(boot(state, run)));
        std::fs::write(wanted_file(state), "{").unwrap();
        assert!(!early(boot(state, run)), "what is wanted is not known");
    }
}
