//! Intents and receipts joined into what happened.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::Serialize;

use super::node::NodeName;
use super::receipt::{ActionStep, Head, Intent, LogEntry, Receipt};

/// One action: what was asked for, how it ended, and what other programs of ours did for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActionRecord {
    /// What was asked for.
    pub intent: Intent,
    /// How it ended; none if it was interrupted or still runs.
    pub receipt: Option<Receipt>,
    /// Actions that were part of this one.
    pub parts: Vec<ActionRecord>,
}

impl ActionRecord {
    /// When the last thing that is known of it happened, in milliseconds since 1970.
    #[must_use]
    pub fn ended_ms(&self) -> Option<u64> {
        self.receipt.as_ref().map(|receipt| receipt.at.wall_ms)
    }

    /// Whether it, or a part of it, has an id that begins so.
    #[must_use]
    pub fn is_called(&self, id: &str) -> bool {
        self.intent.id.starts_with(id) || self.parts.iter().any(|part| part.is_called(id))
    }

    /// What was tried, by it and by its parts, in its order.
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

/// A step of a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedStep<'a> {
    /// Milliseconds since the whole began (CLOCK_BOOTTIME).
    pub at_ms: u64,
    /// How many programs of ours are above the one that did it.
    pub depth: usize,
    /// What.
    pub step: &'a ActionStep,
}

/// Joins `entries`, which are in the order they were written, into stories in the order they began. With
/// `node`, only those of that node.
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
    // A part begins after what it is part of: from the end, each finds its own parts complete.
    for intent in intents.into_iter().rev() {
        if !wanted(&intent) {
            continue;
        }
        let mut own_parts = parts.remove(&intent.id).unwrap_or_default();
        own_parts.reverse();
        let parent = intent.requested_by.request.clone().filter(|id| ids.contains(id) && *id != intent.id);
        let story = ActionRecord { receipt: receipts.remove(&intent.id), intent, parts: own_parts };
        match parent {
            Some(parent) => parts.entry(parent).or_default().push(story),
            None => whole.push(story),
        }
    }
    // Whose parent came later in the file (clocks, merged ledgers) still is told.
    whole.extend(parts.into_values().flatten());
    whole.reverse();
    whole.sort_by_key(|story| story.intent.at.wall_ms);
    whole
}

/// Which intents a ledger holds, without what they say.
#[derive(Debug, Default)]
pub struct Index {
    /// Id, node, and the id of the whole that it is a part of; in the order they were written.
    intents: Vec<(String, String, Option<String>)>,
}

impl Index {
    /// Takes a line in.
    pub fn add(&mut self, head: Head) {
        if head.kind == "intent" {
            let whole = head.requested_by.and_then(|asker| asker.request);
            self.intents.push((head.id, head.node, whole));
        }
    }

    /// The ids of the last `count` stories and of all their parts, of `node` if one is given; and how many stories
    /// there are before them.
    #[must_use]
    pub fn last(&self, count: usize, node: Option<&NodeName>) -> (HashSet<String>, usize) {
        let ids: HashSet<&str> = self.intents.iter().map(|(id, ..)| id.as_str()).collect();
        let is_whole =
            |id: &str, whole: &Option<String>| whole.as_deref().is_none_or(|whole| whole == id || !ids.contains(whole));
        let all: BTreeSet<NodeName> = match node {
            Some(_) => self.intents.iter().filter_map(|(_, name, _)| NodeName::new(name).ok()).collect(),
            None => BTreeSet::new(),
        };
        let of_node = |name: &str| {
            node.is_none_or(|node| NodeName::new(name).is_ok_and(|name| super::node::same(node, &name, &all)))
        };
        let wholes: Vec<&str> = self
            .intents
            .iter()
            .filter(|(id, name, whole)| is_whole(id, whole) && of_node(name))
            .map(|(id, ..)| id.as_str())
            .collect();
        let older = wholes.len().saturating_sub(count);
        let mut wanted: HashSet<String> = wholes[older..].iter().map(|id| (*id).to_owned()).collect();
        // A part is written after its whole, so one pass finds the parts of parts too.
        for (id, _, whole) in &self.intents {
            if whole.as_ref().is_some_and(|whole| wanted.contains(whole)) {
                wanted.insert(id.clone());
            }
        }
        (wanted, older)
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
    fn a_part_is_told_inside_its_whole() {
        let entries = vec![
            LogEntry::Intent(intent("a", "n3.lab")),
            LogEntry::Intent(part_of("b", "a")),
            LogEntry::Receipt(receipt("b", "n3.lab")),
            LogEntry::Receipt(receipt("a", "n3.lab")),
        ];
        let stories = join_entries(entries, None);
        assert_eq!(stories.len(), 1);
        assert_eq!(stories[0].parts[0].intent.id, "b");
        assert!(stories[0].parts[0].receipt.is_some());
    }

    /// Pacemaker kills an agent without a warning: the intent alone must still be told.
    #[test]
    fn an_interrupted_action_has_no_receipt() {
        let stories = join_entries(vec![LogEntry::Intent(intent("a", "n3.lab"))], None);
        assert_eq!(stories[0].receipt, None);
    }

    #[test]
    fn a_part_whose_whole_is_gone_is_told_alone() {
        assert_eq!(join_entries(vec![LogEntry::Intent(part_of("b", "rotated away"))], None).len(), 1);
        assert_eq!(join_entries(vec![LogEntry::Intent(part_of("b", "b"))], None).len(), 1);
    }

    #[test]
    fn one_nodes_stories_by_its_short_name() {
        let entries = vec![LogEntry::Intent(intent("a", "n3.lab")), LogEntry::Intent(intent("b", "n2.lab"))];
        let found = join_entries(entries, Some(&NodeName::new("n2").unwrap()));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].intent.id, "b");
    }
}
