//! Wall clock, boot clock, and deadlines on the monotonic clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use crate::core::receipt::Timestamp;

/// Returns the current time in ms, on the wall clock and on the clock since boot.
#[must_use]
pub fn now() -> Timestamp {
    let boottime = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    Timestamp { wall_ms: millis(since_1970()), boottime_ms: millis(boottime) }
}

/// Returns the wall clock in ns since 1970, as Ganeti's reason trail requires.
#[must_use]
pub fn wall_nanos() -> u64 {
    u64::try_from(since_1970().as_nanos()).unwrap_or(u64::MAX)
}

/// Returns a duration in whole ms.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The time at which an operation must be over, on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// Returns the deadline that is `time` from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// Returns the remaining time; zero after the deadline.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Returns whether the deadline has passed.
    #[must_use]
    pub fn passed(self) -> bool {
        self.left().is_zero()
    }

    /// Returns a deadline that is later by this time.
    #[must_use]
    pub fn later(self, by: Duration) -> Self {
        Self(self.0 + by)
    }

    /// Returns a deadline that is earlier by this time.
    #[must_use]
    pub fn earlier(self, by: Duration) -> Self {
        Self(self.0.checked_sub(by).unwrap_or(self.0))
    }

    /// Returns the earlier of this deadline and `time` from now.
    #[must_use]
    pub fn at_most(self, time: Duration) -> Self {
        Self(self.0.min(Instant::now() + time))
    }

    /// Returns the deadline as a point on the monotonic clock.
    #[must_use]
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// Sleeps for `time`, but not past the deadline.
    pub fn sleep(self, time: Duration) {
        std::thread::sleep(time.min(self.left()));
    }
}
