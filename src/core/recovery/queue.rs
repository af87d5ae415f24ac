//! Ganeti's job queue, as far as recovery needs it: which job holds which instance, and what gnt-ha's own starts came
//! to. Pure.
//!
//! The queue is replicated to all master candidates, so a new master reads there what the last one has submitted. Source:
//! `src/Ganeti/Query/Job.hs`, `src/Ganeti/JQueue/Objects.hs`, design-reason-trail.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::instance::InstanceName;
use crate::core::node::NodeName;

/// The source in the reason trail of gnt-ha's jobs.
pub const REASON_SOURCE: &str = "gnt:extern:gnt-ha";

/// The mark at the end of each error with which a hook of gnt-ha's stops a job. A start that was stopped is not one that
/// failed. Hosts of two versions read each other's errors, so the mark stays as it is when a text is reworded.
pub const STOPPED_BY_HOOK: &str = "[gnt-ha:blocked]";

/// The fields of a job that [`InstanceJob::parse_all`] expects, in its order.
const FIELDS: [&str; 7] = ["id", "status", "ops", "opresult", "received_ts", "end_ts", "opstatus"];

/// The places of the number of a job, its operations and their states among the fields of [`InstanceJob::query`].
pub(super) const ROLE_COLUMNS: [usize; 3] = [0, 2, 6];

/// The state of a job (`JOB_STATUS_ALL` in `src/Ganeti/Constants.hs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStatus {
    /// The job has not begun: it is queued, waits for its locks or for another job.
    NotBegun,
    /// The job runs, or is being cancelled.
    Running,
    /// The job has ended without an error.
    Success,
    /// The job has ended with an error, or its process has.
    Failed,
    /// The job was cancelled before it began.
    Cancelled,
}

impl JobStatus {
    /// Returns whether the job may still change something.
    #[must_use]
    pub const fn is_unfinished(self) -> bool {
        matches!(self, Self::NotBegun | Self::Running)
    }

    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "queued" | "waiting" => Self::NotBegun,
            "running" | "canceling" => Self::Running,
            "success" => Self::Success,
            "error" => Self::Failed,
            "canceled" => Self::Cancelled,
            _ => return None,
        })
    }
}

/// The effect of a job on its instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    /// A start of gnt-ha's: a failover, or a new primary node and a start.
    OwnStart,
    /// A migration: the instance may run on another node than the recorded one.
    Migration,
    /// A failover, a move or another primary node by another program or person: the instance may have been started on its new node, and the
    /// record of that may not have reached the other master candidates before the master's host died.
    Move,
    /// Any other job, such as a stop, a start or a modification by hand.
    Other,
}

/// One job of Ganeti's queue that concerns instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceJob {
    /// The number of the job in Ganeti's queue.
    pub id: u64,
    /// Whether the job waits, runs or has ended.
    pub status: JobStatus,
    /// The effect of the job on its instances.
    pub kind: JobKind,
    /// The first operation, as Ganeti names it.
    pub operation: String,
    /// The instances that the job names.
    pub instances: BTreeSet<InstanceName>,
    /// The node from which the job evacuates or migrates all instances, if it names one.
    pub of_node: Option<NodeName>,
    /// The new primary node, if the job names one.
    pub new_primary: Option<NodeName>,
    /// When Ganeti received the job, in milliseconds since 1970 (wall clock of the master).
    pub received_ms: u64,
    /// When the job ended, in milliseconds since 1970; `None` while it is unfinished.
    pub ended_ms: Option<u64>,
    /// The error of a failed job.
    pub error: Option<String>,
    /// Whether the job failed because its process ended, for example with the master's host.
    pub interrupted: bool,
}

/// The reason why the answer to the query of the jobs cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQueue {
    /// The answer has no list of jobs.
    #[error("luxid's answer has no list of jobs")]
    NoList,
    /// This row of the list cannot be parsed.
    #[error("row {0} of luxid's list of jobs cannot be parsed")]
    Row(usize),
}

/// The sources that luxid adds to the reason trail of a job whose process has ended, or never began
/// (`src/Ganeti/JQScheduler.hs`). The start itself has not failed then.
const INTERRUPTED: [&str; 2] = ["gnt:daemon:luxid:deathdetection", "gnt:daemon:luxid:startjobs"];

/// The beginning of the error of a job whose dependency has failed (`_JobDependencyManager` in
/// `lib/jqueue/__init__.py`).
const DEPENDENCY: &str = "Dependency ";

impl InstanceJob {
    /// Returns the arguments of LUXI's `Query` for [`InstanceJob::parse_all`].
    #[must_use]
    pub fn query() -> Value {
        json!(["job", FIELDS, null])
    }

    /// Parses the answer of LUXI's `Query` with [`InstanceJob::query`]. Jobs that name neither an instance nor a node that is
    /// evacuated are left out.
    ///
    /// # Errors
    /// [`BadQueue`] if the answer has another shape. A part of a queue is never returned: a job that is overlooked may
    /// be a start.
    pub fn parse_all(answer: &Value) -> Result<Vec<Self>, BadQueue> {
        let rows = answer.get("data").and_then(Value::as_array).ok_or(BadQueue::NoList)?;
        let mut jobs = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            jobs.extend(parse(row).ok_or(BadQueue::Row(index))?);
        }
        Ok(jobs)
    }

    /// Returns whether this job has failed for a reason that lies in the instance or its new node.
    #[must_use]
    pub fn is_failed_attempt(&self) -> bool {
        self.status == JobStatus::Failed && !self.interrupted && !self.is_refused()
    }

    /// Returns whether the instance is that of another program or person since this job: it changes the instance or where
    /// it runs, and did not fail. A failed start of ganeti-watcher's or a question changes nothing.
    #[must_use]
    pub fn takes_over(&self) -> bool {
        let is_question = self.operation == "OP_INSTANCE_QUERY_DATA" || self.operation.starts_with("OP_TAGS_");
        match self.kind {
            JobKind::OwnStart => false,
            JobKind::Migration | JobKind::Move => self.status != JobStatus::Cancelled,
            JobKind::Other => !is_question && (self.status == JobStatus::Success || self.status.is_unfinished()),
        }
    }

    /// Returns whether this job may have made the instance run on another node than the recorded one.
    #[must_use]
    pub fn may_have_moved(&self) -> bool {
        let is_done = matches!(self.status, JobStatus::Running | JobStatus::Success);
        match self.kind {
            JobKind::Migration => self.status != JobStatus::Cancelled,
            JobKind::OwnStart | JobKind::Move => is_done || self.status == JobStatus::Failed && !self.is_refused(),
            JobKind::Other => false,
        }
    }

    /// Returns whether this job has failed without an attempt to start the instance: the job on which it depends has
    /// failed, or a hook of gnt-ha's has stopped it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        let is_no_attempt = |error: &String| error.starts_with(DEPENDENCY) || error.contains(STOPPED_BY_HOOK);
        self.status == JobStatus::Failed && self.error.as_ref().is_some_and(is_no_attempt)
    }
}

/// Returns the unfinished job of gnt-ha that records each node offline, by the answer to [`InstanceJob::query`]. The newest one
/// counts. A row that [`InstanceJob::parse_all`] would reject is left out.
#[must_use]
pub fn record_jobs(answer: &Value) -> BTreeMap<NodeName, u64> {
    let rows = answer.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let record = |row: &Value| {
        let cell = |index: usize| row.get(index)?.get(1);
        let id = number(cell(0)?)?;
        let is_open = JobStatus::parse(cell(1)?.as_str()?)?.is_unfinished();
        let ops = cell(2)?.as_array()?;
        let sets = |op: &&Value| {
            op.get("OP_ID").and_then(Value::as_str) == Some("OP_NODE_SET_PARAMS")
                && op.get("offline").and_then(Value::as_bool) == Some(true)
        };
        let is_ours = sources(ops).any(|source| source == REASON_SOURCE);
        let node = ops.iter().find(sets)?.get("node_name")?.as_str()?;
        NodeName::new(node).ok().filter(|_| is_open && is_ours).map(|node| (node, id))
    };
    let mut records = BTreeMap::new();
    for (node, id) in rows.iter().filter_map(record) {
        records.entry(node).and_modify(|known: &mut u64| *known = id.max(*known)).or_insert(id);
    }
    records
}

/// Parses a row. `None` if it is malformed; `Some(None)` if the job has nothing to do with instances.
fn parse(row: &Value) -> Option<Option<InstanceJob>> {
    let cells: Vec<Option<&Value>> = row
        .as_array()?
        .iter()
        // Result status 0 is a value (`RSNormal`).
        .map(|cell| cell.get(1).filter(|_| cell.get(0).and_then(Value::as_u64) == Some(0)))
        .collect();
    let [id, status, ops, results, received, ended, ..] = cells.as_slice() else { return None };
    // A job that ended while the query ran has no values any more: it was archived.
    let (Some(id), Some(status), Some(ops)) = (id, status, ops) else { return Some(None) };
    let id = number(id)?;
    let status = JobStatus::parse(status.as_str()?)?;
    let ops = ops.as_array()?;
    let text = |op: &Value, key: &str| op.get(key).and_then(Value::as_str).map(str::to_owned);
    let names = |op: &Value| {
        let one = text(op, "instance_name").into_iter();
        let many = op.get("instances").and_then(Value::as_array).into_iter().flatten();
        one.chain(many.filter_map(|name| name.as_str().map(str::to_owned))).collect::<Vec<_>>()
    };
    let instances: BTreeSet<InstanceName> =
        ops.iter().flat_map(names).filter_map(|name| InstanceName::new(&name).ok()).collect();
    let node = |keys: &[&str]| {
        let found = ops.iter().find_map(|op| keys.iter().find_map(|key| text(op, key)));
        found.and_then(|name| NodeName::new(&name).ok())
    };
    let first = ops.first().and_then(|op| text(op, "OP_ID")).unwrap_or_default();
    let is = |wanted: &[&str]| ops.iter().any(|op| text(op, "OP_ID").is_some_and(|id| wanted.contains(&id.as_str())));
    let of_node = node(&["node_name"]).filter(|_| is(&["OP_NODE_EVACUATE", "OP_NODE_MIGRATE"]));
    if instances.is_empty() && of_node.is_none() {
        return Some(None);
    }
    let has_source = |wanted: &[&str]| sources(ops).any(|source| wanted.contains(&source));
    // OP_INSTANCE_CREATE names the first primary node so, too.
    let moves =
        |op: &Value| text(op, "OP_ID").is_some_and(|id| id == "OP_INSTANCE_SET_PARAMS") && text(op, "pnode").is_some();
    let kind = if has_source(&[REASON_SOURCE]) && is(&["OP_INSTANCE_FAILOVER", "OP_INSTANCE_STARTUP"]) {
        JobKind::OwnStart
    } else if is(&["OP_INSTANCE_MIGRATE", "OP_NODE_MIGRATE", "OP_NODE_EVACUATE"]) {
        JobKind::Migration
    } else if is(&["OP_INSTANCE_FAILOVER", "OP_INSTANCE_MOVE"]) || ops.iter().any(moves) {
        JobKind::Move
    } else {
        JobKind::Other
    };
    Some(Some(InstanceJob {
        id,
        status,
        kind,
        operation: first,
        instances,
        of_node,
        new_primary: node(&["target_node", "pnode"]),
        received_ms: received.and_then(milliseconds).unwrap_or_default(),
        ended_ms: ended.and_then(milliseconds),
        error: results.filter(|_| status == JobStatus::Failed).map(error_of),
        interrupted: has_source(&INTERRUPTED),
    }))
}

/// Parses a job number; newer versions of Ganeti send it as text.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Returns the sources of the reason trails of these opcodes.
pub(super) fn sources(ops: &[Value]) -> impl Iterator<Item = &str> {
    let trail = |op| Value::get(op, "reason").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    ops.iter().flat_map(trail).filter_map(|entry| entry.get(0).and_then(Value::as_str))
}

/// Parses `[seconds, microseconds]`.
fn milliseconds(time: &Value) -> Option<u64> {
    let seconds = time.get(0)?.as_u64()?;
    seconds.checked_mul(1_000)?.checked_add(time.get(1)?.as_u64()? / 1_000)
}

/// Returns the first error text of the results: `["OpExecError", ["text"]]`, or of all hooks that failed
/// `["HooksAbort", [[["node", "script", "text"], ...]]]` (`lib/hooksmaster.py`).
fn error_of(results: &Value) -> String {
    let of_hook = |hook: &Value| {
        let part = |index: usize| hook.get(index)?.as_str().filter(|text| !text.trim().is_empty());
        let silent = || Some(format!("the hook {} on {} failed and printed nothing", part(1)?, part(0)?));
        part(2).map(str::to_owned).or_else(silent)
    };
    let text = |result: &Value| {
        let first = result.get(1)?.get(0)?;
        let hooks = || -> Vec<String> { first.as_array().into_iter().flatten().filter_map(of_hook).collect() };
        let of_hooks = || Some(hooks().join("; ")).filter(|text| !text.is_empty());
        first.as_str().map(str::to_owned).or_else(of_hooks)
    };
    let found = results.as_array().and_then(|results| results.iter().find_map(text));
    found.unwrap_or_else(|| "no reason".to_owned())
}

#[cfg(test)]
mod tests;
