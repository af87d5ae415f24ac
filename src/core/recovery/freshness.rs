//! The freshness of a DRBD secondary: what was seen of it before its primary's host died. Pure.
//!
//! After the death, the secondary's disk is `UpToDate` by its own view even if the link was lost long before, and
//! Ganeti ignores a degraded disk when the primary node is offline (`_ExecFailover` in
//! `lib/cmdlib/instance_migration.py`). So only a sighting before the death shows that a start there has the newest data.

use std::fmt;

/// The sightings of an instance's DRBD disks, in milliseconds since 1970 (wall clock of the host that saw them).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrbdSightings {
    /// When all disks were last seen connected and up to date on both nodes.
    pub fresh_ms: Option<u64>,
    /// When a disk was seen otherwise for the first time since it was last seen so.
    pub stale_ms: Option<u64>,
}

/// The reason why the secondary is not proven to have the newest data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFresh {
    /// The disks were never seen up to date.
    NeverSeen,
    /// It is unknown when the host was lost.
    DeathUnknown,
    /// A disk was seen not up to date, or not connected, after it was last seen up to date and before the death.
    Stale {
        /// How long before the death, in milliseconds.
        before_death_ms: u64,
    },
    /// The last sighting was too long before the death.
    TooOld {
        /// How long before the death, in milliseconds.
        age_ms: u64,
        /// The limit, in milliseconds.
        limit_ms: u64,
    },
}

impl fmt::Display for NotFresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverSeen => f.write_str("its disks were never seen up to date on the secondary"),
            Self::DeathUnknown => {
                f.write_str("it is unknown when its host was lost, and so whether its disks are fresh")
            }
            Self::Stale { before_death_ms } => {
                write!(
                    f,
                    "its disks were not up to date on the secondary {} s before the death",
                    before_death_ms / 1_000
                )
            }
            Self::TooOld { age_ms, limit_ms } => write!(
                f,
                "its disks were last seen up to date {} s before the death (limit {} s)",
                age_ms.div_ceil(1_000),
                limit_ms / 1_000
            ),
        }
    }
}

/// Returns how long before the death the disks were last seen up to date, in milliseconds.
///
/// `lost_ms` is when the host was lost: the last sign of life, not the later fencing. What is seen after that does not
/// count, because the death itself disconnects the disks.
///
/// # Errors
/// [`NotFresh`] if the sightings do not show that the secondary has the newest data.
pub fn age_before_death(sightings: DrbdSightings, lost_ms: Option<u64>, limit_ms: u64) -> Result<u64, NotFresh> {
    let lost_ms = lost_ms.ok_or(NotFresh::DeathUnknown)?;
    let fresh_ms = sightings.fresh_ms.ok_or(NotFresh::NeverSeen)?;
    if let Some(stale_ms) = sightings.stale_ms.filter(|stale_ms| (fresh_ms..lost_ms).contains(stale_ms)) {
        return Err(NotFresh::Stale { before_death_ms: lost_ms - stale_ms });
    }
    // A sighting after the loss shows that the loss is dated too early: the clocks of two hosts differ.
    let age_ms = lost_ms.saturating_sub(fresh_ms);
    if age_ms > limit_ms { Err(NotFresh::TooOld { age_ms, limit_ms }) } else { Ok(age_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST: Option<u64> = Some(100_000);

    fn age(fresh_ms: Option<u64>, stale_ms: Option<u64>) -> Result<u64, NotFresh> {
        age_before_death(DrbdSightings { fresh_ms, stale_ms }, LOST, 30_000)
    }

    #[test]
    fn only_a_sighting_shortly_before_the_death_is_enough() {
        assert_eq!(age(Some(91_000), None), Ok(9_000));
        assert_eq!(age(Some(70_000), None), Ok(30_000));
        assert_eq!(age(Some(69_999), None), Err(NotFresh::TooOld { age_ms: 30_001, limit_ms: 30_000 }));
        assert_eq!(age(None, None), Err(NotFresh::NeverSeen));
        let sightings = DrbdSightings { fresh_ms: Some(99_000), stale_ms: None };
        assert_eq!(age_before_death(sightings, None, 30_000), Err(NotFresh::DeathUnknown));
    }

    /// The link was lost before the death: the secondary has old data. The death itself disconnects, too.
    #[test]
    fn a_link_lost_before_the_death_makes_it_stale() {
        assert_eq!(age(Some(80_000), Some(90_000)), Err(NotFresh::Stale { before_death_ms: 10_000 }));
        assert_eq!(age(Some(90_000), Some(80_000)), Ok(10_000), "it was connected again");
        assert_eq!(age(Some(95_000), Some(101_000)), Ok(5_000), "the death disconnects");
        assert_eq!(age(None, Some(99_000)), Err(NotFresh::NeverSeen));
        assert_eq!(age(Some(95_000), Some(95_000)), Err(NotFresh::Stale { before_death_ms: 5_000 }), "one disk of two");
    }
}
