//! Joins the receipts of one host and the cluster's fence history into one time line. Pure.

use std::collections::BTreeSet;

use serde::Serialize;

use super::history::ActionRecord;
use super::node::{self, NodeName};
use super::receipt::{Action, ActionStep};
use super::reconcile::{Delegate, Fence, FenceAction};
use super::recovery::recovery_log::{InstanceCourse, RecoveryLog};

/// How much later than the agent's end Pacemaker may note the end of the fencing, in milliseconds: it notifies its
/// peers first.
const LATER_MS: u64 = 5_000;

/// The resolution of Pacemaker's times, in milliseconds: it writes whole seconds.
const COARSE_MS: u64 = 1_000;

/// How long before its end, as Pacemaker noted it, a fencing by another host may have begun, in milliseconds.
const FENCING_MS: u64 = 60_000;

/// One event of a node. Serialised: the fields of the action, if there is one, and `pacemaker`, which is null if
/// Pacemaker has no entry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimelineEvent {
    /// The action of this host, if there is one.
    #[serde(flatten)]
    pub action: Option<ActionRecord>,
    /// The entry of Pacemaker's fence history, if there is one.
    pub pacemaker: Option<FencedNode>,
    /// What became of the instances of the node, as far as this host was the master; left out without any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<InstanceCourse>,
}

/// An entry of Pacemaker's fence history, with its target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FencedNode {
    /// The target, as Pacemaker names it.
    pub node: NodeName,
    /// The action, its status, its time and its delegate.
    #[serde(flatten)]
    pub fence: Fence,
}

impl TimelineEvent {
    /// When the event began, or ended if only that is known, in milliseconds since 1970. A fencing that is pending
    /// sorts last.
    fn at_ms(&self) -> u64 {
        let fenced = || self.pacemaker.as_ref().map(|fenced| fenced.fence.completed_ms.unwrap_or(u64::MAX));
        self.action.as_ref().map(|action| action.intent.at.wall_ms).or_else(fenced).unwrap_or(u64::MAX)
    }

    /// Returns what the event concerns.
    fn node(&self) -> Option<&NodeName> {
        let fenced = || self.pacemaker.as_ref().map(|fenced| &fenced.node);
        self.action.as_ref().map(|action| &action.intent.node).or_else(fenced)
    }

    /// Returns the steps of the instances, in the order of time. They count from when the action began; without an action,
    /// from when the host was lost.
    #[must_use]
    pub fn recovery_steps(&self) -> Vec<ActionStep> {
        let begun = self.action.as_ref().map(|action| action.intent.at.wall_ms);
        let lost = || self.instances.iter().map(|course| course.lost_ms.unwrap_or(course.since_ms)).min();
        let zero_ms = begun.or_else(lost).unwrap_or_default();
        let mut steps: Vec<ActionStep> = self.instances.iter().flat_map(|course| course.steps(zero_ms)).collect();
        steps.sort_by_key(|step| step.at_ms);
        steps
    }
}

/// Adds to each fencing of `events`, the oldest first, the instances whose recovery began after it and before the next one.
pub fn add_instances(events: &mut [TimelineEvent], log: RecoveryLog) {
    let all: BTreeSet<NodeName> = events
        .iter()
        .filter_map(|event| event.node().cloned())
        .chain(log.instances.iter().map(|course| course.off.clone()))
        .collect();
    for course in log.instances {
        let is_of = |event: &&mut TimelineEvent| {
            let is_on = event.action.as_ref().is_some_and(|action| action.intent.action == Action::On);
            let begun_ms = match &event.action {
                Some(_) => event.at_ms(),
                None => event.at_ms().saturating_sub(FENCING_MS),
            };
            !is_on
                && begun_ms <= course.since_ms
                && event.node().is_some_and(|node| node::same(node, &course.off, &all))
        };
        if let Some(event) = events.iter_mut().rfind(is_of) {
            event.instances.push(course);
        }
    }
}

/// Joins actions, the oldest first, with the fence history. With `node`, returns only the events of that node. With
/// `since_ms`, in milliseconds since 1970, entries that Pacemaker alone has are left out if they ended before.
#[must_use]
pub fn joined(
    actions: Vec<ActionRecord>,
    fences: Vec<(NodeName, Fence)>,
    node: Option<&NodeName>,
    since_ms: Option<u64>,
) -> Vec<TimelineEvent> {
    let mut all: BTreeSet<NodeName> = fences.iter().map(|(target, _)| target.clone()).collect();
    for intent in actions.iter().map(|action| &action.intent) {
        all.extend([intent.node.clone()].into_iter().chain(NodeName::new(&intent.host).ok()));
    }
    let is_wanted = |target: &NodeName| node.is_none_or(|node| node::same(node, target, &all));
    let mut fenced: Vec<FencedNode> = fences
        .into_iter()
        .filter(|(target, _)| is_wanted(target))
        .map(|(node, fence)| FencedNode { node, fence })
        .collect();
    let mut events: Vec<TimelineEvent> = actions
        .into_iter()
        .map(|action| {
            let same = fenced.iter().position(|fenced| is_same(&action, fenced, &all));
            TimelineEvent {
                pacemaker: same.map(|at| fenced.swap_remove(at)),
                action: Some(action),
                instances: Vec::new(),
            }
        })
        .collect();
    let is_recent =
        |fenced: &FencedNode| fenced.fence.completed_ms.is_none_or(|at| since_ms.is_none_or(|since| at >= since));
    let alone = |fenced| TimelineEvent { action: None, pacemaker: Some(fenced), instances: Vec::new() };
    events.extend(fenced.into_iter().filter(is_recent).map(alone));
    events.sort_by_key(TimelineEvent::at_ms);
    events
}

/// Returns whether an entry of Pacemaker's is this action. The same host did the same to the same node, and Pacemaker
/// noted its end right after the receipt.
fn is_same(action: &ActionRecord, fenced: &FencedNode, all: &BTreeSet<NodeName>) -> bool {
    let FencedNode { node, fence } = fenced;
    let power_action = match fence.action {
        FenceAction::Off => Action::Off,
        FenceAction::Reboot => Action::Reboot,
        FenceAction::On => Action::On,
    };
    let is_here = |host: &NodeName| NodeName::new(&action.intent.host).is_ok_and(|own| node::same(&own, host, all));
    let is_then = |completed: u64, ended: u64| {
        (ended.saturating_sub(COARSE_MS)..=ended.saturating_add(LATER_MS)).contains(&completed)
    };
    action.intent.action == power_action
        && node::same(&action.intent.node, node, all)
        && matches!(&fence.delegate, Delegate::Host(host) if is_here(host))
        && fence.completed_ms.zip(action.ended_ms()).is_some_and(|(completed, ended)| is_then(completed, ended))
}

#[cfg(test)]
mod tests {
    use super::super::history::join_entries;
    use super::super::receipt::LogEntry;
    use super::super::receipt::tests::{intent, receipt};
    use super::super::reconcile::FenceStatus;
    use super::super::recovery::instance::InstanceName;
    use super::*;

    fn fence(target: &str, host: &str, completed_ms: u64) -> (NodeName, Fence) {
        let fence = Fence {
            action: FenceAction::Reboot,
            status: FenceStatus::Success,
            completed_ms: Some(completed_ms),
            delegate: Delegate::Host(NodeName::new(host).unwrap()),
        };
        (NodeName::new(target).unwrap(), fence)
    }

    /// One action of n1, from 1.0 s to 1.3 s.
    fn ours() -> Vec<ActionRecord> {
        join_entries(vec![LogEntry::Intent(intent("a", "n3.lab")), LogEntry::Receipt(receipt("a", "n3.lab"))], None)
    }

    #[test]
    fn what_both_have_is_reported_once() {
        for completed in [1_000, 1_300, 6_000] {
            let events = joined(ours(), vec![fence("n3", "n1.lab", completed)], None, None);
            assert_eq!(events.len(), 1, "{completed}");
            assert!(events[0].action.is_some() && events[0].pacemaker.is_some());
        }
    }

    /// Another host may have fenced, or this one with another device: the entry must be reported all the same.
    #[test]
    fn what_pacemaker_alone_has_is_shown_in_its_place() {
        let mut by_hand = fence("n3.lab", "n1.lab", 1_300);
        by_hand.1.delegate = Delegate::Human;
        let mut off = fence("n3.lab", "n1.lab", 1_300);
        off.1.action = FenceAction::Off;
        let mut under_way = fence("n3.lab", "n1.lab", 0);
        under_way.1.completed_ms = None;
        for other in [
            fence("n3.lab", "n2.lab", 1_300),
            fence("n2.lab", "n1.lab", 1_300),
            fence("n3.lab", "n1.lab", 200),
            fence("n3.lab", "n1.lab", 6_400),
            by_hand,
            off,
            under_way,
        ] {
            let before = other.1.completed_ms.is_some_and(|at| at < 1_000);
            let events = joined(ours(), vec![other.clone()], None, None);
            assert_eq!(events.len(), 2, "{other:?}");
            assert_eq!(events[usize::from(before)].action, ours().pop(), "{other:?}");
            assert_eq!(events[usize::from(!before)].action, None, "{other:?}");
        }
    }

    #[test]
    fn a_node_and_a_beginning_may_be_asked_for() {
        let fences = vec![fence("n2.lab", "n1.lab", 9_000), fence("n3.lab", "n2.lab", 500)];
        let all = |node: Option<&str>, since| {
            joined(ours(), fences.clone(), node.map(|name| NodeName::new(name).unwrap()).as_ref(), since).len()
        };
        assert_eq!(
            (all(None, None), all(Some("n3"), None), all(None, Some(1_000)), all(Some("n3"), Some(1_000))),
            (3, 2, 2, 1)
        );
    }

    /// The master started the instances, and perhaps another host fenced.
    #[test]
    fn an_instance_belongs_to_the_last_fencing_before() {
        let course = |off: &str, since_ms| InstanceCourse {
            instance: InstanceName::new("web").unwrap(),
            off: NodeName::new(off).unwrap(),
            lost_ms: Some(100),
            since_ms,
            starts: Vec::new(),
            runs: None,
            not_started: None,
            is_over: true,
        };
        let log = RecoveryLog {
            instances: vec![course("n3.lab", 900), course("n3.lab", 1_200), course("n2.lab", 150_000), course("n9", 9)],
        };
        let mut events = joined(ours(), vec![fence("n2", "n1.lab", 200_000)], None, None);
        add_instances(&mut events, log);
        let since = |event: &TimelineEvent| event.instances.iter().map(|course| course.since_ms).collect::<Vec<_>>();
        assert_eq!(events.iter().map(since).collect::<Vec<_>>(), [vec![1_200], vec![150_000]]);
        assert_eq!((events[0].recovery_steps()[0].at_ms, events[1].recovery_steps()[0].at_ms), (200, 149_900));
    }

    /// The documentation of `gnt-ha history --json` describes this shape.
    #[test]
    fn the_shape_is_pinned() {
        let events = joined(ours(), vec![fence("n3.lab", "n1.lab", 1_300), fence("n2.lab", "n9", 2_000)], None, None);
        let lines: Vec<serde_json::Value> = events.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
        assert_eq!(lines[0]["intent"]["id"], "a");
        assert_eq!(lines[0]["receipt"]["outcome"], "done");
        assert_eq!(lines[0]["pacemaker"]["status"], "success");
        let alone = r#"{"pacemaker":{"node":"n2.lab","action":"reboot","status":"success","completed_ms":2000,"delegate":"n9"}}"#;
        assert_eq!(serde_json::to_string(&events[1]).unwrap(), alone);
        let ours_alone = joined(ours(), vec![], None, None);
        assert!(serde_json::to_value(&ours_alone[0]).unwrap()["pacemaker"].is_null());
    }
}
