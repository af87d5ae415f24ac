//! Decides whether a shunned node may be readmitted; touches nothing. Only another boot than the one that was shunned
//! may return, and only while it runs no instance.

use super::list::{Epoch, SEVERAL_BOOTS, ShunEntry};
use crate::core::clocks::CLOCKS_DIFFER_MS;
use crate::core::grade::Grade;

/// The part of a readmission that is still due, by the entry of the node in the shun list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DuePart {
    /// The node was never shunned.
    Nothing,
    /// The node is readmitted here. The readmission is done when so many candidates have it that no memory of the
    /// shunning holds. A readmission that was reported as not done, and is repeated, is not done before that either.
    Telling,
    /// The node is shunned; a proof is needed before its readmission.
    Proof,
}

impl DuePart {
    /// Returns what is due, by `entry` of the shun list.
    #[must_use]
    pub fn of(entry: Option<&ShunEntry>) -> Self {
        match entry.map(|entry| entry.epoch).unwrap_or_default() {
            epoch if epoch.is_shunned() => Self::Proof,
            epoch if epoch > Epoch::default() => Self::Telling,
            _ => Self::Nothing,
        }
    }
}

/// What a shunned node reports of itself when it is asked for its readmission.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReturningNode {
    /// Its boot id (`proc_sys_kernel(5)`, `boot_id`).
    pub boot_id: String,
    /// How long it has been up, in milliseconds of its clock since boot; `None` if it did not report that.
    pub uptime_ms: Option<u64>,
    /// The number of instances that run there; `None` if it cannot be counted there.
    pub instances: Option<u32>,
    /// The number of DRBD devices that are primary there; `None` if it cannot be counted there.
    pub drbd_primaries: Option<u32>,
}

/// Returns why the node may not be readmitted without `--force`; `None` if it may. `now_ms` is the wall clock, in
/// milliseconds since 1970.
///
/// The boot id alone is not enough. The remembered id may be that of an earlier boot, if the node has booted between
/// the last question and the shunning. So the node must also be up for less time than it has been shunned.
#[must_use]
pub fn objection(entry: &ShunEntry, returned: &ReturningNode, now_ms: u64) -> Option<String> {
    if entry.boot_id.as_ref() == Some(&returned.boot_id) {
        return Some("it still runs the boot that was shunned: reboot it".to_owned());
    }
    let shunned_for = now_ms.saturating_sub(entry.since_ms);
    // The boot that is proven to have stopped is exactly the boot that its self-fencing reported.
    let is_known = entry.grade >= Grade::Bounded && entry.boot_id.as_ref().is_some_and(|boot| boot != SEVERAL_BOOTS);
    match returned.uptime_ms {
        _ if is_known => {}
        None => {
            return Some("it does not report since when it runs: install the same version of gnt-ha there".to_owned());
        }
        Some(uptime) if uptime.saturating_add(CLOCKS_DIFFER_MS) >= shunned_for => {
            return Some(format!(
                "it has been up for {} s and was shunned {} s ago: whether it has booted since is not proven (reboot it, or wait \
                 a minute if it has)",
                uptime / 1_000,
                shunned_for / 1_000
            ));
        }
        Some(_) => {}
    }
    match (returned.instances, returned.drbd_primaries) {
        (Some(0), Some(0)) => None,
        (None, _) | (_, None) => Some("it does not report whether instances run there".to_owned()),
        (Some(instances), Some(primaries)) => {
            Some(format!("{instances} instances run there, and {primaries} DRBD devices are primary: stop them"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::shun::list::ShunScope;

    const NOW: u64 = 1_700_000_000_000;

    fn why(boot_id: &str, uptime_s: Option<u64>, instances: Option<u32>, primaries: Option<u32>) -> String {
        why_of(Grade::Isolated, boot_id, uptime_s, instances, primaries)
    }

    fn entry(grade: Grade) -> ShunEntry {
        ShunEntry {
            epoch: Epoch(1),
            addresses: ["192.0.2.3".parse().unwrap()].into(),
            scope: ShunScope::All,
            grade,
            boot_id: Some("old".into()),
            since_ms: NOW - 300_000,
            by: "x".into(),
        }
    }

    /// A readmission that too few candidates have stays undone, however often it is repeated.
    #[test]
    fn a_readmission_that_is_done_again_has_to_be_known_to_enough() {
        let due = |epoch: u64| DuePart::of(Some(&ShunEntry { epoch: Epoch(epoch), ..entry(Grade::Unknown) }));
        assert_eq!((due(1), due(2), due(3)), (DuePart::Proof, DuePart::Telling, DuePart::Proof));
        assert_eq!((due(0), DuePart::of(None)), (DuePart::Nothing, DuePart::Nothing));
    }

    fn why_of(
        grade: Grade,
        boot_id: &str,
        uptime_s: Option<u64>,
        instances: Option<u32>,
        primaries: Option<u32>,
    ) -> String {
        let entry = entry(grade);
        let uptime_ms = uptime_s.map(|s| s * 1_000);
        let returned = ReturningNode { boot_id: boot_id.into(), uptime_ms, instances, drbd_primaries: primaries };
        objection(&entry, &returned, NOW).unwrap_or_default()
    }

    /// A returning node must have a new boot id, and prove that it runs nothing.
    #[test]
    fn only_another_boot_that_runs_nothing_is_let_in() {
        assert_eq!(why("new", Some(100), Some(0), Some(0)), "");
        assert!(why("old", Some(100), Some(0), Some(0)).contains("still runs the boot"));
        assert!(
            why("new", Some(290), Some(0), Some(0)).contains("not proven"),
            "booted before, and not reported since"
        );
        assert!(why("new", Some(u64::MAX / 1_000), Some(0), Some(0)).contains("not proven"));
        assert!(why("new", None, Some(0), Some(0)).contains("does not report"));
        assert!(why("new", Some(100), Some(2), Some(0)).contains("2 instances"));
        assert!(why("new", Some(100), Some(0), Some(1)).contains("1 DRBD"));
        assert!(why("new", Some(100), None, Some(0)).contains("does not report"));
        assert_eq!(why_of(Grade::Bounded, "new", Some(290), Some(0), Some(0)), "", "the one that stopped is known");
        assert!(why_of(Grade::Bounded, "old", Some(290), Some(0), Some(0)).contains("still runs the boot"));
        assert!(why_of(Grade::Bounded, "new", Some(290), Some(1), Some(0)).contains("1 instances"));
    }
}
