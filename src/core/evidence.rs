//! What a proof is worth: from who saw what to a grade. No grade of a fencing is made anywhere else.
//!
//! | evidence | grade | what may be recorded as the power |
//! |---|---|---|
//! | the power was read as off after the command, by a power device | `off` | off |
//! | a human's recorded confirmation that the node is off | `off` | off |
//! | read as off, then read as on again | `bounded`: the boot before has ended | on |
//! | read as off, then switched on, and nobody says whether it came on | `bounded` | nothing |
//! | shunned by all who serve it, and its self-fence lease has run out | `bounded` | nothing |
//! | watchdog self-fencing, reported by Pacemaker | `bounded` | nothing |
//! | fabric fencing, or shunning alone | `isolated` | nothing |
//! | a device of a kind that is not known, or that would switch one machine for two nodes | `isolated` | nothing |
//! | `fence_ganeti` without a receipt that can be read | what it takes at least | nothing |
//! | time-out, parse error, silence, refusal, a failure of ours | `unknown` | nothing |

use serde::{Deserialize, Serialize};

use super::fence_agents::Kind;
use super::grade::Grade;
use super::receipt::{Action, Outcome};

/// Who saw what of a node that was fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// A power device read its power as off after the command.
    PowerOff,
    /// A power device read it as off, and later as on: another boot.
    PowerCycled,
    /// A power device read it as off; it was switched on then, and nobody says whether that worked.
    Rebooted,
    /// A human confirmed that it is off.
    Confirmed,
    /// All who serve it shun it, and its self-fence lease has run out.
    LeaseEnded,
    /// Pacemaker reports watchdog self-fencing.
    Watchdog,
    /// A path was cut, to storage or to a network.
    Fabric,
    /// All who serve it shun it.
    Shunned,
    /// A device whose kind is not known reported success.
    UnknownKind,
    /// A `fence_ganeti` device that takes at least this grade reported success, and its receipt cannot be read.
    Promised(Grade),
    /// A time-out, a parse error, silence, a refusal, "busy", a deadline or lock of ours.
    Nothing,
}

/// What an [`Evidence`] is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worth {
    /// How strong the proof is.
    pub grade: Grade,
    /// What Ganeti may be told of the node's power; none where nobody saw it.
    pub powered: Option<bool>,
}

impl Evidence {
    /// The table.
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

    /// What a receipt of ours tells. The grade in it was made when the power, the shunning or the lease was seen, and is of
    /// the moment before a reboot or a cycle switched on again.
    #[must_use]
    pub const fn of_receipt(action: Action, outcome: Outcome, grade: Grade) -> Self {
        match (action, outcome, grade) {
            (Action::On, ..) | (_, Outcome::Refused | Outcome::Unknown, _) | (.., Grade::Unknown) => Self::Nothing,
            (Action::Reboot | Action::Cycle, Outcome::Done | Outcome::Unchanged, Grade::Off) => Self::PowerCycled,
            // The power-on was sent after the off: a device that is silent then may have switched on.
            (Action::Reboot | Action::Cycle, Outcome::OffOnly, Grade::Off) => Self::Rebooted,
            (.., Grade::Off) => Self::PowerOff,
            (.., Grade::Bounded) => Self::LeaseEnded,
            (.., Grade::Isolated) => Self::Shunned,
        }
    }

    /// What a success that Pacemaker reports tells, of a device of this kind and without a receipt.
    #[must_use]
    pub const fn of_success(kind: Kind, stays_off: bool) -> Self {
        match kind {
            Kind::Power { reads_reboot } => match (stays_off, reads_reboot) {
                (true, _) => Self::PowerOff,
                (false, true) => Self::Rebooted,
                (false, false) => Self::UnknownKind,
            },
            Kind::Ours { least } => Self::Promised(least).at_most_bounded(stays_off),
            Kind::Watchdog => Self::Watchdog,
            Kind::Fabric => Self::Fabric,
            Kind::Unknown => Self::UnknownKind,
        }
    }

    /// Of a reboot only the earlier boot is gone.
    const fn at_most_bounded(self, stays_off: bool) -> Self {
        match self {
            Self::Promised(Grade::Off) if !stays_off => Self::Promised(Grade::Bounded),
            other => other,
        }
    }
}

impl Worth {
    /// Of two, what both allow.
    #[must_use]
    pub fn weaker(self, other: Self) -> Self {
        let powered = if self.powered == other.powered { self.powered } else { None };
        match self.grade.cmp(&other.grade) {
            std::cmp::Ordering::Less => self,
            std::cmp::Ordering::Greater => other,
            std::cmp::Ordering::Equal => Self { grade: self.grade, powered },
        }
    }

    /// Of two that both succeeded, the stronger.
    #[must_use]
    pub fn stronger(self, other: Self) -> Self {
        let is_less = (self.grade, self.powered.is_some()) < (other.grade, other.powered.is_some());
        if is_less { other } else { self }
    }

    /// It may have been switched on later, and nobody says whether.
    #[must_use]
    pub fn perhaps_switched_on(self) -> Self {
        let known = self.powered.filter(|powered| *powered);
        Self { grade: self.grade.min(Evidence::Rebooted.worth().grade), powered: known }
    }

    /// It was switched on later: what is left is that the boot before has ended.
    #[must_use]
    pub fn switched_on(self) -> Self {
        Self { grade: self.grade.min(Evidence::PowerCycled.worth().grade), powered: Some(true) }
    }
}

/// What a success proves that Pacemaker reports and no receipt tells of: `ways` are the sets of devices that it may have been,
/// all of a set at once. The weakest way counts, in it the strongest device; without any way nothing is known of the device.
#[must_use]
pub fn of_ways<'a>(ways: impl IntoIterator<Item = &'a [Kind]>, stays_off: bool) -> Worth {
    let of_way = |way: &[Kind]| {
        let each = way.iter().map(|kind| Evidence::of_success(*kind, stays_off).worth());
        each.reduce(Worth::stronger).unwrap_or_else(|| Evidence::UnknownKind.worth())
    };
    ways.into_iter().map(of_way).reduce(Worth::weaker).unwrap_or_else(|| Evidence::UnknownKind.worth())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POWER: Kind = Kind::Power { reads_reboot: true };

    /// A grade is never chosen: it follows from who saw what. One case for each row of the table.
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

    /// What Pacemaker's success proves without a receipt, for each kind of device, off and reboot.
    #[test]
    fn each_kind_of_device() {
        let of_kind = |kind: Kind| [true, false].map(|stays_off| Evidence::of_success(kind, stays_off));
        let ours = |least| Kind::Ours { least };
        for (kind, expected) in [
            (POWER, [Evidence::PowerOff, Evidence::Rebooted]),
            (Kind::Power { reads_reboot: false }, [Evidence::PowerOff, Evidence::UnknownKind]),
            (Kind::Fabric, [Evidence::Fabric; 2]),
            (Kind::Watchdog, [Evidence::Watchdog; 2]),
            (Kind::Unknown, [Evidence::UnknownKind; 2]),
            (ours(Grade::Off), [Evidence::Promised(Grade::Off), Evidence::Promised(Grade::Bounded)]),
            (ours(Grade::Bounded), [Evidence::Promised(Grade::Bounded); 2]),
            (ours(Grade::Isolated), [Evidence::Promised(Grade::Isolated); 2]),
        ] {
            assert_eq!(of_kind(kind), expected, "{kind:?}");
        }
    }

    /// A cycle that ended on proves that the earlier boot is gone; what failed or was not done proves nothing.
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

    /// A fencing without a receipt is worth the weakest that any device which may have done it gives.
    #[test]
    fn of_several_ways_the_weakest_counts_and_in_one_the_strongest() {
        let ours = Kind::Ours { least: Grade::Bounded };
        let grade = |ways: &[&[Kind]], stays_off| {
            let worth = of_ways(ways.iter().copied(), stays_off);
            (worth.grade, worth.powered)
        };
        assert_eq!(grade(&[], true), (Grade::Isolated, None));
        assert_eq!(grade(&[&[]], true), (Grade::Isolated, None));
        assert_eq!(grade(&[&[POWER]], true), (Grade::Off, Some(false)));
        assert_eq!(grade(&[&[POWER]], false), (Grade::Bounded, None));
        assert_eq!(grade(&[&[POWER], &[ours]], true), (Grade::Bounded, None));
        assert_eq!(grade(&[&[POWER], &[Kind::Ours { least: Grade::Off }]], true), (Grade::Off, None));
        assert_eq!(grade(&[&[ours], &[Kind::Fabric]], true), (Grade::Isolated, None));
        assert_eq!(grade(&[&[ours, Kind::Fabric]], true), (Grade::Bounded, None));
        assert_eq!(grade(&[&[POWER, Kind::Unknown]], true), (Grade::Off, Some(false)));
        assert_eq!(grade(&[&[POWER], &[Kind::Watchdog]], true), (Grade::Bounded, None));
    }

    /// After a later power-on nothing is off.
    #[test]
    fn a_later_power_on_leaves_the_earlier_boot() {
        for (evidence, grade) in [(Evidence::PowerOff, Grade::Bounded), (Evidence::Fabric, Grade::Isolated)] {
            assert_eq!(evidence.worth().switched_on(), Worth { grade, powered: Some(true) });
        }
    }
}
