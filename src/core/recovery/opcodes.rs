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
//! A second job for the same instance mostly does no harm: a failover to the node that already is the primary fails, and
//! the [guard](super::guard) stops a change of the primary node off another node than the dead one. But a failover that
//! waits in the queue may move an instance that the administrator has started by hand on the same node.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::guard::{ONLY_FROM, ONLY_OFF};
use super::plan::Start;
use super::queue::REASON_SOURCE;
use super::record_limit::RecordLimit;
use super::start_node::StartNode;
use crate::core::node::NodeName;
use crate::core::reconcile::jobs::Job;

/// Ganeti's priority of a job that must not wait behind others (`OP_PRIO_HIGH`).
const HIGH_PRIORITY: i64 = -10;

/// How an instance with storage outside the cluster is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartForm {
    /// A new primary node and a start, in one job.
    #[default]
    NewPrimary,
    /// One `OP_INSTANCE_FAILOVER`, which starts only what is marked up.
    Failover,
}

impl StartForm {
    /// Chooses the form. A new primary node is safe only with the [guard](super::guard), and Ganeti skips a hook without
    /// a word if noded does not answer on the master, or the file of the hook cannot be run. A failover starts only what
    /// is marked up even then.
    #[must_use]
    pub const fn of(own_noded_answers: bool, guard_can_run: bool) -> Self {
        if own_noded_answers && guard_can_run { Self::NewPrimary } else { Self::Failover }
    }
}

/// The job that carries out one start of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct StartJob<'a> {
    /// The start of the plan.
    pub start: &'a Start,
    /// The operations in their order, as LUXI accepts them.
    pub opcodes: Job,
}

/// Returns one job for each start that has its node, in the order of the plan. Starts without a node are left out.
///
/// `records` has the number of the job that records each node offline. A start that must wait for the record and has no
/// such job is left out: nothing starts before the record. So is a start on the recorded primary node without the guard:
/// ganeti-watcher does that, too. `now`, in nanoseconds since 1970, goes into Ganeti's reason
/// trail.
#[must_use]
pub fn jobs<'a>(
    starts: &'a [Start],
    form: StartForm,
    records: &BTreeMap<NodeName, u64>,
    now: u64,
) -> Vec<StartJob<'a>> {
    let mut jobs = Vec::new();
    for start in starts {
        let Some(node) = start.on.node() else { continue };
        // Without the guard it would start what was stopped meanwhile.
        if form == StartForm::Failover && matches!(start.on, StartNode::Primary(_)) {
            continue;
        }
        let mut opcodes = opcodes(start, node, form, now);
        if start.after_record {
            let Some(record) = records.get(&start.off) else { continue };
            opcodes[0]["depends"] = json!([[record, ["success"]]]);
        }
        jobs.push(StartJob { start, opcodes });
    }
    jobs
}

fn opcodes(start: &Start, node: &NodeName, form: StartForm, now: u64) -> Job {
    let Start { instance, off, starts_per_host, off_version, .. } = start;
    let why = format!("recover {instance} off {off} on {node}");
    // Ganeti runs at most this number of jobs with the same reason at once (design-optables, "Ad-Hoc Rate Limiting").
    let limit = format!("rate-limit:{starts_per_host}:gnt-ha start on {node}");
    let mut reason = vec![json!([REASON_SOURCE, why, now]), json!([REASON_SOURCE, limit, now])];
    let only = if start.moves_again { ONLY_FROM } else { ONLY_OFF };
    reason.push(json!([REASON_SOURCE, format!("{only}{off}"), now]));
    if let Some(version) = off_version.as_ref().filter(|_| !start.moves_again) {
        let limit = RecordLimit::of(version, !start.after_record);
        reason.push(json!([REASON_SOURCE, limit.to_string(), now]));
    }
    let opcode = |mut opcode: Value| {
        opcode["instance_name"] = json!(instance.as_str());
        opcode["priority"] = json!(HIGH_PRIORITY);
        opcode["reason"] = json!(reason);
        opcode
    };
    // The administrator's state stays as it is: a stop that overtakes this job is not undone in the record.
    let startup = || opcode(json!({"OP_ID": "OP_INSTANCE_STARTUP", "no_remember": true}));
    // With the node named, a duplicate fails: the secondary is another one then.
    let failover = || opcode(json!({"OP_ID": "OP_INSTANCE_FAILOVER", "target_node": node}));
    match (&start.on, form) {
        (StartNode::Primary(_), _) => vec![startup()],
        // Off a node that is online, Ganeti first makes sure that the instance does not run there.
        (StartNode::Allocated(_), StartForm::NewPrimary) if !start.moves_again => {
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

    fn start(instance: &str, on: StartNode, after_record: bool) -> Start {
        Start {
            instance: InstanceName::new(instance).unwrap(),
            off: node("n3.lab"),
            on,
            priority: Priority::default(),
            after_record,
            moves_again: false,
            starts_per_host: 4,
            failed_on: BTreeSet::new(),
            off_version: None,
        }
    }

    fn names(jobs: &[StartJob<'_>]) -> Vec<Vec<String>> {
        let of = |job: &StartJob<'_>| {
            job.opcodes.iter().map(|opcode| opcode["OP_ID"].as_str().unwrap().to_owned()).collect()
        };
        jobs.iter().map(of).collect()
    }

    #[test]
    fn each_place_has_its_form() {
        let (set, startup, failover) = ("OP_INSTANCE_SET_PARAMS", "OP_INSTANCE_STARTUP", "OP_INSTANCE_FAILOVER");
        let again = Start { moves_again: true, ..start("e", StartNode::Allocated(node("n2.lab")), false) };
        let starts = [
            start("a", StartNode::Secondary(node("n2.lab")), false),
            start("b", StartNode::Allocated(node("n2.lab")), false),
            start("c", StartNode::AskAllocator, false),
            start("d", StartNode::Primary(node("n4.lab")), false),
            again,
        ];
        let none = BTreeMap::new();
        let made = jobs(&starts, StartForm::NewPrimary, &none, 5);
        assert_eq!(names(&made), [vec![failover], vec![set, startup], vec![startup], vec![failover]]);
        let failovers = names(&jobs(&starts, StartForm::Failover, &none, 5));
        assert_eq!(failovers, [[failover], [failover], [failover]], "d may have been stopped");
        assert_eq!(made.iter().map(|job| job.start.instance.as_str()).collect::<Vec<_>>(), ["a", "b", "d", "e"]);
        let (first, second) = (&made[0].opcodes, &made[1].opcodes);
        assert_eq!((&first[0]["target_node"], &second[0]["pnode"]), (&json!("n2.lab"), &json!("n2.lab")));
        for opcode in made.iter().flat_map(|job| &job.opcodes) {
            assert_eq!(opcode["priority"], -10);
            assert_eq!(opcode["reason"][0][0], REASON_SOURCE);
            assert_eq!(opcode["reason"][0][2], 5);
            assert!(opcode.get("depends").is_none());
        }
        let trail: Vec<&Value> = second[0]["reason"].as_array().unwrap().iter().map(|entry| &entry[1]).collect();
        assert_eq!(trail, ["recover b off n3.lab on n2.lab", "rate-limit:4:gnt-ha start on n2.lab", "only-off:n3.lab"]);
        assert_eq!(second[1]["no_remember"], true);
        assert_eq!(made[3].opcodes[0]["reason"][2][1], "only-from:n3.lab", "that node is online");
    }

    /// Ganeti starts without its hooks if they cannot be run.
    #[test]
    fn without_the_guard_only_failovers_are_safe() {
        assert_eq!(StartForm::of(true, true), StartForm::NewPrimary);
        for (own_noded_answers, guard_can_run) in [(false, true), (true, false), (false, false)] {
            assert_eq!(StartForm::of(own_noded_answers, guard_can_run), StartForm::Failover);
        }
    }

    /// Nothing starts before the record.
    #[test]
    fn starts_depend_on_the_record() {
        let on = || StartNode::Allocated(node("n2.lab"));
        let starts = [start("a", on(), true), start("b", on(), false)];
        let records = BTreeMap::from([(node("n3.lab"), 77)]);
        let made = jobs(&starts, StartForm::NewPrimary, &records, 5);
        assert_eq!(made[0].opcodes[0]["depends"], json!([[77, ["success"]]]));
        assert_eq!((made[0].opcodes[1].get("depends"), made[1].opcodes[0].get("depends")), (None, None));
        let without = jobs(&starts, StartForm::NewPrimary, &BTreeMap::new(), 5);
        assert_eq!(without.iter().map(|job| job.start.instance.as_str()).collect::<Vec<_>>(), ["b"]);
    }
}
