//! Which nodes were last recorded offline by gnt-ha itself, as Ganeti's job queue shows it. Pure.
//!
//! Where the versions of a node's record do not exclude that it was readmitted since its fencing, the queue does: gnt-ha
//! records a node only on a proof, so if its record is the last operation that may have changed the node's role, the node
//! was not online since. Source: `LUNodeSetParams`, `LUNodeAdd` in `lib/cmdlib/node.py`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::queue::{REASON_SOURCE, ROLE_COLUMNS, number, sources};
use crate::core::node::{self, Match, NodeName};

/// The fields of a job that [`recorded_by_us`] expects, in its order.
const FIELDS: [&str; 3] = ["id", "ops", "opstatus"];

/// The places of the number, the operations and their states among these fields.
pub const COLUMNS: [usize; 3] = [0, 1, 2];

/// Returns the arguments of LUXI's `Query` for [`recorded_by_us`].
#[must_use]
pub fn query() -> Value {
    json!(["job", FIELDS, null])
}

/// Returns the nodes that gnt-ha itself recorded offline last, by the answer to [`Job::query`](super::queue::InstanceJob::query);
/// see [`recorded_by_us`].
#[must_use]
pub fn own_records(answer: &Value, nodes: &BTreeMap<NodeName, Option<String>>) -> BTreeSet<NodeName> {
    recorded_by_us(answer, nodes, ROLE_COLUMNS)
}

/// What one operation did to the role of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RoleChange {
    /// gnt-ha recorded the node offline.
    OurRecord,
    /// Any other change of the role, or one that may have happened.
    Other,
}

/// Returns the nodes whose last change of role in the queue is a record offline by gnt-ha that did not fail. `nodes` are all
/// nodes with their UUIDs, and `columns` are the places of the number, the operations and their states in a row.
///
/// A node of which the queue has no change is left out: its job was archived, for example.
#[must_use]
pub fn recorded_by_us(
    answer: &Value,
    nodes: &BTreeMap<NodeName, Option<String>>,
    [id, ops, states]: [usize; 3],
) -> BTreeSet<NodeName> {
    let rows = answer.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut last: BTreeMap<&NodeName, (u64, RoleChange)> = BTreeMap::new();
    for row in rows {
        let cell = |index: usize| row.get(index)?.get(1);
        let (Some(id), Some(ops)) = (cell(id).and_then(number), cell(ops).and_then(Value::as_array)) else { continue };
        let states = cell(states).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (index, op) in ops.iter().enumerate() {
            let Some(change) = role_change(op, states.get(index).and_then(Value::as_str)) else { continue };
            for name in
                nodes.iter().filter(|(name, uuid)| may_mean(op, name, uuid.as_deref(), nodes)).map(|(name, _)| name)
            {
                let known = last.entry(name).or_insert((id, change));
                if known.0 <= id {
                    *known = (id, change);
                }
            }
        }
    }
    let is_ours = |(_, (_, change)): &(&NodeName, (u64, RoleChange))| *change == RoleChange::OurRecord;
    last.into_iter().filter(is_ours).map(|(name, _)| name.clone()).collect()
}

/// Returns what this operation did, or may have done, to the role of its node; `None` if it did nothing. Its state is
/// unknown if the queue does not have it: then it may have begun.
fn role_change(op: &Value, state: Option<&str>) -> Option<RoleChange> {
    let is = |key: &str, wanted: bool| op.get(key).and_then(Value::as_bool) == Some(wanted);
    let sets_role = match op.get("OP_ID").and_then(Value::as_str)? {
        "OP_NODE_ADD" | "OP_NODE_REMOVE" => true,
        // A drained node and a candidate are online.
        "OP_NODE_SET_PARAMS" => {
            is("offline", true) || is("offline", false) || is("drained", true) || is("master_candidate", true)
        }
        _ => false,
    };
    if !sets_role || matches!(state, Some("queued" | "waiting" | "canceled")) {
        return None;
    }
    let is_ours = sources(std::slice::from_ref(op)).any(|source| source == REASON_SOURCE);
    // Its change is read back before the operation ends.
    let is_record = is_ours && is("offline", true) && matches!(state, Some("running" | "success"));
    Some(if is_record { RoleChange::OurRecord } else { RoleChange::Other })
}

/// Returns whether the operation may be about this node: it may have a short name, or a UUID.
fn may_mean(op: &Value, name: &NodeName, uuid: Option<&str>, nodes: &BTreeMap<NodeName, Option<String>>) -> bool {
    let text = |key: &str| op.get(key).and_then(Value::as_str);
    let is_named = text("node_name").and_then(|given| NodeName::new(given).ok());
    let is_named = is_named.is_some_and(|given| node::compare(&given, name, nodes.keys()) != Match::Other);
    is_named || text("node_uuid").is_some_and(|given| uuid == Some(given))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    fn found(jobs: &[(u64, Value, &str)]) -> Vec<String> {
        let rows: Vec<Value> = jobs.iter().map(|(id, op, state)| json!([[0, id], [0, [op]], [0, [state]]])).collect();
        let nodes = [("n3.lab", "u3"), ("n4.lab", "u4")].map(|(node, uuid)| (name(node), Some(uuid.to_owned()))).into();
        recorded_by_us(&json!({ "data": rows }), &nodes, COLUMNS).iter().map(ToString::to_string).collect()
    }

    fn set(source: &str, change: &Value) -> Value {
        let mut op = json!({"OP_ID": "OP_NODE_SET_PARAMS", "node_name": "n3.lab", "reason": [[source, "", 5]]});
        op.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        op
    }

    fn ours() -> Value {
        set(REASON_SOURCE, &json!({"offline": true, "powered": false}))
    }

    fn readd() -> Value {
        json!({"OP_ID": "OP_NODE_ADD", "node_name": "n3", "readd": true, "reason": [["gnt:client", "", 5]]})
    }

    /// An administrator adds the node again and sets it offline by hand while it runs.
    #[test]
    fn a_record_by_hand_after_a_readmission_is_not_ours() {
        let by_hand = || set("gnt:client", &json!({"offline": true}));
        assert_eq!(found(&[(10, ours(), "success")]), ["n3.lab"]);
        assert!(found(&[(10, ours(), "success"), (11, readd(), "success"), (12, by_hand(), "success")]).is_empty());
        let online = set("gnt:client", &json!({"offline": false}));
        assert!(found(&[(12, by_hand(), "success"), (11, online, "success"), (10, ours(), "success")]).is_empty());
        assert!(found(&[(10, ours(), "success"), (11, readd(), "error")]).is_empty(), "it may have had an effect");
        assert!(found(&[(12, by_hand(), "success")]).is_empty() && found(&[]).is_empty());
        for role in ["drained", "master_candidate"] {
            assert!(
                found(&[(10, ours(), "success"), (11, set("gnt:client", &json!({role: true})), "success")]).is_empty()
            );
        }
    }

    #[test]
    fn what_changes_no_role_does_not_count() {
        let power = set("gnt:client", &json!({"powered": false, "ndparams": {}}));
        let tags = json!({"OP_ID": "OP_TAGS_SET", "kind": "node", "name": "n3.lab"});
        let later = [
            (11, power, "success"),
            (12, tags, "success"),
            (13, readd(), "waiting"),
            (14, readd(), "canceled"),
            (15, json!({"OP_ID": "OP_NODE_ADD", "node_name": "n4.lab", "readd": true}), "success"),
        ];
        assert_eq!(found(&[vec![(10, ours(), "success")], later.to_vec()].concat()), ["n3.lab"]);
        assert!(found(&[(10, ours(), "error")]).is_empty(), "another has recorded it");
        let by_uuid = json!({"OP_ID": "OP_NODE_SET_PARAMS", "node_uuid": "u3", "offline": false});
        assert!(found(&[(10, ours(), "success"), (11, by_uuid, "success")]).is_empty());
    }
}
