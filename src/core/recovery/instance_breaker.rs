//! The breaker of the instances, a guard: too many instances to start at once have another cause than the death of one
//! host. Pure.
//!
//! It opens for all of them, never for some, and names them. It closes when the administrator resets it, or when none of
//! the instances that it blocks is to be started any more.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::instance::InstanceName;

/// How many instances may be started at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceLimits {
    /// The number of instances, however small the cluster is.
    pub instances: usize,
    /// The share of all instances that are to run, in percent, which counts if it is more.
    pub percent: usize,
}

impl Default for InstanceLimits {
    fn default() -> Self {
        Self { instances: 50, percent: 40 }
    }
}

impl InstanceLimits {
    /// Returns the limit for a cluster in which `total` instances are to run.
    #[must_use]
    pub fn of(self, total: usize) -> usize {
        self.instances.max(total.saturating_mul(self.percent) / 100)
    }
}

/// The state of the breaker between two plans. A new master begins with the default, and finds the same reason to open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceBreaker {
    /// The instances that are blocked; empty while the breaker is closed.
    blocked: BTreeSet<InstanceName>,
    /// The limit that was exceeded.
    limit: usize,
    /// The instances that the administrator has released by a reset: they count no more while they are to be started.
    excused: BTreeSet<InstanceName>,
}

impl InstanceBreaker {
    /// Returns the instances that are blocked, and the limit; `None` while the breaker is closed.
    #[must_use]
    pub fn open(&self) -> Option<(&BTreeSet<InstanceName>, usize)> {
        (!self.blocked.is_empty()).then_some((&self.blocked, self.limit))
    }

    /// Resets the breaker for the administrator: the instances that it blocks are started.
    #[must_use]
    pub fn reset(self) -> Self {
        let mut excused = self.excused;
        excused.extend(self.blocked);
        Self { excused, ..Self::default() }
    }

    /// Asks to start `wanted`, with those that are being started already. The answer is for all of them.
    #[must_use]
    pub(super) fn pass(mut self, wanted: &BTreeSet<InstanceName>, limits: InstanceLimits, total: usize) -> Self {
        self.excused.retain(|name| wanted.contains(name));
        let limit = limits.of(total);
        let counted = wanted.difference(&self.excused).count();
        let stays_open = self.blocked.iter().any(|name| wanted.contains(name));
        if counted > limit || stays_open {
            if !stays_open {
                self.limit = limit;
            }
            self.blocked = wanted.difference(&self.excused).cloned().collect();
        } else {
            self.blocked.clear();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: std::ops::Range<usize>) -> BTreeSet<InstanceName> {
        numbers.map(|number| InstanceName::new(&format!("i{number}")).unwrap()).collect()
    }

    fn pass(breaker: InstanceBreaker, wanted: std::ops::Range<usize>) -> InstanceBreaker {
        breaker.pass(&set(wanted), InstanceLimits { instances: 3, percent: 10 }, 20)
    }

    #[test]
    fn the_limit_is_the_larger_of_both() {
        let limits = InstanceLimits::default();
        assert_eq!([1, 100, 125, 130, 4_000].map(|total| limits.of(total)), [50, 50, 50, 52, 1_600]);
    }

    #[test]
    fn all_of_too_many_are_blocked_and_stay_so() {
        let closed = pass(InstanceBreaker::default(), 0..3);
        assert_eq!(closed.open(), None);
        let open = pass(closed, 0..4);
        assert_eq!(open.open(), Some((&set(0..4), 3)));
        // An administrator has started two by hand: the others do not start because of that.
        let open = pass(open, 2..4);
        assert_eq!(open.open(), Some((&set(2..4), 3)));
        assert_eq!(pass(open, 5..6).open(), None, "none of them is to be started any more");
    }

    #[test]
    fn a_reset_releases_these_and_no_others() {
        let open = pass(InstanceBreaker::default(), 0..4).reset();
        let released = pass(open, 0..4);
        assert_eq!(released.open(), None);
        assert_eq!(pass(released.clone(), 0..7).open(), None, "three more are within the limit");
        assert_eq!(pass(released, 0..8).open(), Some((&set(4..8), 3)));
    }
}
