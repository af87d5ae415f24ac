//! Holds the times of a lease and its watchdog, and computes the wait time of the side that shuns; touches nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The times that a self-fencing node keeps, in milliseconds of its clock since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseTimes {
    /// The length of a lease, in milliseconds of the node's clock since boot. It counts from the sending of the
    /// question.
    pub lease_ms: u64,
    /// The time from the last keepalive within which the watchdog resets the host, in milliseconds, as read back from
    /// the device.
    pub watchdog_ms: u64,
    /// The largest error of each clock's rate, in parts per million.
    pub drift_ppm: u32,
    /// The stop time: from the reset until nothing is written any more, in milliseconds.
    pub stop_ms: u64,
}

/// A time that another node claims, and that cannot be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseTimesError {
    /// A lease, watchdog or stop time is out of its range.
    #[error("its {what} time is {ms} ms, not between {least} and {MOST_MS} ms")]
    Range {
        /// Which of the times it is: `lease`, `watchdog` or `stop`.
        what: &'static str,
        /// The time that is claimed, in milliseconds.
        ms: u64,
        /// The least time that may be claimed, in milliseconds.
        least: u64,
    },
    /// The error of the clock's rate is too large.
    #[error("its drift is {0} ppm, above {DRIFT_MOST_PPM} ppm")]
    Drift(u32),
}

/// The shortest lease or watchdog time that another node may claim, in milliseconds. A configuration has at least 2 s,
/// and a device may round the time that it was set to.
const LEAST_MS: u64 = 1_000;

/// The longest lease, watchdog or stop time that another node may claim, in milliseconds. No fencing waits that long.
const MOST_MS: u64 = 600_000;

/// The largest error of a clock's rate that another node may claim, in parts per million. The configuration has the
/// same limit.
const DRIFT_MOST_PPM: u32 = 100_000;

impl LeaseTimes {
    /// Returns the times that another node claims, as far as they can be relied on. The clock error and the stop time
    /// are at least those of `own`: the node that is waited for does not decide them.
    ///
    /// # Errors
    /// [`LeaseTimesError::Range`] if a lease or watchdog time is not between 1 s and 600 s, or a stop time is above
    /// 600 s; [`LeaseTimesError::Drift`] if a clock error is above 100000 ppm.
    pub fn claimed(self, own: Self) -> Result<Self, LeaseTimesError> {
        let lasting =
            [("lease", self.lease_ms, LEAST_MS), ("watchdog", self.watchdog_ms, LEAST_MS), ("stop", self.stop_ms, 0)];
        if let Some((what, ms, least)) = lasting.into_iter().find(|(_, ms, least)| !(*least..=MOST_MS).contains(ms)) {
            return Err(LeaseTimesError::Range { what, ms, least });
        }
        if self.drift_ppm > DRIFT_MOST_PPM {
            return Err(LeaseTimesError::Drift(self.drift_ppm));
        }
        Ok(Self { drift_ppm: self.drift_ppm.max(own.drift_ppm), stop_ms: self.stop_ms.max(own.stop_ms), ..self })
    }

    /// Returns the wait time, from the moment when enough candidates shun the node. After it the armed node has
    /// stopped. It is measured by a clock whose error is at most `drift_ppm`, too, and rounded up to milliseconds.
    ///
    /// The watchdog time counts twice. Self-fencing can be stopped between its check of the lease and its keepalive
    /// (SIGSTOP, a scheduler, a hypervisor). Then it may send one keepalive up to a whole watchdog time after the lease
    /// has ended. No process can exclude that.
    #[must_use]
    pub fn wait_time(self) -> Duration {
        const MILLION: u128 = 1_000_000;
        let drift = u128::from(self.drift_ppm.min(999_999));
        let held = u128::from(self.lease_ms) + 2 * u128::from(self.watchdog_ms);
        let stretched = (held * (MILLION + drift)).div_ceil(MILLION - drift);
        // The stop time passes in true time, and the clock that waits for its end may be the faster one.
        let stop = (u128::from(self.stop_ms) * (MILLION + drift)).div_ceil(MILLION);
        let all = stretched + stop;
        Duration::from_millis(u64::try_from(all).unwrap_or(u64::MAX))
    }

    /// Returns these times with a lease and a watchdog time no longer than in `reported`. Those were reported to other
    /// nodes, which wait by them.
    #[must_use]
    pub fn no_longer_than(self, reported: Self) -> Self {
        let (lease_ms, watchdog_ms) =
            (self.lease_ms.min(reported.lease_ms), self.watchdog_ms.min(reported.watchdog_ms));
        Self { lease_ms, watchdog_ms, ..self }
    }

    /// Returns whether self-fencing keeps its rules to the end of the wait time ([`LeaseTimes::wait_time`]), whichever
    /// clock is the faster one. It promised `age_ms` ago to keep them for `guaranteed_for_ms`. Self-fencing that is
    /// disarmed before the watchdog expires does not reset the host.
    #[must_use]
    pub fn is_kept(self, age_ms: u64, guaranteed_for_ms: u64) -> bool {
        let wait_time_ms = u64::try_from(self.wait_time().as_millis()).unwrap_or(u64::MAX);
        self.is_promised(age_ms.saturating_add(wait_time_ms), guaranteed_for_ms)
    }

    /// Returns whether a promise of `guaranteed_for_ms` certainly still counts after `age_ms`, whichever clock is the
    /// faster one.
    #[must_use]
    pub fn is_promised(self, age_ms: u64, guaranteed_for_ms: u64) -> bool {
        const MILLION: u128 = 1_000_000;
        let drift = u128::from(self.drift_ppm.min(999_999));
        u128::from(age_ms) * (MILLION + drift) < u128::from(guaranteed_for_ms) * (MILLION - drift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_rounded_up_and_covers_both_clocks() {
        let lease_times = LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 10_000, stop_ms: 5_000 };
        assert_eq!(lease_times.wait_time(), Duration::from_millis(25_455));
        assert_eq!(LeaseTimes { drift_ppm: 0, ..lease_times }.wait_time(), Duration::from_secs(25));
    }

    #[test]
    fn a_node_that_knows_shorter_times_can_still_rely_on_them() {
        let reported = LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 0, stop_ms: 5_000 };
        let longer = LeaseTimes { lease_ms: 30_000, ..reported };
        assert_eq!(longer.no_longer_than(reported).wait_time(), reported.wait_time());
        let shorter = LeaseTimes { watchdog_ms: 2_000, ..reported };
        assert_eq!(shorter.no_longer_than(reported), shorter);
        let crossed = LeaseTimes { lease_ms: 3_000, watchdog_ms: 9_000, ..reported };
        assert_eq!(crossed.no_longer_than(reported), LeaseTimes { lease_ms: 3_000, ..reported });
    }

    /// A node that claims exact clocks, or writes that end at once, does not shorten the wait of others.
    #[test]
    fn claimed_times_have_a_floor_and_a_ceiling() {
        let own = LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 10_000, stop_ms: 5_000 };
        assert_eq!(own.claimed(own), Ok(own));
        let bare = LeaseTimes { drift_ppm: 0, stop_ms: 0, ..own };
        assert_eq!(bare.claimed(own).unwrap().wait_time(), own.wait_time());
        assert_eq!(LeaseTimes { stop_ms: 9_000, ..own }.claimed(own).unwrap().stop_ms, 9_000);
        for wrong in [
            LeaseTimes { lease_ms: 999, ..own },
            LeaseTimes { lease_ms: u64::MAX, ..own },
            LeaseTimes { watchdog_ms: 0, ..own },
            LeaseTimes { watchdog_ms: 600_001, ..own },
            LeaseTimes { stop_ms: 600_001, ..own },
            LeaseTimes { drift_ppm: 100_001, ..own },
        ] {
            assert!(wrong.claimed(own).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_promise_has_to_last_for_the_whole_wait() {
        let lease_times = LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 0, stop_ms: 5_000 };
        assert!(lease_times.is_kept(574_999, 600_000) && !lease_times.is_kept(575_000, 600_000));
        let drifting = LeaseTimes { drift_ppm: 10_000, ..lease_times };
        assert!(drifting.is_kept(560_000, 600_000) && !drifting.is_kept(570_000, 600_000));
        assert!(!lease_times.is_kept(u64::MAX, u64::MAX));
    }
}
