//! Which instances run on which node, as LUXI reports it. Pure.
//!
//! luxid asks the primary nodes only. So an instance that runs on another node is not found here; see
//! [`Migrated`](super::not_recovered::NotRecovered::Migrated).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::instance::InstanceName;
use crate::core::node::NodeName;

/// The fields of an instance that [`LiveInstances::parse`] expects, in its order (`src/Ganeti/Query/Instance.hs`).
const FIELDS: [&str; 4] = ["name", "pnode", "status", "oper_ram"];

/// What the nodes report of the instances whose primary nodes they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveInstances {
    /// The instances that run on each node that answered.
    pub running: BTreeMap<NodeName, BTreeSet<InstanceName>>,
    /// The memory that each running instance uses, in MiB.
    pub used_memory: BTreeMap<InstanceName, u64>,
}

/// luxid's answer about the instances cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("luxid's list of instances cannot be parsed (row {0})")]
pub struct BadLiveInstances(usize);

impl LiveInstances {
    /// Returns the arguments of LUXI's `Query` for [`LiveInstances::parse`].
    #[must_use]
    pub fn query() -> Value {
        json!(["instance", FIELDS, null])
    }

    /// Parses the answer of LUXI's `Query` with [`LiveInstances::query`].
    ///
    /// # Errors
    /// [`BadLiveInstances`] if the answer has another shape.
    pub fn parse(answer: &Value) -> Result<Self, BadLiveInstances> {
        let rows = answer.get("data").and_then(Value::as_array).ok_or(BadLiveInstances(0))?;
        let mut live = Self::default();
        for (index, row) in rows.iter().enumerate() {
            live.add(row).ok_or(BadLiveInstances(index))?;
        }
        Ok(live)
    }

    fn add(&mut self, row: &Value) -> Option<()> {
        let cell = |index: usize| row.get(index)?.get(1);
        let name = InstanceName::new(cell(0)?.as_str()?).ok()?;
        let node = NodeName::new(cell(1)?.as_str()?).ok()?;
        // `instanceStatus` in `src/Ganeti/Types.hs`.
        let (answers, runs) = match cell(2)?.as_str()? {
            "running" | "ERROR_up" => (true, true),
            "ADMIN_down" | "ADMIN_offline" | "USER_down" | "ERROR_down" | "ERROR_wrongnode" => (true, false),
            _ => (false, false),
        };
        if answers {
            let running = self.running.entry(node).or_default();
            if runs {
                running.insert(name.clone());
                if let Some(memory) = cell(3).and_then(Value::as_u64) {
                    self.used_memory.insert(name, memory);
                }
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_an_answer_has_no_list() {
        let row = |name: &str, node: &str, status: &str, memory: Value| {
            json!([[0, name], [0, node], [0, status], [if memory.is_null() { 3 } else { 0 }, memory]])
        };
        let answer = json!({"data": [
            row("a", "n1.lab", "running", json!(512)),
            row("b", "n1.lab", "ERROR_down", Value::Null),
            row("c", "n2.lab", "ADMIN_down", Value::Null),
            row("d", "n3.lab", "ERROR_nodeoffline", Value::Null),
            row("e", "n4.lab", "ERROR_nodedown", Value::Null),
        ]});
        let live = LiveInstances::parse(&answer).unwrap();
        let running: Vec<(&str, usize)> = live.running.iter().map(|(node, all)| (node.as_str(), all.len())).collect();
        assert_eq!(running, [("n1.lab", 1), ("n2.lab", 0)]);
        assert_eq!(live.used_memory.values().copied().collect::<Vec<u64>>(), [512]);
        assert_eq!(LiveInstances::parse(&json!({"data": [[]]})), Err(BadLiveInstances(0)));
    }
}
