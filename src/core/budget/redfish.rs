//! The times of a BMC over Redfish, for its driver and for the time budgets. Pure.

use std::time::Duration;

/// How long after a power-off the state of a host that was off is read. A BMC that has accepted a power-on of another
/// program may act only then, and reports "Off" until it does, also after it has accepted the power-off.
///
/// The emulator of sushy-tools acts 1 s to 11 s later. With the second reading this covers it.
pub const LONGEST_LAG: Duration = Duration::from_secs(10);

/// The pause between two readings that must agree. States that are stale or change for a moment last about as long.
pub const CONFIRM_PAUSE: Duration = Duration::from_secs(2);

/// The pause between two readings while the state has not changed yet. A reading is a process, a TLS handshake and
/// perhaps a session, and some BMCs crash under many of them.
pub const POLL_PAUSE: Duration = Duration::from_secs(2);

/// The time after the response to a power-off within which hardly a host ends: `ForceOff` is the override of four seconds.
/// A BMC that responds only when the host is off has it read once more, a lag later.
pub const SOONEST_OFF: Duration = Duration::from_secs(4);

/// The time of one operation at a usual BMC: the process, TLS, the list, the system and its chassis.
pub const OPERATION_TIME: Duration = Duration::from_secs(2);

/// The time until a host is off after the command.
pub const SWITCH_OFF_TIME: Duration = Duration::from_secs(5);

/// The time for a power change and its proof: a reading, the command, and two readings after a lag.
pub const POWER_CHANGE_TIME: Duration = Duration::from_secs(
    LONGEST_LAG.as_secs() + CONFIRM_PAUSE.as_secs() + 4 * OPERATION_TIME.as_secs() + SWITCH_OFF_TIME.as_secs(),
);

/// The time for a power state that counts: two readings.
pub const READING_TIME: Duration = Duration::from_secs(CONFIRM_PAUSE.as_secs() + 2 * OPERATION_TIME.as_secs());
