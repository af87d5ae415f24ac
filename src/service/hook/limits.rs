//! The time limits that several steps of a hook have.

use std::time::Duration;

/// The time limit for each step of a hook for which a job of Ganeti's waits.
pub(super) const STEP_TIMEOUT: Duration = Duration::from_secs(8);
