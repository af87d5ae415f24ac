//! The Ganeti jobs that carry out a decision, in the form that LUXI accepts (`src/Ganeti/OpCodes.hs`). Pure: nothing is
//! submitted here.

use serde_json::{Value, json};

use crate::core::node::NodeName;
use crate::core::reconcile::Decision;

/// The tag that gnt-ha sets on a node that it has drained.
pub const DRAINED_BY_US: &str = "gnt-ha:drained";

/// A job: opcodes that Ganeti runs one after the other, until one fails.
pub type Job = Vec<Value>;

/// Dependency of a job on the one before it, however that ended. Without it Ganeti runs jobs in parallel.
const AFTER_THE_ONE_BEFORE: (i64, [&str; 3]) = (-1, ["canceled", "error", "success"]);

/// Returns the jobs that apply `decision` to `node`, empty if there is nothing to do. `now`, in nanoseconds since 1970,
/// goes into Ganeti's reason trail.
#[must_use]
pub fn jobs(node: &NodeName, decision: &Decision, now: u64) -> Vec<Job> {
    let reason = decision.to_string();
    let why = json!([["gnt:extern:gnt-ha", reason, now]]);
    let drained = |drained: bool, auto_promote: bool| {
        json!({"OP_ID": "OP_NODE_SET_PARAMS", "node_name": node, "drained": drained, "auto_promote": auto_promote,
               "reason": why})
    };
    let tag = |operation: &str| json!({"OP_ID": operation, "kind": "node", "name": node, "tags": [DRAINED_BY_US], "reason": why});
    match decision {
        Decision::Offline { job, power_too, .. } => {
            let mut offline = job.opcode(&reason, now);
            let mut jobs = Vec::new();
            if power_too.cycle {
                // Ganeti sends nothing to an offline node, so this job comes first. Its failure, as with a dead node,
                // stops nothing.
                jobs.push(vec![
                    json!({"OP_ID": "OP_NODE_POWERCYCLE", "node_name": node, "force": false, "reason": why}),
                ]);
                offline["depends"] = json!([AFTER_THE_ONE_BEFORE]);
            }
            let mut last = vec![offline];
            if power_too.off {
                // Ganeti switches no online node off, so this comes after the record.
                last.push(
                    json!({"OP_ID": "OP_OOB_COMMAND", "node_names": [node], "command": "power-off", "reason": why}),
                );
            }
            jobs.push(last);
            jobs
        }
        Decision::Powered { job, .. } => vec![vec![job.opcode(&reason, now)]],
        Decision::Drain { auto_promote } => vec![vec![drained(true, *auto_promote), tag("OP_TAGS_SET")]],
        Decision::UnDrain => vec![vec![drained(false, false), tag("OP_TAGS_DEL")]],
        Decision::ForgetDrain => vec![vec![tag("OP_TAGS_DEL")]],
        Decision::Nothing(_) | Decision::Blocked(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ganeti::offline_job::OfflineJob;
    use crate::core::grade::Grade;
    use crate::core::reconcile::{PowerAction, Proof, ProofSource};

    fn names(power_too: PowerAction) -> Vec<Vec<String>> {
        let node = NodeName::new("n3.lab").unwrap();
        let job = OfflineJob { node: node.clone(), sets_offline: true, powered: Some(true), auto_promote: false };
        let proof = Proof {
            keys: Vec::new(),
            at_ms: 0,
            grade: Grade::Off,
            source: ProofSource::Administrator,
            powered: Some(true),
            is_planned: false,
        };
        let jobs = jobs(&node, &Decision::Offline { job, proof, power_too }, 5);
        let name = |opcode: &Value| opcode["OP_ID"].as_str().unwrap().to_owned();
        jobs.iter().map(|job| job.iter().map(name).collect()).collect()
    }

    /// The two tags of Ganeti's design for Linux-HA. The power cycle comes before the record, because Ganeti sends
    /// nothing to an offline node. The power-off comes after the record, because Ganeti switches no online node off.
    #[test]
    fn the_power_tags_add_jobs_around_the_record() {
        let (set, cycle, off) = ("OP_NODE_SET_PARAMS", "OP_NODE_POWERCYCLE", "OP_OOB_COMMAND");
        assert_eq!(names(PowerAction::default()), [vec![set]]);
        assert_eq!(names(PowerAction { cycle: false, off: true }), [vec![set, off]]);
        assert_eq!(names(PowerAction { cycle: true, off: true }), [vec![cycle], vec![set, off]]);
    }
}
