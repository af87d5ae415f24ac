//! `[self_fence]`: the watchdog of this node and the times that it keeps.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::device::Seconds;
use crate::core::ganeti::oob::GANETI_TIMEOUT;
use crate::core::shun::lease_times::LeaseTimes;

/// The UDP port of the signed echo. Ganeti has 1811 to 1815 and 5080, our report 1816 (TCP).
const PORT: u16 = 1817;

/// Ganeti's confd has it (`DEFAULT_CONFD_PORT`, `src/Ganeti/Constants.hs`).
const CONFD_PORT: u16 = 1814;

/// Below it a port takes a capability that the unit does not have (`ip_unprivileged_port_start`, ip(7)).
const FIRST_PORT: u16 = 1024;

/// The watchdog of this node and the times that it keeps.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SelfFenceConfig {
    /// The watchdog device.
    pub watchdog_device: PathBuf,
    /// How long a lease holds from the moment when its question was sent.
    pub lease: Seconds,
    /// What the watchdog is set to; what it says back counts.
    pub watchdog_timeout: Seconds,
    /// How wrong the rate of a clock may be, in parts per million.
    pub drift_ppm: u32,
    /// From the watchdog's bite until nothing is written any more.
    pub stop_time: Seconds,
    /// The UDP port at which this host tells other nodes that it is there; the same on all nodes.
    pub port: u16,
    /// A program that stops what can be stopped before the watchdog bites, if one is named.
    pub before_reset: Option<PathBuf>,
}

impl Default for SelfFenceConfig {
    fn default() -> Self {
        let seconds = |seconds| Seconds(Duration::from_secs(seconds));
        Self {
            watchdog_device: PathBuf::from("/dev/watchdog0"),
            lease: seconds(10),
            watchdog_timeout: seconds(5),
            drift_ppm: 10_000,
            stop_time: seconds(5),
            port: PORT,
            before_reset: None,
        }
    }
}

impl SelfFenceConfig {
    /// The times, with the watchdog's as it is set.
    #[must_use]
    pub fn terms(&self) -> LeaseTimes {
        let millis = |seconds: Seconds| u64::try_from(seconds.0.as_millis()).unwrap_or(u64::MAX);
        LeaseTimes {
            lease_ms: millis(self.lease),
            watchdog_ms: millis(self.watchdog_timeout),
            drift_ppm: self.drift_ppm,
            stop_ms: millis(self.stop_time),
        }
    }

    /// Checks that the times hold together.
    pub(super) fn check(&self) -> Result<(), String> {
        if !self.watchdog_device.is_absolute() {
            return Err(format!("watchdog_device = {:?} must be an absolute path", self.watchdog_device));
        }
        if self.before_reset.as_ref().is_some_and(|program| !program.is_absolute()) {
            return Err("before_reset must be an absolute path".to_owned());
        }
        if self.port < FIRST_PORT || self.port == CONFD_PORT {
            return Err(format!(
                "port = {} must be {FIRST_PORT} or more, and not {CONFD_PORT}, which is confd's",
                self.port
            ));
        }
        let least = Duration::from_secs(2);
        if self.lease.0 < least || self.watchdog_timeout.0 < least {
            return Err("lease and watchdog_timeout must be 2 s or more".to_owned());
        }
        if self.drift_ppm > 100_000 {
            return Err("drift_ppm is above 100000: no clock is wrong by more than a tenth".to_owned());
        }
        let bound = self.terms().bound();
        // What is left is for telling every node.
        let most = GANETI_TIMEOUT - Duration::from_secs(15);
        if bound > most {
            return Err(format!(
                "lease, twice watchdog_timeout and stop_time come to {:.1} s, and with 15 s to tell every node that does not fit in the 60 s \
                 that Ganeti gives an OOB program: shorten them",
                bound.as_secs_f64()
            ));
        }
        Ok(())
    }
}
