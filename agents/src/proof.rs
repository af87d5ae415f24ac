//! What proves that a node is gone: our receipts, and Pacemaker's fence history.

use std::path::Path;
use std::time::Duration;

use gnt_ha::core::grade::Grade;
use gnt_ha::core::history::{Story, stories};
use gnt_ha::core::node::{self, NodeName};
use gnt_ha::core::receipt::{Action, Outcome};
use gnt_ha::sys::clock::{Deadline, now};
use gnt_ha::sys::ledger::Ledger;

use crate::pacemaker::{self, Fenced, Status};

/// How old a proof may be: a fenced node may be back, and be lost again in a way that nobody fenced it for.
const FRESH: Duration = Duration::from_secs(600);

/// How far clocks of hosts may be apart.
const CLOCKS: Duration = Duration::from_secs(60);

/// What proves that `node` is gone, in words; `None` without a proof.
///
/// Whoever asks has tried to reach it and could not. A node that is a member of the cluster, or still to be fenced,
/// is not gone, whatever happened to it before.
#[must_use]
pub fn proof_that_gone(state_dir: &Path, gone: &NodeName, deadline: Deadline) -> Option<String> {
    let status = pacemaker::status(deadline);
    let now_ms = now().wall_ms;
    if let Some(status) = &status
        && !may_be_gone(status, gone)
    {
        return None;
    }
    let by_history = status.and_then(|status| by_fence_history(&status.fenced, gone, now_ms));
    by_history.or_else(|| {
        let contents = Ledger::new(state_dir).read().ok()?;
        by_receipts(&stories(contents.entries, Some(gone)), now_ms)
    })
}

fn may_be_gone(status: &Status, gone: &NodeName) -> bool {
    let same = |name: &str| NodeName::new(name).is_ok_and(|name| node::find(gone, [&name]).is_ok());
    status.nodes.iter().filter(|node| same(&node.name)).all(|node| !node.online && !node.unclean)
}

fn by_fence_history(fenced: &[Fenced], gone: &NodeName, now_ms: u64) -> Option<String> {
    let same = |name: &str| NodeName::new(name).is_ok_and(|name| node::find(gone, [&name]).is_ok());
    let event = fenced
        .iter()
        .filter(|event| same(&event.target) && matches!(event.action.as_str(), "off" | "reboot"))
        .find(|event| completed_ms(&event.completed).is_some_and(|at| is_fresh(at, now_ms)))?;
    Some(format!("Pacemaker: {} of {} by {} at {}", event.action, event.target, event.delegate, event.completed))
}

fn by_receipts(told: &[Story], now_ms: u64) -> Option<String> {
    // The last that is known to have happened counts: after a power-on nothing before it proves anything.
    let last = told.iter().rfind(|story| story.receipt.is_some())?;
    let receipt = last.receipt.as_ref()?;
    let removal = matches!(last.intent.action, Action::Off | Action::Cycle | Action::Reboot);
    let proven = matches!(receipt.outcome, Outcome::Done | Outcome::AlreadySo | Outcome::OffOnly);
    (removal && proven && receipt.grade >= Grade::Bounded && is_fresh(receipt.at.wall_ms, now_ms))
        .then(|| format!("receipt {}: {} of {}, {}", receipt.id, last.intent.action, last.intent.node, receipt.grade))
}

fn is_fresh(at_ms: u64, now_ms: u64) -> bool {
    let (fresh, clocks) = (FRESH.as_millis() as u64, CLOCKS.as_millis() as u64);
    at_ms <= now_ms + clocks && now_ms.saturating_sub(at_ms) <= fresh
}

/// Pacemaker writes local time, with its offset (`crm_time_as_string`).
fn completed_ms(text: &str) -> Option<u64> {
    const FORMATS: [&str; 3] = ["%Y-%m-%d %H:%M:%S%.f %:z", "%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.fZ"];
    let zoned = |format: &&str| {
        let time = jiff::fmt::strtime::parse(format, text).ok()?;
        time.to_timestamp()
            .or_else(|_| time.to_datetime()?.to_zoned(jiff::tz::TimeZone::UTC).map(|z| z.timestamp()))
            .ok()
    };
    FORMATS.iter().find_map(zoned).and_then(|time| u64::try_from(time.as_millisecond()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacemaker::Node;

    const NOW: u64 = 1_795_376_400_000;

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    fn fenced(action: &str, completed: &str) -> Fenced {
        Fenced {
            action: action.into(),
            target: "n1.lab".into(),
            delegate: "n2.lab".into(),
            completed: completed.into(),
        }
    }

    #[test]
    fn times_with_an_offset_are_read() {
        assert_eq!(completed_ms("2026-11-22 19:40:00 +00:00"), completed_ms("2026-11-22 20:40:00 +01:00"));
        assert_eq!(completed_ms("2026-11-22 19:40:00Z"), completed_ms("2026-11-22 19:40:00.000000 +00:00"));
        assert!(completed_ms("2026-11-22 19:40:00Z").is_some());
        assert_eq!(completed_ms("yesterday"), None);
    }

    #[test]
    fn only_a_fresh_off_of_that_node_proves() {
        let at = completed_ms("2026-11-22 19:40:00Z").unwrap();
        let proof = |event: Fenced, after: u64| by_fence_history(&[event], &name("n1.lab"), at + after);
        assert!(proof(fenced("reboot", "2026-11-22 19:40:00Z"), 5_000).is_some());
        assert!(proof(fenced("off", "2026-11-22 19:40:00Z"), 599_000).is_some());
        assert!(proof(fenced("off", "2026-11-22 19:40:00Z"), 601_000).is_none());
        assert!(proof(fenced("on", "2026-11-22 19:40:00Z"), 0).is_none());
        assert!(proof(fenced("off", "?"), 0).is_none());
        assert!(by_fence_history(&[fenced("off", "2026-11-22 19:40:00Z")], &name("n2.lab"), at).is_none());
    }

    #[test]
    fn a_member_or_a_node_that_is_still_to_be_fenced_is_not_gone() {
        let status =
            |online, unclean| Status { nodes: vec![Node { name: "n1.lab".into(), online, unclean }], fenced: vec![] };
        assert!(may_be_gone(&status(false, false), &name("n1.lab")));
        assert!(!may_be_gone(&status(true, false), &name("n1.lab")));
        assert!(!may_be_gone(&status(false, true), &name("n1")));
        assert!(is_fresh(NOW, NOW) && !is_fresh(NOW + 61_000, NOW));
    }
}
