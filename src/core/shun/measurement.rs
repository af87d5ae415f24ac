//! Evaluates the measurement of a watchdog; touches nothing. The host stops its keepalives and notes how long it still
//! runs; the next boot reads the notes.
//!
//! The notes are a file of lines. The first is [`MeasurementStart`] as JSON. Then follow milliseconds since the last keepalive,
//! each on the disk before the next one is written. The last is [`OVER`] if the watchdog did not reset the host.

use serde::{Deserialize, Serialize};

use super::expiry::{Measurement, reset_within_of};

/// The last line of the notes if the watchdog did not reset the host.
pub const OVER: &str = "over";

/// The first line of the notes, written before the watchdog was left to expire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasurementStart {
    /// The watchdog's driver, by its own name.
    pub driver: String,
    /// The timeout of the watchdog, as read back from the device, in milliseconds.
    pub set_ms: u64,
    /// The id of the boot that is measured.
    pub boot_id: String,
    /// The wall clock before the last keepalive, in milliseconds since 1970.
    pub wall_ms: u64,
}

/// The boot that reads the notes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// The id of the boot (`proc_sys_kernel(5)`, `boot_id`), which differs after a reset.
    pub boot_id: &'a str,
    /// When it began, by the wall clock, in milliseconds since 1970.
    pub began_wall_ms: u64,
}

/// A reason why the notes of a measurement prove nothing.
#[derive(Debug, thiserror::Error)]
pub enum MeasurementError {
    /// The notes have no line.
    #[error("the notes of the measurement are empty")]
    Empty,
    /// The first line is not the one that a measurement writes.
    #[error("cannot parse the notes of the measurement: {0}")]
    FirstLine(#[from] serde_json::Error),
    /// A later line is not a time.
    #[error("cannot parse the notes of the measurement: {0}")]
    Time(#[from] std::num::ParseIntError),
    /// The notes end before the watchdog's timeout.
    #[error(
        "the host ran for {ran_ms} ms after the last keepalive, less than the {set_ms} ms of its watchdog: something else \
         has ended it, or its disk"
    )]
    TooShort {
        /// For how long the host ran, in milliseconds.
        ran_ms: u64,
        /// The timeout of the watchdog, in milliseconds.
        set_ms: u64,
    },
}

/// The result of a measurement, by its notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeasurementOutcome {
    /// The boot that is measured still runs.
    Runs,
    /// The watchdog did not reset the host within that many milliseconds.
    NoReset {
        /// The first line of the notes, with the watchdog.
        began: MeasurementStart,
        /// For how long the host ran on after the last keepalive, in milliseconds.
        ran_ms: u64,
    },
    /// The watchdog has reset the host.
    Reset(Measurement),
}

/// Reads the notes of a measurement.
///
/// # Errors
/// [`MeasurementError`] if the notes are empty or damaged, or end before the watchdog's timeout.
pub fn outcome(notes: &str, reader: Reader<'_>) -> Result<MeasurementOutcome, MeasurementError> {
    // A line that the reset has cut short has no line end and does not count.
    let whole = notes.rfind('\n').and_then(|end| notes.get(..end)).unwrap_or_default();
    let mut lines = whole.lines();
    let first = lines.next().ok_or(MeasurementError::Empty)?;
    let began: MeasurementStart = serde_json::from_str(first)?;
    let mut lines: Vec<&str> = lines.collect();
    let is_over = lines.last() == Some(&OVER);
    if is_over {
        lines.pop();
    }
    let stamps: Vec<u64> = lines.iter().map(|line| line.parse::<u64>()).collect::<Result<_, _>>()?;
    let ran_ms = stamps.last().copied().unwrap_or_default();
    if is_over {
        return Ok(MeasurementOutcome::NoReset { began, ran_ms });
    }
    if began.boot_id == reader.boot_id {
        return Ok(MeasurementOutcome::Runs);
    }
    let within_ms = reset_within_of(&stamps).unwrap_or_default();
    if within_ms < began.set_ms {
        return Err(MeasurementError::TooShort { ran_ms, set_ms: began.set_ms });
    }
    let next_boot_ms = reader.began_wall_ms.checked_sub(began.wall_ms).filter(|after| *after >= ran_ms);
    let MeasurementStart { driver, set_ms, .. } = began;
    Ok(MeasurementOutcome::Reset(Measurement { driver, set_ms, reset_within_ms: within_ms, ran_ms, next_boot_ms }))
}

/// The facts about a host that must be read before its watchdog may reset it.
#[derive(Clone, Copy, Debug)]
pub struct ResetConditions {
    /// Whether it is Ganeti's master; `None` if that is unknown.
    pub is_master: Option<bool>,
    /// The number of instances that run on it; `None` if that is unknown.
    pub instances: Option<u32>,
    /// The number of DRBD devices that are primary on it; `None` if that is unknown.
    pub drbd_primaries: Option<u32>,
    /// Whether Pacemaker runs on the host: a reset would then be a failure of a member.
    pub runs_pacemaker: bool,
    /// Whether other nodes may rely on its self-fencing.
    pub is_relied_on: bool,
}

/// Returns why the host must not be reset; `None` if it may.
#[must_use]
pub fn objection(before: ResetConditions) -> Option<&'static str> {
    match before {
        ResetConditions { is_master: None, .. } => Some("it is unknown on this host which node is Ganeti's master"),
        ResetConditions { is_master: Some(true), .. } => {
            Some("it is Ganeti's master; move the role first: gnt-cluster master-failover")
        }
        ResetConditions { instances: None, .. } | ResetConditions { drbd_primaries: None, .. } => {
            Some("this host cannot read whether instances run here")
        }
        ResetConditions { instances: Some(1..), .. } | ResetConditions { drbd_primaries: Some(1..), .. } => {
            Some("instances run here; move them first: gnt-node migrate NODE, gnt-node evacuate NODE")
        }
        ResetConditions { runs_pacemaker: true, .. } => Some(
            "Pacemaker runs here, and the others would fence this host; stop it first: systemctl stop pacemaker corosync",
        ),
        ResetConditions { is_relied_on: true, .. } => Some(
            "other nodes may rely on its self-fencing; end it first: gnt-ha self-fence disarm --wait; then, on one line, as the \
             watchdog may stay armed: systemctl stop gnt-ha-self-fence; gnt-ha self-fence measure start --confirm",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READER: Reader<'static> = Reader { boot_id: "b2", began_wall_ms: 60_000 };

    fn notes(stamps: &str) -> String {
        let began =
            MeasurementStart { driver: "iTCO_wdt".into(), set_ms: 5_000, boot_id: "b1".into(), wall_ms: 10_000 };
        format!("{}\n{stamps}", serde_json::to_string(&began).unwrap())
    }

    fn measured(reset_within_ms: u64, ran_ms: u64, next_boot_ms: Option<u64>) -> MeasurementOutcome {
        MeasurementOutcome::Reset(Measurement {
            driver: "iTCO_wdt".into(),
            set_ms: 5_000,
            reset_within_ms,
            ran_ms,
            next_boot_ms,
        })
    }

    /// The time that others wait by is never shorter than the host was seen to run.
    #[test]
    fn a_reset_is_between_the_last_note_and_the_one_that_is_missing() {
        let late = notes("2500\n5000\n7500\n9900\n102");
        assert_eq!(
            outcome(&late, READER).unwrap(),
            measured(15_150, 9_900, Some(50_000)),
            "a line that is cut does not count"
        );
        let set_back = Reader { began_wall_ms: 11_000, ..READER };
        assert_eq!(outcome(&late, set_back).unwrap(), measured(15_150, 9_900, None), "a clock that cannot be right");
    }

    /// A run that ended before the watchdog's timeout was ended by something else, and proves nothing about the
    /// watchdog.
    #[test]
    fn what_is_no_reset_by_the_watchdog_is_not_measured() {
        for early in ["", "100\n200\n300\n", "100\n"] {
            assert!(outcome(&notes(early), READER).unwrap_err().to_string().contains("something else"), "{early:?}");
        }
        let own = Reader { boot_id: "b1", ..READER };
        assert_eq!(outcome(&notes("100\n200\n"), own).unwrap(), MeasurementOutcome::Runs);
        let over = outcome(&notes("100\n80000\nover\n"), own);
        assert!(matches!(over, Ok(MeasurementOutcome::NoReset { ran_ms: 80_000, .. })), "{over:?}");
        for damaged in ["", "{}\n", "x", &notes("100\nx\n200\n")] {
            assert!(outcome(damaged, READER).is_err(), "{damaged:?}");
        }
    }

    /// A host that is in use, or that others rely on, is not reset.
    #[test]
    fn a_host_that_serves_is_not_measured() {
        let free = ResetConditions {
            is_master: Some(false),
            instances: Some(0),
            drbd_primaries: Some(0),
            runs_pacemaker: false,
            is_relied_on: false,
        };
        assert_eq!(objection(free), None);
        for (serves, why) in [
            (ResetConditions { is_master: None, ..free }, "unknown"),
            (ResetConditions { is_master: Some(true), ..free }, "master-failover"),
            (ResetConditions { instances: None, ..free }, "cannot read"),
            (ResetConditions { instances: Some(1), ..free }, "gnt-node migrate"),
            (ResetConditions { drbd_primaries: None, ..free }, "cannot read"),
            (ResetConditions { drbd_primaries: Some(2), ..free }, "gnt-node migrate"),
            (ResetConditions { runs_pacemaker: true, ..free }, "systemctl stop pacemaker"),
            (ResetConditions { is_relied_on: true, ..free }, "disarm"),
        ] {
            assert!(objection(serves).unwrap_or_default().contains(why), "{serves:?}");
        }
    }
}
