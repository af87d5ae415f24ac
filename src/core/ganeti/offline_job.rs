//! The change of Ganeti's record after a proven off: one job, or nothing and the reason. Pure: nothing is submitted
//! here.

use serde_json::{Value, json};

use super::config::{GanetiConfig, Node};
use crate::core::node::NodeName;

/// Ganeti's priority of a job that must not wait behind others (`OP_PRIO_HIGH`).
const HIGH_PRIORITY: i64 = -10;

/// The change of Ganeti's record of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfflinePlan {
    /// The record differs from what is proven: submit this job to the master's luxid.
    Submit(OfflineJob),
    /// The record is already as it should be: there is nothing to submit.
    AlreadyRecorded,
    /// This host cannot do it, for this reason.
    NotFromHere(String),
}

/// The job that records a node offline, or the power of a node that is recorded offline already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfflineJob {
    /// The node to record, as Ganeti names it.
    pub node: NodeName,
    /// Whether it sets the flag `offline`. A job for a node that has the flag already leaves it alone: the node may be
    /// readmitted while the job waits for its locks.
    pub sets_offline: bool,
    /// The power flag to record; `None` for a node without an OOB program, for which Ganeti accepts none
    /// (`lib/cmdlib/node.py`), and if the power is unknown.
    pub powered: Option<bool>,
    /// Whether Ganeti must promote another node to master candidate.
    pub auto_promote: bool,
}

impl OfflineJob {
    /// Returns the opcode, in the form that LUXI accepts (`OP_NODE_SET_PARAMS`, `src/Ganeti/OpCodes.hs`). `now`, in
    /// nanoseconds since 1970, goes into Ganeti's reason trail.
    #[must_use]
    pub fn opcode(&self, reason: &str, now: u64) -> Value {
        let mut opcode = json!({
            "OP_ID": "OP_NODE_SET_PARAMS",
            "node_name": self.node,
            "priority": HIGH_PRIORITY,
            "reason": [["gnt:extern:gnt-ha", reason, now]],
        });
        if self.sets_offline {
            opcode["offline"] = json!(true);
            opcode["auto_promote"] = json!(self.auto_promote);
        } else {
            // Ganeti does not count `powered` as a modification, and asks for at least one (`CheckArguments`).
            opcode["ndparams"] = json!({});
        }
        if let Some(powered) = self.powered {
            opcode["powered"] = json!(powered);
        }
        opcode
    }
}

/// Decides how to change the record of `node`, which was fenced. `powered` is the power state that the evidence shows
/// ([`Worth::powered`](crate::core::evidence::Worth)): `None` unless the power was read or confirmed.
///
/// `here` is the host that asks. Only the master accepts jobs, and Ganeti changes no flag of the master itself
/// (`lib/cmdlib/node.py`: "only via master-failover").
#[must_use]
pub fn plan(config: &GanetiConfig, node: &Node, powered: Option<bool>, here: &NodeName) -> OfflinePlan {
    let Some(master) = config.master() else {
        return OfflinePlan::NotFromHere("Ganeti's configuration names no master".to_owned());
    };
    if node.name == *master {
        return OfflinePlan::NotFromHere(format!("{} is Ganeti's master: the new master has to record it", node.name));
    }
    if !master.as_str().eq_ignore_ascii_case(here.as_str()) {
        return OfflinePlan::NotFromHere(format!("the master, {master}, has to record it, and this is {here}"));
    }
    let powered = powered.filter(|_| node.oob_program.is_some());
    if node.offline && powered.is_none_or(|powered| node.powered == powered) {
        return OfflinePlan::AlreadyRecorded;
    }
    OfflinePlan::Submit(OfflineJob {
        node: node.name.clone(),
        sets_offline: !node.offline,
        powered,
        auto_promote: !node.offline && config.needs_promotion_without(node),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> GanetiConfig {
        let text = br#"{"version": 3000000, "serial_no": 1,
            "cluster": {"master_node": "u1", "candidate_pool_size": 10, "ndparams": {"oob_program": "/oob"}},
            "nodegroups": {"g": {}},
            "nodes": {"u1": {"name": "n1.lab", "group": "g", "master_candidate": true},
                      "u2": {"name": "n2.lab", "group": "g", "master_candidate": true},
                      "u3": {"name": "n3.lab", "group": "g", "offline": true, "powered": false}}}"#;
        GanetiConfig::parse(text).unwrap()
    }

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    fn planned(node: &str, here: &str) -> OfflinePlan {
        planned_of(node, here, Some(false))
    }

    fn planned_of(node: &str, here: &str, powered: Option<bool>) -> OfflinePlan {
        let config = config();
        let node = config.find(&name(node)).unwrap();
        plan(&config, node, powered, &name(here))
    }

    /// That a boot has ended, or is shunned, does not show that the power is off: no power state is recorded then.
    #[test]
    fn what_was_not_seen_of_the_power_is_not_recorded() {
        let OfflinePlan::Submit(job) = planned_of("n2.lab", "n1.lab", None) else { panic!("no job") };
        assert_eq!(job.powered, None);
        assert_eq!(planned_of("n3.lab", "n1.lab", None), OfflinePlan::AlreadyRecorded);
    }

    #[test]
    fn the_master_records_a_fenced_node() {
        let OfflinePlan::Submit(job) = planned("n2.lab", "n1.lab") else { panic!("no job") };
        assert_eq!(
            job,
            OfflineJob { node: name("n2.lab"), sets_offline: true, powered: Some(false), auto_promote: false }
        );
        assert_eq!(job.opcode("x", 5)["reason"][0][2], 5);
        assert_eq!(job.opcode("x", 5)["offline"], true);
    }

    /// A job waits for its locks, for example while the node is readmitted. If it set `offline`, a node that runs would
    /// be recorded offline.
    #[test]
    fn a_node_that_is_offline_already_gets_its_power_and_nothing_else() {
        let OfflinePlan::Submit(job) = planned_of("n3.lab", "n1.lab", Some(true)) else { panic!("no job") };
        let opcode = job.opcode("x", 5);
        assert_eq!((opcode.get("offline"), &opcode["powered"], &opcode["ndparams"]), (None, &json!(true), &json!({})));
    }

    /// The next master records the dead master, never a job that cannot run.
    #[test]
    fn no_node_records_the_master_and_only_the_master_records() {
        assert!(matches!(planned("n1.lab", "n1.lab"), OfflinePlan::NotFromHere(_)));
        assert!(matches!(planned("n2.lab", "n3.lab"), OfflinePlan::NotFromHere(_)));
    }

    #[test]
    fn what_is_recorded_is_not_recorded_again() {
        assert_eq!(planned("n3.lab", "n1.lab"), OfflinePlan::AlreadyRecorded);
    }
}
