//! Holds the section `[record]`: when Ganeti's record of its nodes is changed.

use std::time::Duration;

use serde::Deserialize;

use super::device::Seconds;
use super::setting_error::SettingError;
use crate::core::reconcile::Settings;

/// The shortest grace: hosts that get their power at the same time are not up at the same time.
const LEAST_GRACE: Duration = Duration::from_secs(30);

/// The settings of Ganeti's record of the nodes (`[record]`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Record {
    /// The time after the start of a host's cluster stack in which it records only nodes that were fenced since, and
    /// drains no node.
    pub start_up_grace: Seconds,
}

impl Default for Record {
    fn default() -> Self {
        Self { start_up_grace: Seconds(Duration::from_millis(Settings::default().start_up_grace_ms)) }
    }
}

impl Record {
    /// Returns `settings` with the values of this section.
    #[must_use]
    pub fn set(&self, settings: Settings) -> Settings {
        let start_up_grace_ms = u64::try_from(self.start_up_grace.0.as_millis()).unwrap_or(u64::MAX);
        Settings { start_up_grace_ms, ..settings }
    }

    /// Checks that a node that still starts is not taken for one that has left.
    pub(super) fn check(&self) -> Result<(), SettingError> {
        if self.start_up_grace.0 < LEAST_GRACE {
            return Err(SettingError::ShortGrace { least_s: LEAST_GRACE.as_secs() });
        }
        Ok(())
    }
}
