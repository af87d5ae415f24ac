//! Decides which report of a node's self-fencing is the newest one that nodes keep, and that none counts where this is
//! in doubt. It touches nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::messages::{DatedSelfFenceReport, Denial};

/// The longest time between question and answer, in milliseconds: no question of ours waits longer. Ages count from the
/// question, so the order of two statements is unknown if their ages differ by less than this.
const IN_DOUBT_MS: u64 = 15_000;

/// One statement of a node, as another node keeps it.
#[derive(Clone, Copy)]
struct Statement<'a> {
    boot_id: &'a str,
    age_ms: u64,
    uptime_ms: Option<u64>,
}

impl Statement<'_> {
    /// Returns whether `other` may be newer than this statement: from a later moment of the same boot, or from a later
    /// boot.
    fn may_precede(self, other: Self) -> bool {
        let by_age = other.age_ms <= self.age_ms.saturating_add(IN_DOUBT_MS);
        match (self.uptime_ms, other.uptime_ms) {
            // The node's own clock orders two statements of one boot.
            (Some(own), Some(others)) if self.boot_id == other.boot_id => others >= own,
            // The beginnings of their boots order two statements of different boots.
            (Some(own), Some(others)) => {
                let began = self.age_ms.saturating_add(own);
                other.age_ms.saturating_add(others) <= began.saturating_add(IN_DOUBT_MS)
            }
            _ => by_age,
        }
    }
}

impl DatedSelfFenceReport {
    fn statement(&self) -> Statement<'_> {
        Statement { boot_id: &self.self_fence.boot_id, age_ms: self.age_ms, uptime_ms: self.uptime_ms }
    }
}

impl Denial {
    fn statement(&self) -> Statement<'_> {
        Statement { boot_id: &self.boot_id, age_ms: self.age_ms, uptime_ms: self.uptime_ms }
    }
}

/// The statements that nodes keep of the self-fencing of one node, all with their age at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KeptReports {
    /// The reports that it has sent to any of them.
    pub reports: Vec<DatedSelfFenceReport>,
    /// Its statements that its self-fencing is not armed.
    pub denials: Vec<Denial>,
}

/// A reason why no report of a node's self-fencing counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LastStateError {
    /// This host has kept no report of the node's self-fencing.
    #[error("its self-fencing is unknown here: gnt-ha self-fence arm on it, before it is needed")]
    NoReport,
    /// A denial may be newer than the newest report.
    #[error("it reported {age_s} s ago that its self-fencing is not armed")]
    Denied {
        /// The age of the denial, in seconds.
        age_s: u64,
    },
    /// Another boot has sent a report that may be newer.
    #[error("its self-fencing was reported in two boots, and which of them is the later one is unknown")]
    TwoBoots,
}

impl KeptReports {
    /// Returns the same statements `ms` milliseconds later.
    #[must_use]
    pub fn later(mut self, ms: u64) -> Self {
        self.reports.iter_mut().for_each(|one| one.age_ms = one.age_ms.saturating_add(ms));
        self.denials.iter_mut().for_each(|one| one.age_ms = one.age_ms.saturating_add(ms));
        self
    }

    /// Returns these statements together with those of `other`.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.reports.extend(other.reports.iter().cloned());
        self.denials.extend(other.denials.iter().cloned());
        self
    }

    /// Returns the newest report. An older report never outlives a newer denial, nor a report of another boot.
    ///
    /// # Errors
    /// [`LastStateError`] if no report is kept, if a denial may be newer than the newest report, or if another boot has
    /// sent a report that may be newer.
    pub fn newest(&self) -> Result<DatedSelfFenceReport, LastStateError> {
        let Some(newest) = self.reports.iter().min_by_key(|one| one.age_ms).cloned() else {
            return Err(LastStateError::NoReport);
        };
        let own = newest.statement();
        let denied = self.denials.iter().filter(|denial| own.may_precede(denial.statement()));
        if let Some(age_ms) = denied.map(|denial| denial.age_ms).min() {
            return Err(LastStateError::Denied { age_s: age_ms / 1_000 });
        }
        let is_later_boot = |one: &DatedSelfFenceReport| {
            one.self_fence.boot_id != newest.self_fence.boot_id && own.may_precede(one.statement())
        };
        if self.reports.iter().any(is_later_boot) {
            return Err(LastStateError::TwoBoots);
        }
        Ok(newest)
    }

    /// Returns every list of candidates that the boot has reported within its promise: it may go by any of them again.
    #[must_use]
    pub fn lists(&self, boot_id: &str) -> BTreeSet<BTreeSet<IpAddr>> {
        let is_kept = |one: &&DatedSelfFenceReport| {
            one.self_fence.boot_id == boot_id && one.age_ms <= one.self_fence.guaranteed_for_ms
        };
        self.reports.iter().filter(is_kept).map(|one| one.self_fence.candidates.iter().copied().collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::shun::lease_times::LeaseTimes;
    use crate::core::shun::messages::SelfFenceReport;

    const UPTIME_S: u64 = 1_000;

    /// Asked `age_s` seconds ago; the boot `b1` began 1000 s ago, and `b2` 100 s ago.
    fn reported(boot_id: &str, age_s: u64, candidates: &[u8]) -> DatedSelfFenceReport {
        let self_fence = SelfFenceReport {
            boot_id: boot_id.to_owned(),
            driver: "iTCO_wdt".to_owned(),
            nowayout: true,
            lease_times: LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 0, stop_ms: 0 },
            candidates: candidates.iter().map(|n| IpAddr::from([192, 0, 2, *n])).collect(),
            asks_from: None,
            is_virtual: Some(false),
            guaranteed_for_ms: 600_000,
            lease_age_ms: 0,
        };
        let began_s = if boot_id == "b2" { 100 } else { UPTIME_S };
        DatedSelfFenceReport {
            self_fence,
            age_ms: age_s * 1_000,
            uptime_ms: Some(began_s.max(age_s) * 1_000 - age_s * 1_000),
        }
    }

    fn denied(boot_id: &str, age_s: u64) -> Denial {
        let began_s = if boot_id == "b2" { 100 } else { UPTIME_S };
        Denial { boot_id: boot_id.to_owned(), age_ms: age_s * 1_000, uptime_ms: Some((began_s - age_s) * 1_000) }
    }

    /// The statement that the present boot has no self-fencing outweighs the memory that the boot before it had.
    #[test]
    fn an_older_report_does_not_outlive_a_newer_denial() {
        let old = || vec![reported("b1", 170, &[1, 2, 3])];
        assert!(newest(old(), &[]).is_ok());
        assert_eq!(newest(old(), &[denied("b2", 10)]), Err(LastStateError::Denied { age_s: 10 }));
        assert!(newest(old(), &[denied("b1", 160)]).is_err(), "it was disarmed since");
        assert!(newest(old(), &[denied("b1", 180)]).is_ok(), "it was armed since, by its own clock");
        assert!(newest(vec![reported("b2", 20, &[1])], &[denied("b1", 110)]).is_ok(), "the boot before had none");
        assert_eq!(newest(vec![], &[]), Err(LastStateError::NoReport));
    }

    /// A statement without its uptime is ordered by its age, as far as the age decides.
    #[test]
    fn without_an_uptime_the_age_decides_and_doubt_is_no_proof() {
        let old = || vec![DatedSelfFenceReport { uptime_ms: None, ..reported("b1", 170, &[1, 2, 3]) }];
        assert!(newest(old(), &[denied("b1", 184)]).is_err(), "which was reported first is unknown");
        assert!(newest(old(), &[denied("b1", 186)]).is_ok());
    }

    fn newest(reports: Vec<DatedSelfFenceReport>, denials: &[Denial]) -> Result<DatedSelfFenceReport, LastStateError> {
        KeptReports { reports, denials: denials.to_vec() }.newest()
    }

    #[test]
    fn of_two_boots_whose_order_is_not_known_neither_counts() {
        let both = |uptime_s: u64| {
            let first = DatedSelfFenceReport { uptime_ms: Some(uptime_s * 1_000), ..reported("b1", 60, &[1]) };
            newest(vec![first, reported("b2", 10, &[1])], &[])
        };
        assert!(both(54).is_err(), "it began 114 s ago, and the other one 100 s");
        assert_eq!(both(56).unwrap().self_fence.boot_id, "b2");
        assert!(
            newest(vec![reported("b1", 10, &[1]), reported("b2", 20, &[1])], &[]).is_err(),
            "the later boot was asked before"
        );
        assert_eq!(newest(vec![reported("b1", 90, &[1]), reported("b1", 10, &[1])], &[]).unwrap().age_ms, 10_000);
    }

    #[test]
    fn every_list_that_was_reported_within_the_promise_counts() {
        let reports = vec![
            reported("b1", 10, &[1, 2, 3]),
            reported("b1", 500, &[1, 4, 5]),
            reported("b1", 601, &[6]),
            reported("b0", 20, &[7]),
        ];
        let kept = KeptReports { reports, denials: Vec::new() };
        assert_eq!(kept.lists("b1").len(), 2);
        assert_eq!(kept.clone().later(101_000).lists("b1").len(), 1);
        assert_eq!(kept.clone().and(&kept).lists("b0").len(), 1);
    }
}
