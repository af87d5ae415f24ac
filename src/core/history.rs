//! Joins intents and receipts into actions. Pure.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::Serialize;

use super::node::NodeName;
use super::receipt::{ActionStep, Head, Intent, LogEntry, Receipt, VERSION};

/// One action: the intent, the receipt, and the actions that other programs of gnt-ha did for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActionRecord {
    /// The entry before the action.
    pub intent: Intent,
    /// The entry after the action; `None` if it was interrupted or still runs.
    pub receipt: Option<Receipt>,
    /// The actions that were part of this one.
    pub parts: Vec<ActionRecord>,
}

impl ActionRecord {
    /// Returns when the action ended, in milliseconds since 1970; `None` if it has no receipt.
    #[must_use]
    pub fn ended_ms(&self) -> Option<u64> {
        self.receipt.as_ref().map(|receipt| receipt.at.wall_ms)
    }

    /// Returns whether the id of the action, or of a part of it, begins with `id`.
    #[must_use]
    pub fn has_id(&self, id: &str) -> bool {
        self.intent.id.starts_with(id) || self.parts.iter().any(|part| part.has_id(id))
    }

    /// Returns the steps of the action and of its parts, in the order of time.
    #[must_use]
    pub fn steps(&self) -> Vec<TimedStep<'_>> {
        let mut steps = Vec::new();
        self.collect(self.intent.at.boottime_ms, 0, &mut steps);
        steps.sort_by_key(|tried| tried.at_ms);
        steps
    }

    fn collect<'a>(&'a self, zero: u64, depth: usize, steps: &mut Vec<TimedStep<'a>>) {
        let begun = self.intent.at.boottime_ms.saturating_sub(zero);
        let of_it = self.receipt.iter().flat_map(|receipt| &receipt.steps);
        steps.extend(of_it.map(|step| TimedStep { at_ms: begun + step.at_ms, depth, step }));
        self.parts.iter().for_each(|part| part.collect(zero, depth + 1, steps));
    }
}

/// A step of an action, with its place in the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedStep<'a> {
    /// Milliseconds since the whole action began (`CLOCK_BOOTTIME`).
    pub at_ms: u64,
    /// How many programs of gnt-ha called each other above the one that did the step.
    pub depth: usize,
    /// The request and the response, as the receipt has them; its own `at_ms` counts from the program that did it.
    pub step: &'a ActionStep,
}

/// Joins `entries`, which are in the order in which they were written, into actions in the order in which they began.
/// With `node`, returns only the actions on that node.
#[must_use]
pub fn join_entries(entries: Vec<LogEntry>, node: Option<&NodeName>) -> Vec<ActionRecord> {
    let mut receipts: HashMap<String, Receipt> = HashMap::new();
    let mut intents = Vec::new();
    for entry in entries {
        match entry {
            LogEntry::Intent(intent) => intents.push(intent),
            LogEntry::Receipt(receipt) => {
                receipts.insert(receipt.id.clone(), receipt);
            }
        }
    }
    let all: BTreeSet<NodeName> = intents.iter().map(|intent| intent.node.clone()).collect();
    let wanted = |intent: &Intent| node.is_none_or(|node| super::node::same(node, &intent.node, &all));
    let ids: HashSet<String> = intents.iter().map(|intent| intent.id.clone()).collect();
    let mut parts: HashMap<String, Vec<ActionRecord>> = HashMap::new();
    let mut whole = Vec::new();
    // A part begins after its whole. From the end of the list, each action finds its own parts complete.
    for intent in intents.into_iter().rev() {
        if !wanted(&intent) {
            continue;
        }
        let mut own_parts = parts.remove(&intent.id).unwrap_or_default();
        own_parts.reverse();
        let parent = intent.requested_by.request.clone().filter(|id| ids.contains(id) && *id != intent.id);
        let action = ActionRecord { receipt: receipts.remove(&intent.id), intent, parts: own_parts };
        match parent {
            Some(parent) => parts.entry(parent).or_default().push(action),
            None => whole.push(action),
        }
    }
    // An action whose whole comes later in the file (clocks, merged logs) is still reported, alone.
    whole.extend(parts.into_values().flatten());
    whole.reverse();
    whole.sort_by_key(|action| action.intent.at.wall_ms);
    whole
}

/// The intents in a receipt log, by their heads alone.
#[derive(Debug, Default)]
pub struct Index {
    /// In the order in which they were written.
    intents: Vec<IndexedIntent>,
}

/// The entry of an intent in the index.
#[derive(Debug)]
struct IndexedIntent {
    id: String,
    node: String,
    /// The id of the action that this one is a part of.
    whole: Option<String>,
    /// When it was written, in milliseconds since 1970 (wall clock); `None` if this build cannot read the entry.
    at_ms: Option<u64>,
}

impl Index {
    /// Adds the head of a line; heads of receipts are ignored.
    pub fn add(&mut self, head: Head) {
        if head.kind == "intent" {
            let whole = head.requested_by.and_then(|asker| asker.request);
            let at_ms = head.at.filter(|_| head.version <= VERSION.into()).map(|at| at.wall_ms);
            self.intents.push(IndexedIntent { id: head.id, node: head.node, whole, at_ms });
        }
    }

    /// Returns the ids of the last `count` actions and of all their parts, only those on `node` if one is given. Also
    /// returns how many actions there are before them.
    #[must_use]
    pub fn last(&self, count: usize, node: Option<&NodeName>) -> (HashSet<String>, usize) {
        let all: BTreeSet<NodeName> = match node {
            Some(_) => self.intents.iter().filter_map(|intent| NodeName::new(&intent.node).ok()).collect(),
            None => BTreeSet::new(),
        };
        let of_node = |name: &str| {
            node.is_none_or(|node| NodeName::new(name).is_ok_and(|name| super::node::same(node, &name, &all)))
        };
        let wholes: Vec<&str> =
            self.wholes().filter(|whole| of_node(&whole.node)).map(|whole| whole.id.as_str()).collect();
        let older = wholes.len().saturating_sub(count);
        (self.with_parts(wholes[older..].iter().map(|id| (*id).to_owned()).collect()), older)
    }

    /// Returns the ids of the last action of each name of a node in the log, and of all their parts. The last is that
    /// with the latest time, as in [`join_entries`].
    #[must_use]
    pub fn last_of_each(&self) -> HashSet<String> {
        let mut last: HashMap<&str, (u64, &str)> = HashMap::new();
        for whole in self.wholes() {
            let Some(at_ms) = whole.at_ms else { continue };
            let of_node = last.entry(&whole.node).or_insert((at_ms, &whole.id));
            if at_ms >= of_node.0 {
                *of_node = (at_ms, &whole.id);
            }
        }
        self.with_parts(last.into_values().map(|(_, id)| id.to_owned()).collect())
    }

    /// Returns the actions that are no part of another, in the order in which they were written.
    fn wholes(&self) -> impl Iterator<Item = &IndexedIntent> {
        let ids: HashSet<&str> = self.intents.iter().map(|intent| intent.id.as_str()).collect();
        let is_whole = move |intent: &&IndexedIntent| {
            intent.whole.as_deref().is_none_or(|whole| whole == intent.id || !ids.contains(whole))
        };
        self.intents.iter().filter(is_whole)
    }

    fn with_parts(&self, mut wanted: HashSet<String>) -> HashSet<String> {
        // A part is written after its whole, so one pass finds the parts of parts too.
        for intent in &self.intents {
            if intent.whole.as_ref().is_some_and(|whole| wanted.contains(whole)) {
                wanted.insert(intent.id.clone());
            }
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::super::receipt::tests::{intent, receipt};
    use super::*;

    fn part_of(id: &str, parent: &str) -> Intent {
        let mut part = intent(id, "n3.lab");
        part.requested_by.request = Some(parent.to_owned());
        part
    }

    #[test]
    fn a_part_is_shown_inside_its_whole() {
        let entries = vec![
            LogEntry::Intent(intent("a", "n3.lab")),
            LogEntry::Intent(part_of("b", "a")),
            LogEntry::Receipt(receipt("b", "n3.lab")),
            LogEntry::Receipt(receipt("a", "n3.lab")),
        ];
        let actions = join_entries(entries, None);
        assert_eq!(actions.len(), 1);
        assert_eq!(actions[0].parts[0].intent.id, "b");
        assert!(actions[0].parts[0].receipt.is_some());
    }

    /// Pacemaker kills an agent without a warning: an intent alone must still be reported.
    #[test]
    fn an_interrupted_action_has_no_receipt() {
        let actions = join_entries(vec![LogEntry::Intent(intent("a", "n3.lab"))], None);
        assert_eq!(actions[0].receipt, None);
    }

    #[test]
    fn a_part_whose_whole_is_gone_is_shown_alone() {
        assert_eq!(join_entries(vec![LogEntry::Intent(part_of("b", "rotated away"))], None).len(), 1);
        assert_eq!(join_entries(vec![LogEntry::Intent(part_of("b", "b"))], None).len(), 1);
    }

    #[test]
    fn one_nodes_actions_by_its_short_name() {
        let entries = vec![LogEntry::Intent(intent("a", "n3.lab")), LogEntry::Intent(intent("b", "n2.lab"))];
        let found = join_entries(entries, Some(&NodeName::new("n2").unwrap()));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].intent.id, "b");
    }
}
