//! Decides within which time a watchdog resets its host, also where the device is known to be late; touches nothing.
//!
//! Linux 6e7733ef0bb9 ("watchdog: iTCO_wdt: Fix detection of SMI-off case"): on some boards iTCO resets only when its
//! timer has expired twice, while `WDIOC_GETTIMEOUT` reports the time of once.

use serde::{Deserialize, Serialize};

/// The drivers, by their own names, that reset the host on some boards only after twice the reported time.
const LATE: [&str; 1] = ["iTCO_wdt"];

/// A result of `gnt-ha self-fence measure` on this host: with this driver and this timeout the host was reset within
/// that time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measurement {
    /// The watchdog's driver, by its own name.
    pub driver: String,
    /// The timeout of the watchdog, as read back from the device, in milliseconds.
    pub set_ms: u64,
    /// The time from the last keepalive within which the host was reset, in milliseconds.
    pub reset_within_ms: u64,
    /// For how long after the last keepalive the host was seen to run, in milliseconds.
    #[serde(default)]
    pub ran_ms: u64,
    /// When the next boot began, in milliseconds after the last keepalive, by the wall clock; `None` if that clock was
    /// set meanwhile.
    #[serde(default)]
    pub next_boot_ms: Option<u64>,
}

/// Returns within how many milliseconds after the last keepalive the host is reset, for a device that reports `set_ms`.
///
/// A measurement counts only for the driver and the timeout that it was made with. It never makes the time shorter than
/// what the device reports.
#[must_use]
pub fn reset_within_ms(driver: &str, set_ms: u64, measured: Option<&Measurement>) -> u64 {
    match measured.filter(|measured| measured.driver == driver && measured.set_ms == set_ms) {
        Some(measured) => measured.reset_within_ms.max(set_ms),
        None if LATE.contains(&driver) => set_ms.saturating_mul(2),
        None => set_ms,
    }
}

/// Returns whether the driver counts as late until it is measured.
#[must_use]
pub fn is_taken_for_late(driver: &str) -> bool {
    LATE.contains(&driver)
}

/// The allowance, in milliseconds, for the note that the reset interrupted on its way to the disk.
const LOST_MS: u64 = 250;

/// Returns the time within which the host was reset, in milliseconds since the last keepalive; `None` without a note.
/// `stamps_ms` are the notes: milliseconds since the last keepalive, each on the disk before the next one was written.
///
/// After the last note the host has run for less time than the next note took to the disk. That is taken as twice the
/// longest distance between two notes, to be on the safe side, and `LOST_MS`.
#[must_use]
pub fn reset_within_of(stamps_ms: &[u64]) -> Option<u64> {
    let last = *stamps_ms.last()?;
    let gaps = std::iter::once(0).chain(stamps_ms.iter().copied()).zip(stamps_ms.iter().copied());
    let longest = gaps.map(|(before, after)| after.saturating_sub(before)).max()?;
    Some(last.saturating_add(longest.saturating_mul(2)).saturating_add(LOST_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A late watchdog that counts as one in time lets a host run on after it was reported as stopped.
    #[test]
    fn a_driver_that_may_be_late_counts_twice_until_it_is_measured() {
        let measured = |driver: &str, set_ms, reset_within_ms| Measurement {
            driver: driver.to_owned(),
            set_ms,
            reset_within_ms,
            ran_ms: 0,
            next_boot_ms: None,
        };
        assert_eq!(reset_within_ms("iTCO_wdt", 5_000, None), 10_000);
        assert_eq!(reset_within_ms("i6300ESB timer", 5_000, None), 5_000);
        assert_eq!(reset_within_ms("iTCO_wdt", 5_000, Some(&measured("iTCO_wdt", 5_000, 5_300))), 5_300);
        assert_eq!(reset_within_ms("iTCO_wdt", 5_000, Some(&measured("iTCO_wdt", 5_000, 10_200))), 10_200);
        assert_eq!(reset_within_ms("iTCO_wdt", 5_000, Some(&measured("iTCO_wdt", 5_000, 300))), 5_000, "never less");
        assert_eq!(
            reset_within_ms("iTCO_wdt", 9_000, Some(&measured("iTCO_wdt", 5_000, 5_300))),
            18_000,
            "another time"
        );
        assert_eq!(
            reset_within_ms("iTCO_wdt", 5_000, Some(&measured("other", 5_000, 5_300))),
            10_000,
            "another device"
        );
        assert_eq!(
            reset_within_ms("other", 5_000, Some(&measured("other", 5_000, 10_300))),
            10_300,
            "late, and unknown as such"
        );
    }

    #[test]
    fn what_was_measured_is_rounded_away_from_danger() {
        assert_eq!(reset_within_of(&[]), None);
        assert_eq!(reset_within_of(&[50, 100, 150, 5_000]), Some(5_000 + 2 * 4_850 + LOST_MS));
        assert_eq!(reset_within_of(&[50, 100, 150, 200]), Some(550));
    }
}
