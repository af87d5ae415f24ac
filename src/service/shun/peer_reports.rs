//! Keeps what was reported to this host: by its own self-fencing in the run directory, and by other nodes in the state
//! directory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::core::node::NodeName;
use crate::core::shun::messages::{DatedSelfFenceReport, Denial, PeerReport, SelfFenceReport};
use crate::sys::clock::{Deadline, now};
use crate::sys::store::Store;
use crate::sys::{identity, state_file};

/// The largest age of the report of this host's self-fencing, in milliseconds. It is refreshed each second.
const FRESH_MS: u64 = 3_000;

/// The report that self-fencing of this host keeps in the run directory while other nodes may rely on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredSelfFenceReport {
    /// When it was written, in milliseconds of the clock since boot.
    pub at_boottime_ms: u64,
    /// The report, as of that moment.
    pub report: SelfFenceReport,
}

/// Returns the path of the report of this host's self-fencing.
#[must_use]
pub fn self_fence_file(run: &Path) -> PathBuf {
    run.join("self-fence-report.json")
}

/// Reads the report of this host's self-fencing as of now; `None` if it is not armed, cannot be relied on, or does not
/// run.
#[must_use]
pub fn own_self_fence(run: &Path) -> Option<SelfFenceReport> {
    let stored: StoredSelfFenceReport = state_file::read(&self_fence_file(run)).ok().flatten()?;
    let age = now().boottime_ms.checked_sub(stored.at_boottime_ms)?;
    let mut report = stored.report;
    report.lease_age_ms += age;
    report.guaranteed_for_ms = report.guaranteed_for_ms.saturating_sub(age);
    (age <= FRESH_MS && report.boot_id == identity::incarnation()).then_some(report)
}

/// The answer of another node, with the time of the question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredPeerReport {
    /// When the node was asked, in milliseconds of this host's clock since boot.
    pub asked_boottime_ms: u64,
    /// The boot of this host to which that clock belongs.
    pub boot_id: String,
    /// The answer of the node.
    pub report: PeerReport,
}

/// The last answer of each node.
pub type Peers = BTreeMap<NodeName, StoredPeerReport>;

/// The name of the file in the state directory.
const PEERS: &str = "peer-reports.json";

/// Reads the last answer of each node; empty if the file cannot be read, as the nodes answer again.
#[must_use]
pub fn peers(state: &Path) -> Peers {
    Store::new(state).read(PEERS).ok().flatten().unwrap_or_default()
}

/// Keeps the answers `received` beside those of the other nodes that `of` selects. Two processes that ask at once lose none
/// of each other's answers, and an older answer never replaces a newer one of this boot.
///
/// # Errors
/// The error of the file system, or that another process held the lock until the deadline.
pub fn keep_peers(state: &Path, received: Peers, of: impl Fn(&NodeName) -> bool, deadline: Deadline) -> io::Result<()> {
    let store = Store::new(state);
    let _lock = store.lock("peers", deadline).map_err(|error| io::Error::other(error.to_string()))?;
    let mut kept = peers(state);
    kept.retain(|node, _| of(node));
    for (node, report) in received {
        let is_newer = kept.get(&node).is_none_or(|before| {
            before.boot_id != report.boot_id || before.asked_boottime_ms <= report.asked_boottime_ms
        });
        if is_newer {
            kept.insert(node, report);
        }
    }
    store.write_unflushed(PEERS, &kept).map(drop)
}

/// Returns how long ago a node was asked, in milliseconds; `None` if that was before this host's boot.
#[must_use]
pub fn age_ms(stored: &StoredPeerReport) -> Option<u64> {
    let age_ms = now().boottime_ms.checked_sub(stored.asked_boottime_ms)?;
    (stored.boot_id == identity::incarnation()).then_some(age_ms)
}

/// Returns the report of a node's self-fencing from its last answer, with its age; `None` if the answer has none, or
/// was given before this host's boot.
#[must_use]
pub fn self_fence_report(stored: &StoredPeerReport) -> Option<DatedSelfFenceReport> {
    let self_fence = stored.report.self_fence.clone()?;
    Some(DatedSelfFenceReport { self_fence, age_ms: age_ms(stored)?, uptime_ms: stored.report.uptime_ms })
}

/// Returns the statement of a node's last answer that its self-fencing is not armed; `None` if it is armed, or the
/// answer was given before this host's boot.
#[must_use]
pub fn denial(stored: &StoredPeerReport) -> Option<Denial> {
    let is_denied = stored.report.self_fence.is_none();
    let age_ms = age_ms(stored)?;
    let (boot_id, uptime_ms) = (stored.report.boot_id.clone(), stored.report.uptime_ms);
    is_denied.then_some(Denial { boot_id, age_ms, uptime_ms })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn stored(node: &NodeName, asked_boottime_ms: u64, boot_id: &str) -> StoredPeerReport {
        let report = serde_json::json!({"version": 1, "node": node, "boot_id": "b1", "shun_list": {}, "shunned": {}, "ruleset_id": "1"});
        StoredPeerReport {
            asked_boottime_ms,
            boot_id: boot_id.to_owned(),
            report: serde_json::from_value(report).unwrap(),
        }
    }

    /// Of two processes that ask at once, neither removes the other's answers, and a late answer does not replace a
    /// newer one.
    #[test]
    fn answers_that_another_process_has_kept_meanwhile_are_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let [n2, n3, gone] = ["n2", "n3", "gone"].map(|name| NodeName::new(name).unwrap());
        let keep = |received: &[(&NodeName, u64, &str)]| {
            let received = received.iter().map(|(node, at, boot)| ((*node).clone(), stored(node, *at, boot))).collect();
            keep_peers(dir.path(), received, |node| *node != gone, Deadline::after(Duration::from_secs(5))).unwrap();
            peers(dir.path()).into_iter().map(|(node, stored)| (node, stored.asked_boottime_ms)).collect::<Vec<_>>()
        };
        keep(&[(&n2, 20, "b"), (&gone, 1, "b")]);
        assert_eq!(keep(&[(&n3, 30, "b")]), [(n2.clone(), 20), (n3.clone(), 30)]);
        assert_eq!(keep(&[(&n2, 10, "b"), (&n3, 40, "b")]), [(n2.clone(), 20), (n3.clone(), 40)]);
        assert_eq!(keep(&[(&n2, 5, "next boot")]), [(n2, 5), (n3, 40)]);
    }

    /// A process that cannot take the lock changes nothing.
    #[test]
    fn one_process_at_a_time_changes_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let _held = Store::new(dir.path()).lock("peers", Deadline::after(Duration::from_secs(5))).unwrap();
        let n2 = NodeName::new("n2").unwrap();
        let received = Peers::from([(n2.clone(), stored(&n2, 1, "b"))]);
        assert!(keep_peers(dir.path(), received, |_| true, Deadline::after(Duration::from_millis(20))).is_err());
        assert!(peers(dir.path()).is_empty());
    }
}
