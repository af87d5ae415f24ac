//! `[record]`: when Ganeti's record of its nodes is kept.

use std::time::Duration;

use serde::Deserialize;

use super::device::Seconds;
use crate::core::reconcile::Settings;

/// Hosts that get their power at the same time are not up at the same time.
const LEAST: Duration = Duration::from_secs(30);

/// When Ganeti's record of its nodes is kept.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Record {
    /// How long after the start of a host's cluster stack it records only what was fenced since, and drains nobody.
    pub start_up_grace: Seconds,
}

impl Default for Record {
    fn default() -> Self {
        Self { start_up_grace: Seconds(Duration::from_millis(Settings::default().start_up_grace_ms)) }
    }
}

impl Record {
    /// The settings, with what is set here.
    #[must_use]
    pub fn set(&self, settings: Settings) -> Settings {
        let start_up_grace_ms = u64::try_from(self.start_up_grace.0.as_millis()).unwrap_or(u64::MAX);
        Settings { start_up_grace_ms, ..settings }
    }

    /// Checks that who is still on its way in is not taken for one that has left.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.start_up_grace.0 < LEAST {
            let least = LEAST.as_secs();
            return Err(format!(
                "start_up_grace is below {least} s: whoever boots more slowly than others would be drained"
            ));
        }
        Ok(())
    }
}
