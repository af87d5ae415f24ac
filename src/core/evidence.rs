//! The grade of each kind of evidence. Pure; no other module grades a fencing.
//!
//! | evidence | grade | what may be recorded as the power |
//! |---|---|---|
//! | the power was read as off after the command, by a power device | `off` | off |
//! | an administrator's recorded confirmation that the node is off | `off` | off |
//! | read as off, then read as on again | `bounded`: the boot before has ended | on |
//! | read as off, then switched on, and it is unknown whether it came on | `bounded` | nothing |
//! | shunned by all nodes that serve it, and its self-fencing lease has ended | `bounded` | nothing |
//! | watchdog self-fencing, reported by Pacemaker | `bounded` | nothing |
//! | fabric fencing, or shunning alone | `isolated` | nothing |
//! | a device of an unknown kind, or one that would switch one machine for two nodes | `isolated` | nothing |
//! | `fence_ganeti` without a receipt that can be read | its `minimum_grade` | nothing |
//! | timeout, parse error, no answer, rejected command, a failure of gnt-ha | `unknown` | nothing |

use serde::{Deserialize, Serialize};

use super::fence_agents::FenceDeviceKind;
use super::grade::Grade;
use super::receipt::{Action, Outcome};

/// The kind of evidence that a fencing has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A power device read the power as off after the command.
    PowerOff,
    /// A power device read the power as off, and later as on: another boot.
    PowerCycled,
    /// A power device read the power as off. A power-on was sent then, and its result is unknown.
    Rebooted,
    /// An administrator confirmed that the node is off.
    Confirmed,
    /// All nodes that serve the node shun it, and its self-fencing lease has ended.
    LeaseEnded,
    /// Pacemaker reports watchdog self-fencing.
    Watchdog,
    /// A path was cut, to storage or to a network.
    Fabric,
    /// All nodes that serve the node shun it.
    Shunned,
    /// A device of an unknown kind reported success.
    UnknownKind,
    /// A `fence_ganeti` device with this `minimum_grade` reported success, and its receipt cannot be read.
    Promised(Grade),
    /// A timeout, a parse error, no answer, a rejected command, a busy device, a deadline or a lock of gnt-ha.
    Nothing,
}

/// The grade of an [`Evidence`], and the power state that it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worth {
    /// How strong the proof is.
    pub grade: Grade,
    /// The power state that may be recorded in Ganeti; `None` if it was neither read nor confirmed.
    pub powered: Option<bool>,
}

impl Evidence {
    /// Returns the grade and power state of the table above.
    #[must_use]
    pub const fn worth(self) -> Worth {
        let (grade, powered) = match self {
            Self::PowerOff | Self::Confirmed => (Grade::Off, Some(false)),
            Self::PowerCycled => (Grade::Bounded, Some(true)),
            Self::Rebooted | Self::LeaseEnded | Self::Watchdog => (Grade::Bounded, None),
            Self::Fabric | Self::Shunned | Self::UnknownKind => (Grade::Isolated, None),
            Self::Promised(least) => (least, None),
            Self::Nothing => (Grade::Unknown, None),
        };
        Worth { grade, powered }
    }

    /// Returns the evidence of a receipt of gnt-ha.
    ///
    /// The grade in a receipt is of the time when the power, the shunning or the lease was checked. That is before a
    /// reboot or a cycle switched on again.
    #[must_use]
    pub const fn of_receipt(action: Action, outcome: Outcome, grade: Grade) -> Self {
        match (action, outcome, grade) {
            (Action::On, ..) | (_, Outcome::Refused | Outcome::Unknown, _) | (.., Grade::Unknown) => Self::Nothing,
            (Action::Reboot | Action::Cycle, Outcome::Done | Outcome::Unchanged, Grade::Off) => Self::PowerCycled,
            // The power-on was sent after the off: a device that does not answer then may have switched on.
            (Action::Reboot | Action::Cycle, Outcome::OffOnly, Grade::Off) => Self::Rebooted,
            (.., Grade::Off) => Self::PowerOff,
            (.., Grade::Bounded) => Self::LeaseEnded,
            (.., Grade::Isolated) => Self::Shunned,
        }
    }

    /// Returns the evidence of a success that Pacemaker reports, for a device of this kind and without a receipt.
    /// `stays_off`: the action was `off`, not `reboot`.
    #[must_use]
    pub const fn of_success(kind: FenceDeviceKind, stays_off: bool) -> Self {
        match kind {
            FenceDeviceKind::Power { reads_reboot } => match (stays_off, reads_reboot) {
                (true, _) => Self::PowerOff,
                (false, true) => Self::Rebooted,
                (false, false) => Self::UnknownKind,
            },
            FenceDeviceKind::Ours { least } => Self::Promised(least).at_most_bounded(stays_off),
            FenceDeviceKind::Watchdog => Self::Watchdog,
            FenceDeviceKind::Fabric => Self::Fabric,
            FenceDeviceKind::Unknown => Self::UnknownKind,
        }
    }

    /// Limits the grade to `bounded` after a reboot, which proves only that the earlier boot has ended.
    const fn at_most_bounded(self, stays_off: bool) -> Self {
        match self {
            Self::Promised(Grade::Off) if !stays_off => Self::Promised(Grade::Bounded),
            other => other,
        }
    }
}

impl Worth {
    /// Returns the weaker of two; of equally strong ones, the power state only if both have the same.
    #[must_use]
    pub fn weaker(self, other: Self) -> Self {
        let powered = if self.powered == other.powered { self.powered } else { None };
        match self.grade.cmp(&other.grade) {
            std::cmp::Ordering::Less => self,
            std::cmp::Ordering::Greater => other,
            std::cmp::Ordering::Equal => Self { grade: self.grade, powered },
        }
    }

    /// Returns the stronger of two devices that both succeeded.
    #[must_use]
    pub fn stronger(self, other: Self) -> Self {
        let is_less = (self.grade, self.powered.is_some()) < (other.grade, other.powered.is_some());
        if is_less { other } else { self }
    }

    /// Lowers the proof to what holds if the node may have been switched on later.
    #[must_use]
    pub fn perhaps_switched_on(self) -> Self {
        let known = self.powered.filter(|powered| *powered);
        Self { grade: self.grade.min(Evidence::Rebooted.worth().grade), powered: known }
    }

    /// Lowers the proof to what holds after a later power-on: the boot before has ended.
    #[must_use]
    pub fn switched_on(self) -> Self {
        Self { grade: self.grade.min(Evidence::PowerCycled.worth().grade), powered: Some(true) }
    }
}

/// Returns what a success proves that Pacemaker reports and that has no receipt.
///
/// `options` are the sets of devices that may have done it, all devices of a set together. The weakest set counts, and in
/// a set the strongest device. Without any set the device is unknown.
///
/// ```
/// use gnt_ha::core::evidence::of_options;
/// use gnt_ha::core::fence_agents::FenceDeviceKind;
/// use gnt_ha::core::grade::Grade;
///
/// let pdu = FenceDeviceKind::Power { reads_reboot: true };
/// assert_eq!(of_options([[pdu].as_slice()], true).grade, Grade::Off);
/// // One of two devices may have done it, and it is unknown which: the weaker one counts.
/// assert_eq!(of_options([[pdu].as_slice(), &[FenceDeviceKind::Fabric]], true).grade, Grade::Isolated);
/// ```
#[must_use]
pub fn of_options<'a>(options: impl IntoIterator<Item = &'a [FenceDeviceKind]>, stays_off: bool) -> Worth {
    let of_option = |option: &[FenceDeviceKind]| {
        let each = option.iter().map(|kind| Evidence::of_success(*kind, stays_off).worth());
        each.reduce(Worth::stronger).unwrap_or_else(|| Evidence::UnknownKind.worth())
    };
    options.into_iter().map(of_option).reduce(Worth::weaker).unwrap_or_else(|| Evidence::UnknownKind.worth())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POWER: FenceDeviceKind = FenceDeviceKind::Power { reads_reboot: true };

    /// A grade is never chosen: it follows from the evidence. One case for each row of the table.
    #[test]
    fn each_row_of_the_table() {
        use Evidence as E;
        for (evidence, grade, powered) in [
            (E::PowerOff, Grade::Off, Some(false)),
            (E::Confirmed, Grade::Off, Some(false)),
            (E::PowerCycled, Grade::Bounded, Some(true)),
            (E::Rebooted, Grade::Bounded, None),
            (E::LeaseEnded, Grade::Bounded, None),
            (E::Watchdog, Grade::Bounded, None),
            (E::Fabric, Grade::Isolated, None),
            (E::Shunned, Grade::Isolated, None),
            (E::UnknownKind, Grade::Isolated, None),
            (E::Promised(Grade::Off), Grade::Off, None),
            (E::Promised(Grade::Bounded), Grade::Bounded, None),
            (E::Promised(Grade::Isolated), Grade::Isolated, None),
            (E::Nothing, Grade::Unknown, None),
        ] {
            assert_eq!(evidence.worth(), Worth { grade, powered }, "{evidence:?}");
        }
    }

    /// A success in Pacemaker's history without a receipt, for each kind of device, off and reboot.
    #[test]
    fn each_kind_of_device() {
        let of_kind = |kind: FenceDeviceKind| [true, false].map(|stays_off| Evidence::of_success(kind, stays_off));
        let ours = |least| FenceDeviceKind::Ours { least };
        for (kind, expected) in [
            (POWER, [Evidence::PowerOff, Evidence::Rebooted]),
            (FenceDeviceKind::Power { reads_reboot: false }, [Evidence::PowerOff, Evidence::UnknownKind]),
            (FenceDeviceKind::Fabric, [Evidence::Fabric; 2]),
            (FenceDeviceKind::Watchdog, [Evidence::Watchdog; 2]),
            (FenceDeviceKind::Unknown, [Evidence::UnknownKind; 2]),
            (ours(Grade::Off), [Evidence::Promised(Grade::Off), Evidence::Promised(Grade::Bounded)]),
            (ours(Grade::Bounded), [Evidence::Promised(Grade::Bounded); 2]),
            (ours(Grade::Isolated), [Evidence::Promised(Grade::Isolated); 2]),
        ] {
            assert_eq!(of_kind(kind), expected, "{kind:?}");
        }
    }

    /// A cycle that ended on proves that the earlier boot is gone; a failed or rejected action proves nothing.
    #[test]
    fn each_kind_of_receipt() {
        let of = Evidence::of_receipt;
        for outcome in [Outcome::Done, Outcome::Unchanged] {
            assert_eq!(of(Action::Off, outcome, Grade::Off), Evidence::PowerOff);
            for action in [Action::Reboot, Action::Cycle] {
                assert_eq!(of(action, outcome, Grade::Off), Evidence::PowerCycled);
                assert_eq!(of(action, outcome, Grade::Isolated), Evidence::Shunned);
            }
        }
        for action in [Action::Reboot, Action::Cycle] {
            assert_eq!(of(action, Outcome::OffOnly, Grade::Off), Evidence::Rebooted);
        }
        for action in [Action::Off, Action::Reboot, Action::Cycle] {
            assert_eq!(of(action, Outcome::OffOnly, Grade::Bounded), Evidence::LeaseEnded);
            assert_eq!(of(action, Outcome::Done, Grade::Unknown), Evidence::Nothing);
            for outcome in [Outcome::Refused, Outcome::Unknown] {
                assert_eq!(of(action, outcome, Grade::Off), Evidence::Nothing);
            }
        }
        assert_eq!(of(Action::On, Outcome::Done, Grade::Off), Evidence::Nothing);
    }

    /// A fencing without a receipt is worth the weakest of the devices that may have done it.
    #[test]
    fn of_several_options_the_weakest_counts_and_in_one_the_strongest() {
        let ours = FenceDeviceKind::Ours { least: Grade::Bounded };
        let grade = |options: &[&[FenceDeviceKind]], stays_off| {
            let worth = of_options(options.iter().copied(), stays_off);
            (worth.grade, worth.powered)
        };
        assert_eq!(grade(&[], true), (Grade::Isolated, None));
        assert_eq!(grade(&[&[]], true), (Grade::Isolated, None));
        assert_eq!(grade(&[&[POWER]], true), (Grade::Off, Some(false)));
        assert_eq!(grade(&[&[POWER]], false), (Grade::Bounded, None));
        assert_eq!(grade(&[&[POWER], &[ours]], true), (Grade::Bounded, None));
        assert_eq!(grade(&[&[POWER], &[FenceDeviceKind::Ours { least: Grade::Off }]], true), (Grade::Off, None));
        assert_eq!(grade(&[&[ours], &[FenceDeviceKind::Fabric]], true), (Grade::Isolated, None));
        assert_eq!(grade(&[&[ours, FenceDeviceKind::Fabric]], true), (Grade::Bounded, None));
        assert_eq!(grade(&[&[POWER, FenceDeviceKind::Unknown]], true), (Grade::Off, Some(false)));
        assert_eq!(grade(&[&[POWER], &[FenceDeviceKind::Watchdog]], true), (Grade::Bounded, None));
    }

    /// After a later power-on no proof has the grade `off`.
    #[test]
    fn a_later_power_on_leaves_the_earlier_boot() {
        for (evidence, grade) in [(Evidence::PowerOff, Grade::Bounded), (Evidence::Fabric, Grade::Isolated)] {
            assert_eq!(evidence.worth().switched_on(), Worth { grade, powered: Some(true) });
        }
    }
}
