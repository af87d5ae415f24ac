//! The times of a lease and its watchdog, and how long the shunning side has to wait.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The times that self-fencing keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseTimes {
    /// How long a lease holds from the moment when its question was sent, in milliseconds of the node's clock since boot.
    pub lease_ms: u64,
    /// How long after the last pet the watchdog bites, in milliseconds, as read back from the device.
    pub watchdog_ms: u64,
    /// How wrong the rate of each clock may be, in parts per million.
    pub drift_ppm: u32,
    /// From the bite until nothing is written any more, in milliseconds.
    pub stop_ms: u64,
}

/// The shortest lease or watchdog that another node may claim, in milliseconds. A configuration has at least 2 s, and a device
/// may round what it was set to.
const LEAST_MS: u64 = 1_000;

/// The longest of each time that another node may claim, in milliseconds: a wait that no fencing would last for.
const MOST_MS: u64 = 600_000;

/// The most that a clock's rate may be wrong, in parts per million: as for the configuration.
const DRIFT_MOST_PPM: u32 = 100_000;

impl LeaseTimes {
    /// These times as another node claims them, as far as they can be relied on: with `own`'s drift and stop time at least, as
    /// how wrong clocks are and how long a write may take is not for the one that is waited for to say.
    ///
    /// # Errors
    /// Which time is outside what any node keeps.
    pub fn claimed(self, own: Self) -> Result<Self, String> {
        let lasting =
            [("lease", self.lease_ms, LEAST_MS), ("watchdog", self.watchdog_ms, LEAST_MS), ("stop", self.stop_ms, 0)];
        if let Some((what, ms, least)) = lasting.into_iter().find(|(_, ms, least)| !(*least..=MOST_MS).contains(ms)) {
            return Err(format!("its {what} time is {ms} ms, not between {least} and {MOST_MS} ms"));
        }
        if self.drift_ppm > DRIFT_MOST_PPM {
            return Err(format!("its drift is {} ppm, above {DRIFT_MOST_PPM} ppm", self.drift_ppm));
        }
        Ok(Self { drift_ppm: self.drift_ppm.max(own.drift_ppm), stop_ms: self.stop_ms.max(own.stop_ms), ..self })
    }

    /// How long to wait, on a clock of the same bound, from the moment when enough candidates have refused: by then the
    /// armed node has stopped.
    ///
    /// Twice the watchdog: self-fencing that is stopped (SIGSTOP, a scheduler, a hypervisor) between its look at the lease and
    /// its pet may pet up to a whole watchdog time after the lease has ended, and no process can exclude that.
    #[must_use]
    pub fn bound(self) -> Duration {
        const MILLION: u128 = 1_000_000;
        let drift = u128::from(self.drift_ppm.min(999_999));
        let held = u128::from(self.lease_ms) + 2 * u128::from(self.watchdog_ms);
        let stretched = (held * (MILLION + drift)).div_ceil(MILLION - drift);
        // It goes by in true time, and the clock that waits for its end may be the faster one.
        let stop = (u128::from(self.stop_ms) * (MILLION + drift)).div_ceil(MILLION);
        let all = stretched + stop;
        Duration::from_millis(u64::try_from(all).unwrap_or(u64::MAX))
    }

    /// These, as far as they are no longer than what others were told before: whoever was told waits by that.
    #[must_use]
    pub fn no_longer_than(self, told: Self) -> Self {
        let (lease_ms, watchdog_ms) = (self.lease_ms.min(told.lease_ms), self.watchdog_ms.min(told.watchdog_ms));
        Self { lease_ms, watchdog_ms, ..self }
    }

    /// Whether self-fencing that promised, `age_ms` ago, to keep its discipline for `guaranteed_for_ms` keeps it to the end of
    /// [`LeaseTimes::bound`], whichever clock is the faster one: self-fencing that is disarmed before it has bitten does not bite.
    #[must_use]
    pub fn is_kept(self, age_ms: u64, guaranteed_for_ms: u64) -> bool {
        let bound = u64::try_from(self.bound().as_millis()).unwrap_or(u64::MAX);
        self.is_promised(age_ms.saturating_add(bound), guaranteed_for_ms)
    }

    /// Whether what was promised for `guaranteed_for_ms` is surely not over after `age_ms`, whichever clock is the faster one.
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
        let terms = LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 10_000, stop_ms: 5_000 };
        assert_eq!(terms.bound(), Duration::from_millis(25_455));
        assert_eq!(LeaseTimes { drift_ppm: 0, ..terms }.bound(), Duration::from_secs(25));
    }

    #[test]
    fn whoever_was_told_of_shorter_times_can_still_rely_on_them() {
        let told = LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 0, stop_ms: 5_000 };
        let longer = LeaseTimes { lease_ms: 30_000, ..told };
        assert_eq!(longer.no_longer_than(told).bound(), told.bound());
        let shorter = LeaseTimes { watchdog_ms: 2_000, ..told };
        assert_eq!(shorter.no_longer_than(told), shorter);
        let crossed = LeaseTimes { lease_ms: 3_000, watchdog_ms: 9_000, ..told };
        assert_eq!(crossed.no_longer_than(told), LeaseTimes { lease_ms: 3_000, ..told });
    }

    /// A node that claims clocks without fault or writes that end at once shortens the wait of others by that.
    #[test]
    fn claimed_times_have_a_floor_and_a_ceiling() {
        let own = LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 10_000, stop_ms: 5_000 };
        assert_eq!(own.claimed(own), Ok(own));
        let bare = LeaseTimes { drift_ppm: 0, stop_ms: 0, ..own };
        assert_eq!(bare.claimed(own).unwrap().bound(), own.bound());
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
        let terms = LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 0, stop_ms: 5_000 };
        assert!(terms.is_kept(574_999, 600_000) && !terms.is_kept(575_000, 600_000));
        let drifting = LeaseTimes { drift_ppm: 10_000, ..terms };
        assert!(drifting.is_kept(560_000, 600_000) && !drifting.is_kept(570_000, 600_000));
        assert!(!terms.is_kept(u64::MAX, u64::MAX));
    }
}
