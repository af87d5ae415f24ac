//! The last check of a start, while Ganeti holds the lock of the instance: the hook before the operation runs it on the
//! master, and its failure stops the job. Pure.
//!
//! Between the plan and the operation a job waits for its locks, for the record and behind other jobs. What has changed
//! since is found here: an administrator has stopped the instance, another start has moved it, or the host was
//! readmitted. `OP_INSTANCE_STARTUP` starts whatever the administrator wants, and `OP_INSTANCE_SET_PARAMS` moves an
//! instance off a host that does not answer with only a warning (`lib/cmdlib/instance_operation.py`,
//! `instance_set_params.py`). A failover starts only what is marked up, but would stop and move an instance of a host that
//! was readmitted (`_ExecFailover` in `lib/cmdlib/instance_migration.py`).

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::instance::{AdminState, InstanceName};
use super::queue::{REASON_SOURCE, STOPPED_BY_HOOK, sources};
use super::record_limit::RecordLimit;
use crate::core::ganeti::record_version::RecordVersion;
use crate::core::node::{self, NodeName};

/// The beginning of the entry in the reason trail that names the node off which the instance is moved.
pub const ONLY_OFF: &str = "only-off:";

/// The beginning of the entry that names the node from which the instance is moved again, which is online.
pub const ONLY_FROM: &str = "only-from:";

/// The nodes that are recorded offline, with the versions of their records, if these are known.
pub type OfflineNodes = BTreeMap<NodeName, Option<RecordVersion>>;

/// An operation on an instance that Ganeti's hook checks while the instance is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardedOperation {
    /// The instance is started on its recorded primary node.
    Startup,
    /// The recorded primary node is changed, among other changes.
    SetParams,
    /// The instance is stopped on its recorded primary node, if that is online, and started on another one.
    Failover,
}

impl GuardedOperation {
    const fn opcode(self) -> &'static str {
        match self {
            Self::Startup => "OP_INSTANCE_STARTUP",
            Self::SetParams => "OP_INSTANCE_SET_PARAMS",
            Self::Failover => "OP_INSTANCE_FAILOVER",
        }
    }
}

/// The stored facts of a host about gnt-ha's starts, without a question to luxid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartsKnown {
    /// Whether the cluster's tag switches recovery on, or did, and starts of then may be left.
    pub is_on: bool,
    /// Whether a start of gnt-ha's was submitted to luxid, and its instance was not seen running yet. Unknown: true if
    /// recovery is on.
    pub has_starts: bool,
    /// Whether this host has read the queue of the luxid that serves now. Until then, that may have starts which another
    /// master has submitted.
    pub queue_is_known: bool,
}

/// The reason why no start of gnt-ha's may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartBlock {
    /// The cluster has no tag any more that switches recovery on.
    Off,
    /// The administrator has paused gnt-ha.
    Paused,
    /// Pacemaker is in maintenance mode.
    Maintenance,
    /// The pause or Pacemaker's configuration cannot be read, so one of these may be so.
    Unknown,
}

impl fmt::Display for StartBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "recovery is off",
            Self::Paused => "gnt-ha is paused",
            Self::Maintenance => "Pacemaker is in maintenance mode",
            Self::Unknown => "it is unknown whether gnt-ha is paused",
        })
    }
}

/// An instance whose lock an operation holds, as Ganeti describes it to the hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedInstance {
    /// What Ganeti is about to do with the instance.
    pub operation: GuardedOperation,
    /// The instance's full name in Ganeti.
    pub name: InstanceName,
    /// The state in which the administrator wants the instance; `None` if it is unknown.
    pub admin_state: Option<AdminState>,
    /// The recorded primary node; `None` if it is unknown.
    pub primary: Option<NodeName>,
}

/// The reason why a start is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// The administrator has stopped the instance.
    #[error("gnt-ha does not start {0}: it is not marked up any more {STOPPED_BY_HOOK}")]
    Stopped(InstanceName),
    /// No start of gnt-ha's may go on.
    #[error("gnt-ha does not start {instance}: {why} {STOPPED_BY_HOOK}")]
    Blocked {
        /// The instance that was to be started.
        instance: InstanceName,
        /// The reason why gnt-ha may start nothing now.
        why: StartBlock,
    },
    /// Another job has moved the instance.
    #[error("gnt-ha does not start {instance}: its primary node is not {off} any more {STOPPED_BY_HOOK}")]
    Moved {
        /// The instance that was to be started.
        instance: InstanceName,
        /// The node off which it was to be moved.
        off: NodeName,
    },
    /// The host was readmitted.
    #[error("gnt-ha does not start {instance}: {off} is not recorded offline any more {STOPPED_BY_HOOK}")]
    Online {
        /// The instance that was to be started.
        instance: InstanceName,
        /// The node off which it was to be moved.
        off: NodeName,
    },
    /// The host may have been readmitted, have started the instance, and have been recorded offline again.
    #[error(
        "gnt-ha does not start {instance}: the record of {off} was changed since: it may have been online {STOPPED_BY_HOOK}"
    )]
    OnlineSince {
        /// The instance that was to be started.
        instance: InstanceName,
        /// The node off which it was to be moved.
        off: NodeName,
    },
}

/// luxid's answer about the running jobs cannot be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("luxid's list of running jobs cannot be parsed")]
pub struct BadRunningJobs;

impl LockedInstance {
    /// Reads the environment of a hook before an operation; `None` for any other hook.
    #[must_use]
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let operation = match variable("GANETI_HOOKS_PATH")?.as_str() {
            "instance-start" => GuardedOperation::Startup,
            "instance-modify" => GuardedOperation::SetParams,
            "instance-failover" => GuardedOperation::Failover,
            _ => return None,
        };
        Some(Self {
            operation,
            name: InstanceName::new(&variable("GANETI_INSTANCE_NAME")?).ok()?,
            admin_state: variable("GANETI_INSTANCE_STATUS").and_then(|word| AdminState::parse(&word)),
            primary: variable("GANETI_INSTANCE_PRIMARY").and_then(|name| NodeName::new(&name).ok()),
        })
    }

    /// Returns whether luxid has to be asked whose operation this is. While no start of gnt-ha's can be under way, others
    /// do not wait for luxid.
    ///
    /// The tag that switches recovery on does not decide that: it may have been removed while starts wait. Of a master
    /// that has not read its queue yet, the start of an instance that is marked up is right in any case.
    #[must_use]
    pub fn is_to_check(&self, known: StartsKnown) -> bool {
        let is_plain = self.operation == GuardedOperation::Startup && self.admin_state == Some(AdminState::Up);
        known.has_starts || known.is_on && !known.queue_is_known && !is_plain
    }

    /// Returns the arguments of LUXI's `Query` for [`LockedInstance::check`]. Of all jobs that name the instance, the one
    /// that runs has its lock.
    #[must_use]
    pub fn query() -> Value {
        json!(["job", ["id", "ops"], ["=", "status", "running"]])
    }

    /// Returns whether a running job of gnt-ha's has this operation. Nothing else is read for the jobs of others.
    ///
    /// # Errors
    /// [`BadRunningJobs`] if the answer has another shape.
    pub fn may_be_own(&self, answer: &Value) -> Result<bool, BadRunningJobs> {
        let rows = answer.get("data").and_then(Value::as_array).ok_or(BadRunningJobs)?;
        let mut is_own = false;
        for row in rows {
            let ops = row.get(1).ok_or(BadRunningJobs)?.get(1).and_then(Value::as_array);
            is_own |= ops.into_iter().flatten().any(|op| self.is_own(op));
        }
        Ok(is_own)
    }

    /// Checks the operation, if it is one of gnt-ha's own starts. `answer` is luxid's to [`LockedInstance::query`],
    /// `offline` are the nodes that are recorded offline, and `block` is the reason why no start may go on. A start that is
    /// stopped with [`GuardError::OnlineSince`] may go on if the queue shows that gnt-ha has recorded the node last
    /// ([`recorded_by_us`](super::role_job::recorded_by_us)).
    ///
    /// # Errors
    /// [`BadRunningJobs`] if the answer has another shape. The inner error is [`GuardError`] if the start must not go on.
    pub fn check(
        &self,
        answer: &Value,
        offline: &OfflineNodes,
        block: Option<StartBlock>,
    ) -> Result<Result<(), GuardError>, BadRunningJobs> {
        let rows = answer.get("data").and_then(Value::as_array).ok_or(BadRunningJobs)?;
        for row in rows {
            let cell = row.get(1).ok_or(BadRunningJobs)?;
            // A job that was archived since has no value.
            let Some(ops) = cell.get(1).and_then(Value::as_array) else { continue };
            if let Some(op) = ops.iter().find(|op| self.is_own(op))
                && let Err(error) = self.check_own(op, offline, block)
            {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    fn is_own(&self, op: &Value) -> bool {
        let is = |key: &str, wanted: &str| op.get(key).and_then(Value::as_str) == Some(wanted);
        is("OP_ID", self.operation.opcode())
            && is("instance_name", self.name.as_str())
            && sources(std::slice::from_ref(op)).any(|source| source == REASON_SOURCE)
    }

    fn check_own(&self, op: &Value, offline: &OfflineNodes, block: Option<StartBlock>) -> Result<(), GuardError> {
        if let Some(why) = block {
            return Err(GuardError::Blocked { instance: self.name.clone(), why });
        }
        if self.admin_state != Some(AdminState::Up) {
            return Err(GuardError::Stopped(self.name.clone()));
        }
        if self.operation == GuardedOperation::Startup {
            return Ok(());
        }
        let (off, from) = (entry(op, ONLY_OFF), entry(op, ONLY_FROM));
        let Some(named) = off.as_ref().or(from.as_ref()) else { return Ok(()) };
        if !self.primary.as_ref().is_some_and(|primary| node::same(primary, named, [])) {
            return Err(GuardError::Moved { instance: self.name.clone(), off: named.clone() });
        }
        let Some(off) = off else { return Ok(()) };
        let Some(version) = offline.get(&off) else {
            return Err(GuardError::Online { instance: self.name.clone(), off });
        };
        // A start without a limit shows nothing of the record: the queue has to.
        if ours(op).find_map(RecordLimit::parse).is_none_or(|limit| !limit.holds(version.as_ref())) {
            return Err(GuardError::OnlineSince { instance: self.name.clone(), off });
        }
        Ok(())
    }
}

/// Returns the node that an entry of gnt-ha's in the reason trail of an opcode names after `beginning`.
fn entry(op: &Value, beginning: &str) -> Option<NodeName> {
    NodeName::new(ours(op).find_map(|entry| entry.strip_prefix(beginning))?).ok()
}

/// Returns the texts of gnt-ha's entries in the reason trail of an opcode.
fn ours(op: &Value) -> impl Iterator<Item = &str> {
    let trail = op.get("reason").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_ours = |entry: &&Value| entry.get(0).and_then(Value::as_str) == Some(REASON_SOURCE);
    trail.iter().filter(is_ours).filter_map(|entry| entry.get(1)?.as_str())
}

#[cfg(test)]
mod tests;
