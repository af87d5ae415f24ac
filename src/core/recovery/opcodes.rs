//! The Ganeti jobs that carry out a plan of recovery, in the form that LUXI accepts (`src/Ganeti/OpCodes.hs`). Pure:
//! nothing is submitted here.
//!
//! Each instance is one job. Two forms do the same (`lib/cmdlib/instance_migration.py`, `instance_set_params.py`,
//! `instance_operation.py`):
//!
//! - Failover. It is the only form for DRBD. It locks the dead node for all of its time, so failovers off one host run one
//!   after another.
//! - New primary node, then start. The dead node is locked only while the record changes, so hosts start in parallel.
//!   Ganeti rejects the change while the recorded primary node runs the instance.
//!
//! A second job for the same instance does no harm: a failover to the node that already is the primary fails, and a
//! running instance is not started again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::place::Place;
use super::plan::Start;
use super::queue::REASON_SOURCE;
use crate::core::node::NodeName;
use crate::core::reconcile::jobs::Job;

/// Ganeti's priority of a job that must not wait behind others (`OP_PRIO_HIGH`).
const HIGH_PRIORITY: i64 = -10;

/// How an instance with storage outside the cluster is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// A new primary node and a start, in one job.
    #[default]
    NewPrimary,
    /// A failover.
    Failover,
}

/// The job that records a node offline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordJob {
    /// It has this number.
    Submitted(u64),
    /// It is at this place of the jobs that are submitted together with the starts, before them.
    Together(usize),
}

/// Returns one job for each start that has its node, in the order of the plan. Starts without a node are left out.
///
/// `record` has the job that records each node offline. A start that must wait for the record and has no such job is left
/// out: nothing starts before the record. `first` is the place of the first start among the jobs that are submitted
/// together. `now`, in nanoseconds since 1970, goes into Ganeti's reason trail.
#[must_use]
pub fn jobs(starts: &[Start], form: Form, record: &BTreeMap<NodeName, RecordJob>, first: usize, now: u64) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for start in starts {
        let Some(node) = start.place.node() else { continue };
        let mut opcodes = opcodes(start, node, form, now);
        if start.after_record {
            let place = first + jobs.len();
            let Some(dependency) = record.get(&start.off).and_then(|record| dependency(*record, place)) else {
                continue;
            };
            opcodes[0]["depends"] = json!([[dependency, ["success"]]]);
        }
        jobs.push(opcodes);
    }
    jobs
}

/// Returns the number of the job on which the job at `place` depends: of those that are submitted together, relative to
/// it (`resolveDependencies` in `src/Ganeti/JQueue.hs`).
fn dependency(record: RecordJob, place: usize) -> Option<i64> {
    match record {
        RecordJob::Submitted(number) => i64::try_from(number).ok(),
        RecordJob::Together(at) => {
            i64::try_from(place.checked_sub(at).filter(|back| *back > 0)?).ok().map(|back| -back)
        }
    }
}

fn opcodes(start: &Start, node: &NodeName, form: Form, now: u64) -> Job {
    let Start { instance, off, starts_per_host, .. } = start;
    let why = format!("recover {instance} off {off} on {node}");
    // Ganeti runs at most this number of jobs with the same reason at once (design-optables, "Ad-Hoc Rate Limiting").
    let limit = format!("rate-limit:{starts_per_host}:gnt-ha start on {node}");
    let reason = json!([[REASON_SOURCE, why, now], [REASON_SOURCE, limit, now]]);
    let opcode = |mut opcode: Value| {
        opcode["instance_name"] = json!(instance.as_str());
        opcode["priority"] = json!(HIGH_PRIORITY);
        opcode["reason"] = reason.clone();
        opcode
    };
    // The administrator's state stays as it is: a stop that overtakes this job is not undone in the record.
    let startup = || opcode(json!({"OP_ID": "OP_INSTANCE_STARTUP", "no_remember": true}));
    // With the node named, a duplicate fails: the secondary is another one then.
    let failover = || opcode(json!({"OP_ID": "OP_INSTANCE_FAILOVER", "target_node": node}));
    match (&start.place, form) {
        (Place::Primary(_), _) => vec![startup()],
        (Place::Allocated(_), Form::NewPrimary) => {
            vec![opcode(json!({"OP_ID": "OP_INSTANCE_SET_PARAMS", "pnode": node})), startup()]
        }
        _ => vec![failover()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::recovery::instance::InstanceName;
    use crate::core::recovery::priority::Priority;
    use std::collections::BTreeSet;

    fn node(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    fn start(instance: &str, place: Place, after_record: bool) -> Start {
        Start {
            instance: InstanceName::new(instance).unwrap(),
            off: node("n3.lab"),
            place,
            priority: Priority::default(),
            after_record,
            starts_per_host: 4,
            failed_on: BTreeSet::new(),
        }
    }

    fn names(jobs: &[Job]) -> Vec<Vec<&str>> {
        jobs.iter().map(|job| job.iter().map(|opcode| opcode["OP_ID"].as_str().unwrap()).collect()).collect()
    }

    #[test]
    fn each_place_has_its_form() {
        let (set, startup, failover) = ("OP_INSTANCE_SET_PARAMS", "OP_INSTANCE_STARTUP", "OP_INSTANCE_FAILOVER");
        let starts = [
            start("a", Place::Secondary(node("n2.lab")), false),
            start("b", Place::Allocated(node("n2.lab")), false),
            start("c", Place::AskAllocator, false),
            start("d", Place::Primary(node("n4.lab")), false),
        ];
        let none = BTreeMap::new();
        let made = jobs(&starts, Form::NewPrimary, &none, 0, 5);
        assert_eq!(names(&made), [vec![failover], vec![set, startup], vec![startup]]);
        assert_eq!(names(&jobs(&starts, Form::Failover, &none, 0, 5)), [vec![failover], vec![failover], vec![startup]]);
        assert_eq!((&made[0][0]["target_node"], &made[1][0]["pnode"]), (&json!("n2.lab"), &json!("n2.lab")));
        for opcode in made.iter().flatten() {
            assert_eq!(opcode["priority"], -10);
            assert_eq!(opcode["reason"][0][0], REASON_SOURCE);
            assert_eq!(opcode["reason"][0][2], 5);
            assert!(opcode.get("depends").is_none());
        }
        assert_eq!(made[1][0]["reason"][0][1], "recover b off n3.lab on n2.lab");
        assert_eq!(made[1][0]["reason"][1][1], "rate-limit:4:gnt-ha start on n2.lab");
        assert_eq!(made[1][1]["no_remember"], true);
    }

    /// Nothing starts before the record: by the number of its job, or by its place in the same submission.
    #[test]
    fn starts_depend_on_the_record() {
        let place = || Place::Allocated(node("n2.lab"));
        let starts = [start("a", place(), true), start("b", place(), true)];
        let depends = |record, first| -> Vec<Value> {
            let record = BTreeMap::from([(node("n3.lab"), record)]);
            jobs(&starts, Form::NewPrimary, &record, first, 5).iter().map(|job| job[0]["depends"].clone()).collect()
        };
        let on = |number: i64| json!([[number, ["success"]]]);
        assert_eq!(depends(RecordJob::Submitted(77), 0), [on(77), on(77)]);
        assert_eq!(depends(RecordJob::Together(1), 3), [on(-2), on(-3)]);
        assert!(depends(RecordJob::Together(3), 3).is_empty(), "a job does not depend on itself");
        assert!(jobs(&starts, Form::NewPrimary, &BTreeMap::new(), 0, 5).is_empty());
    }
}
