//! Writes what self-fencing reports of itself: its status, and the report that other nodes rely on.

use super::{Daemon, PROMISE_TIME};
use crate::core::shun::expiry::reset_within_ms;
use crate::core::shun::lease_times::LeaseTimes;
use crate::core::shun::messages::SelfFenceReport;
use crate::service::self_fence::rounds::text;
use crate::service::self_fence::state::{Phase, SelfFenceStatus, is_real_time, status_file};
use crate::service::shun::peer_reports::{StoredSelfFenceReport, self_fence_file};
use crate::sys::clock::now;
use crate::sys::watchdog::Watchdog;
use crate::sys::{identity, state_file};

impl Daemon {
    /// Writes the status for this host, and the report for other nodes while they may rely on self-fencing.
    pub(super) fn report(&mut self) {
        let at = now().boottime_ms;
        let is_relied_on = self.phase == Phase::Armed && self.watchdog.is_some() && self.lease.granted_at().is_some();
        if is_relied_on {
            self.advertised =
                Some(self.advertised.map_or(self.lease_times, |before| self.lease_times.no_longer_than(before)));
        }
        let ends = self.lease.ends().map(|ends| u64::try_from(ends.as_millis()).unwrap_or(u64::MAX));
        let status = SelfFenceStatus {
            at_boottime_ms: at,
            boot_id: identity::incarnation(),
            pid: std::process::id(),
            phase: self.phase,
            driver: self.driver(),
            watchdog_ms: self.watchdog.as_ref().map(|watchdog| watchdog.timeout_ms()),
            nowayout: self.watchdog.as_ref().map(|watchdog| watchdog.nowayout()),
            granted_at_ms: self.lease.granted_at().map(|at| u64::try_from(at.as_millis()).unwrap_or(u64::MAX)),
            in_force: self.lease.candidates().clone(),
            lease_left_ms: ends.and_then(|ends| ends.checked_sub(at)),
            candidates: self
                .rounds
                .last()
                .into_iter()
                .map(|(address, answer)| (address, text(answer).to_owned()))
                .collect(),
            guaranteed_until_ms: self.promised_until.map(|until| u64::try_from(until.as_millis()).unwrap_or(u64::MAX)),
            advertised_times: self.advertised,
            not_armed_reason: self.not_armed_reason.clone(),
            echo_fault: self.rounds.fault().map(ToOwned::to_owned),
            real_time: is_real_time(),
        };
        // The disk may be the device that has failed, so an error of writing does not stop the keepalives. But nothing
        // is reported to other nodes that the next process would not know.
        let is_written = state_file::write_unflushed(&status_file(&self.run), &status).is_ok();
        let armed = self.watchdog.as_ref().filter(|_| is_written && is_relied_on).zip(self.lease.granted_at());
        let Some((watchdog, granted_at)) = armed else {
            if self.phase != Phase::Lost {
                let _ = std::fs::remove_file(self_fence_file(&self.run));
            }
            return;
        };
        let report = SelfFenceReport {
            boot_id: identity::incarnation(),
            driver: watchdog.identity().to_owned(),
            nowayout: watchdog.nowayout(),
            lease_times: self.reported_times(watchdog.as_ref()),
            asks_from: Some(self.own),
            is_virtual: self.is_virtual,
            candidates: self.lease.candidates().iter().copied().collect(),
            guaranteed_for_ms: u64::try_from(PROMISE_TIME.as_millis()).unwrap_or(u64::MAX),
            lease_age_ms: at.saturating_sub(u64::try_from(granted_at.as_millis()).unwrap_or(u64::MAX)),
        };
        let stored = StoredSelfFenceReport { at_boottime_ms: at, report };
        let _ = state_file::write_unflushed(&self_fence_file(&self.run), &stored);
    }

    /// Returns the times with the time within which the watchdog has really reset the host.
    fn reported_times(&self, watchdog: &dyn Watchdog) -> LeaseTimes {
        let set_ms = watchdog.timeout_ms();
        let watchdog_ms = reset_within_ms(watchdog.identity(), set_ms, self.measured.as_ref());
        LeaseTimes { watchdog_ms: watchdog_ms.max(self.lease_times.watchdog_ms), ..self.lease_times }
    }

    /// Returns the driver of the watchdog that is open, or a note if an earlier process has left it armed.
    fn driver(&self) -> Option<String> {
        let open = self.watchdog.as_ref().map(|watchdog| watchdog.identity().to_owned());
        open.or_else(|| self.armed_before.then(|| "armed by an earlier process, and not open yet".to_owned()))
    }
}
