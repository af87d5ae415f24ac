//! Holds the section `[self_fence]`: the watchdog of this node and the times that it keeps.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::device::Seconds;
use super::setting_error::SettingError;
use crate::core::ganeti::CONFD_PORT;
use crate::core::ganeti::oob::GANETI_TIMEOUT;
use crate::core::shun::lease_times::LeaseTimes;

/// The default UDP port of the signed echo. Ganeti uses 1811 to 1815 and 5080, and the report of gnt-ha 1816 (TCP).
const PORT: u16 = 1817;

/// The first port that needs no capability, which the unit does not have (`ip_unprivileged_port_start`, ip(7)).
const FIRST_PORT: u16 = 1024;

/// The settings of self-fencing on this node.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SelfFenceConfig {
    /// The path of the watchdog device, which self-fencing opens and no other program may use.
    pub watchdog_device: PathBuf,
    /// The length of a lease, from the sending of its question.
    pub lease: Seconds,
    /// The timeout that the watchdog is set to; the value that it reports back counts.
    pub watchdog_timeout: Seconds,
    /// The largest error of a clock's rate, in parts per million.
    pub drift_ppm: u32,
    /// The stop time: from the reset by the watchdog until nothing is written any more.
    pub stop_time: Seconds,
    /// The UDP port at which this host answers the echoes of other nodes; the same on all nodes.
    pub port: u16,
    /// A program that stops other work before the watchdog resets the host; `None` without such a program.
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
    /// Returns the times, with the watchdog's timeout as configured.
    #[must_use]
    pub fn lease_times(&self) -> LeaseTimes {
        let millis = |seconds: Seconds| u64::try_from(seconds.0.as_millis()).unwrap_or(u64::MAX);
        LeaseTimes {
            lease_ms: millis(self.lease),
            watchdog_ms: millis(self.watchdog_timeout),
            drift_ppm: self.drift_ppm,
            stop_ms: millis(self.stop_time),
        }
    }

    /// Checks the paths, the port and the times, and that the wait time fits in Ganeti's time for an OOB program.
    pub(super) fn check(&self) -> Result<(), SettingError> {
        let relative = |setting, path: &Path| SettingError::RelativePath { setting, path: path.to_owned() };
        if !self.watchdog_device.is_absolute() {
            return Err(relative("watchdog_device", &self.watchdog_device));
        }
        if let Some(program) = self.before_reset.as_ref().filter(|program| !program.is_absolute()) {
            return Err(relative("before_reset", program));
        }
        if self.port < FIRST_PORT || self.port == CONFD_PORT {
            return Err(SettingError::EchoPort { port: self.port, first: FIRST_PORT, confd: CONFD_PORT });
        }
        let least = Duration::from_secs(2);
        if self.lease.0 < least || self.watchdog_timeout.0 < least {
            return Err(SettingError::ShortLease);
        }
        if self.drift_ppm > 100_000 {
            return Err(SettingError::Drift);
        }
        let wait_time = self.lease_times().wait_time();
        // The rest is for sending the order to every node.
        let most = GANETI_TIMEOUT - Duration::from_secs(15);
        if wait_time > most {
            return Err(SettingError::LongWait(wait_time));
        }
        Ok(())
    }
}
