//! Keeps what the administrator wants of self-fencing, in the state directory, and what it reports of itself, in the
//! run directory.

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

/// The state that the administrator wants; it survives boots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredState {
    /// Whether self-fencing is to be armed.
    pub armed: bool,
}

/// Returns the path of the desired state, in the state directory.
fn wanted_file(state: &Path) -> PathBuf {
    state.join("self-fence.json")
}

/// Reads the desired state; not armed if none was ever set.
///
/// # Errors
/// The error of the file system or the parser, if the file exists and cannot be read.
pub fn desired(state: &Path) -> io::Result<DesiredState> {
    Ok(state_file::read(&wanted_file(state))?.unwrap_or_default())
}

/// Writes the desired state, and first that other nodes may rely on self-fencing, if it is or was to be armed.
///
/// # Errors
/// The error of the file system.
pub fn set_desired(state: &Path, wanted: DesiredState) -> io::Result<()> {
    // From here on it may be reported to other nodes, which rely on it for a while after it is disarmed.
    if wanted.armed || self::desired(state).map_or(true, |before| before.armed) {
        state_file::write(&promise_file(state), &true)?;
    }
    state_file::write(&wanted_file(state), &wanted)
}

/// Returns the path of the promise, in the state directory. The file exists while self-fencing of this host may have
/// been reported to other nodes, in this boot or an earlier one.
fn promise_file(state: &Path) -> PathBuf {
    state.join("self-fence-promised.json")
}

/// Removes the promise of an earlier boot once this boot is up for longer than it lasts. A file that cannot be removed
/// is tried again.
pub fn forget_promise(state: &Path, promise: Duration) {
    if uptime() >= promise && promise_file(state).exists() {
        let _ = std::fs::remove_file(promise_file(state));
    }
}

/// Reads for how long this host is up, by the clock since boot; zero if that is unknown.
fn uptime() -> Duration {
    Duration::from_millis(identity::uptime_ms().unwrap_or_default())
}

/// Returns the state of this boot for [`crate::core::shun::readiness::may_serve`]. A desired state that cannot be read
/// counts as armed.
#[must_use]
pub fn boot(state: &Path, run: &Path) -> Boot {
    let holds = |status: SelfFenceStatus| matches!(status.phase, Phase::Armed | Phase::Disarming | Phase::Lost);
    Boot {
        is_armed: current_status(run).is_some_and(holds),
        is_wanted: desired(state).map_or(true, |wanted| wanted.armed),
        was_promised: promise_file(state).exists(),
        uptime: uptime(),
    }
}

/// The phase of self-fencing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Self-fencing is not wanted, and the watchdog is not open.
    Off,
    /// Self-fencing is wanted, and has had no lease yet: the watchdog is not open.
    Waiting,
    /// The watchdog is open, and other nodes may rely on it.
    Armed,
    /// Self-fencing is not wanted any more; its promise to other nodes is not over.
    Disarming,
    /// Its promise is over. The watchdog cannot be closed, and gets keepalives without a lease.
    KeepaliveOnly,
    /// The lease has ended: the watchdog gets no keepalives.
    Lost,
}

/// The report of self-fencing about itself, refreshed each second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelfFenceStatus {
    /// When it was written, in milliseconds of the clock since boot.
    pub at_boottime_ms: u64,
    /// The boot to which that clock belongs.
    pub boot_id: String,
    /// The process id of the service.
    pub pid: u32,
    /// The phase of self-fencing.
    pub phase: Phase,
    /// The driver of the open watchdog, or a note that an earlier process left the watchdog armed; `None` otherwise.
    pub driver: Option<String>,
    /// The timeout of the watchdog, in milliseconds; `None` while it is not open.
    pub watchdog_ms: Option<u64>,
    /// Whether the watchdog stays armed when the device is closed; `None` while it is not open.
    pub nowayout: Option<bool>,
    /// When the questions were sent that the lease counts from, in milliseconds of the clock since boot.
    pub granted_at_ms: Option<u64>,
    /// The candidates whose majority counts.
    pub in_force: BTreeSet<IpAddr>,
    /// For how long the lease lasts from now, in milliseconds; `None` without a lease.
    pub lease_left_ms: Option<u64>,
    /// The last answer of each candidate: `granted`, `denied`, `alive`, `silent`.
    pub candidates: BTreeMap<IpAddr, String>,
    /// Until when the promise to other nodes lasts, in milliseconds of the clock since boot, while self-fencing is
    /// being disarmed.
    pub guaranteed_until_ms: Option<u64>,
    /// The shortest times that were reported to other nodes since self-fencing was armed. A process that is started
    /// later keeps none longer.
    #[serde(default)]
    pub advertised_times: Option<LeaseTimes>,
    /// The reason why self-fencing is not armed, or why other nodes cannot rely on it.
    pub not_armed_reason: Option<String>,
    /// The reason why this node cannot answer the echoes of other nodes.
    #[serde(default)]
    pub echo_fault: Option<String>,
    /// Whether the service runs with real-time priority.
    pub real_time: bool,
}

/// Returns the path of the report, in the run directory, which is empty after a boot.
#[must_use]
pub fn status_file(run: &Path) -> PathBuf {
    run.join("self-fence-status.json")
}

impl SelfFenceStatus {
    /// Returns when the lease was granted last, and the candidates whose majority counted.
    #[must_use]
    pub fn granted(&self) -> Option<(Duration, BTreeSet<IpAddr>)> {
        let granted_ms = self.granted_at_ms.filter(|at| *at <= self.at_boottime_ms && !self.in_force.is_empty())?;
        Some((Duration::from_millis(granted_ms), self.in_force.clone()))
    }
}

/// Reads the last report of self-fencing in this boot, of any age. The next process continues from it in each phase, as
/// other nodes may rely on self-fencing in each.
#[must_use]
pub fn last_status(run: &Path) -> Option<SelfFenceStatus> {
    let status: SelfFenceStatus = state_file::read(&status_file(run)).ok().flatten()?;
    (status.boot_id == identity::incarnation() && status.at_boottime_ms <= now().boottime_ms).then_some(status)
}

/// What a report of another version has in any case.
#[derive(Deserialize)]
struct Remains {
    boot_id: String,
    driver: Option<String>,
}

/// Returns whether an earlier process of this boot left the watchdog armed. The report may be of another version of
/// gnt-ha, and not readable as a whole.
///
/// # Errors
/// The error of the file system or of the parser: then it is unknown.
pub fn left_armed(run: &Path) -> io::Result<bool> {
    let remains: Option<Remains> = state_file::read(&status_file(run))?;
    Ok(remains.is_some_and(|remains| remains.boot_id == identity::incarnation() && remains.driver.is_some()))
}

/// Returns why the report of self-fencing cannot be read, if there is one that this version does not understand.
#[must_use]
pub fn unreadable(run: &Path) -> Option<io::Error> {
    state_file::read::<SelfFenceStatus>(&status_file(run)).err()
}

/// The largest age of a report of the running daemon, in milliseconds.
const FRESH_MS: u64 = 5_000;

/// Reads the present report of self-fencing; `None` if it does not run.
#[must_use]
pub fn current_status(run: &Path) -> Option<SelfFenceStatus> {
    let status = last_status(run)?;
    (now().boottime_ms.saturating_sub(status.at_boottime_ms) <= FRESH_MS).then_some(status)
}

/// Returns whether this process runs with real-time priority, by `policy` in `proc_pid_stat(5)`: 1 is FIFO, 2 is RR.
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

    /// A boot that is not armed starts no instance while other nodes may take it for armed, also after it was disarmed.
    #[test]
    fn a_promise_outlives_the_desired_state_and_the_boot() {
        let dir = tempfile::tempdir().unwrap();
        let (state, run) = (dir.path(), dir.path());
        let early = |boot: Boot| may_serve(Boot { uptime: Duration::ZERO, ..boot }, Duration::from_secs(600));
        assert!(early(boot(state, run)), "no state was ever set");
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
        assert!(!early(boot(state, run)), "the desired state is unknown");
    }

    /// After an upgrade the report is that of another version. A daemon that took it for absent would not open the
    /// watchdog that its predecessor armed, and the host would be reset.
    #[test]
    fn a_report_of_another_version_still_says_that_the_watchdog_is_armed() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path();
        let report = |text: &str| {
            std::fs::write(status_file(run), text).unwrap();
            (last_status(run).is_some(), unreadable(run).is_some(), left_armed(run).ok())
        };
        assert_eq!((unreadable(run).is_some(), left_armed(run).ok()), (false, Some(false)), "it never ran");
        let boot = identity::incarnation();
        let of_another = |driver: &str| format!(r#"{{"boot_id": "{boot}", "phase": "dozing", "driver": {driver}}}"#);
        assert_eq!(report(&of_another("\"iTCO_wdt\"")), (false, true, Some(true)));
        assert_eq!(report(&of_another("null")), (false, true, Some(false)));
        assert_eq!(report(r#"{"boot_id": "another", "driver": "iTCO_wdt"}"#), (false, true, Some(false)));
        assert_eq!(report("{"), (false, true, None));
    }
}
