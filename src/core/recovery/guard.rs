//! The last check of a start, while Ganeti holds the lock of the instance: the hook before the operation runs it on the
//! master, and its failure stops the job. Pure.
//!
//! Between the plan and the operation a job waits for its locks, for the record and behind other jobs. What has changed
//! since is found here: an administrator has stopped the instance, another start has moved it, or the host was
//! readmitted. `OP_INSTANCE_STARTUP` starts whatever the administrator wants, and `OP_INSTANCE_SET_PARAMS` moves an
//! instance off a host that does not answer with only a warning (`lib/cmdlib/instance_operation.py`,
//! `instance_set_params.py`). A failover starts only what is marked up, but would stop and move an instance of a host that
//! was readmitted (`_ExecFailover` in `lib/cmdlib/instance_migration.py`).

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Value, json};

use super::instance::{AdminState, InstanceName};
use super::queue::{REASON_SOURCE, REFUSED, sources};
use crate::core::node::{self, NodeName};

/// The beginning of the entry in the reason trail that names the node off which the instance is moved.
pub const ONLY_OFF: &str = "only-off:";

/// The beginning of the entry that names the node from which the instance is moved again, which is online.
pub const ONLY_FROM: &str = "only-from:";

/// An operation that is checked.
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
    #[error("{REFUSED}{0}: it is not marked up any more")]
    Stopped(InstanceName),
    /// No start of gnt-ha's may go on.
    #[error("{REFUSED}{instance}: {why}")]
    Blocked {
        /// The instance that was to be started.
        instance: InstanceName,
        /// The reason why gnt-ha may start nothing now.
        why: StartBlock,
    },
    /// Another job has moved the instance.
    #[error("{REFUSED}{instance}: its primary node is not {off} any more")]
    Moved {
        /// The instance that was to be started.
        instance: InstanceName,
        /// The node off which it was to be moved.
        off: NodeName,
    },
    /// The host was readmitted.
    #[error("{REFUSED}{instance}: {off} is not recorded offline any more")]
    Online {
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
    /// `offline` are the nodes that Ganeti has offline, and `block` is the reason why no start may go on.
    ///
    /// # Errors
    /// [`BadRunningJobs`] if the answer has another shape. The inner error is [`GuardError`] if the start must not go on.
    pub fn check(
        &self,
        answer: &Value,
        offline: &BTreeSet<NodeName>,
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

    fn check_own(&self, op: &Value, offline: &BTreeSet<NodeName>, block: Option<StartBlock>) -> Result<(), GuardError> {
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
        if !offline.contains(&off) {
            return Err(GuardError::Online { instance: self.name.clone(), off });
        }
        Ok(())
    }
}

/// Returns the node that an entry of gnt-ha's in the reason trail of an opcode names after `beginning`.
fn entry(op: &Value, beginning: &str) -> Option<NodeName> {
    let trail = op.get("reason")?.as_array()?;
    let mut ours = trail.iter().filter(|entry| entry.get(0).and_then(Value::as_str) == Some(REASON_SOURCE));
    NodeName::new(ours.find_map(|entry| entry.get(1)?.as_str()?.strip_prefix(beginning))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    fn locked(path: &str, status: &str, primary: &str) -> LockedInstance {
        let variables = [
            ("GANETI_HOOKS_PATH", path),
            ("GANETI_INSTANCE_NAME", "web"),
            ("GANETI_INSTANCE_STATUS", status),
            ("GANETI_INSTANCE_PRIMARY", primary),
        ];
        let variable =
            |wanted: &str| variables.iter().find(|(key, _)| *key == wanted).map(|(_, value)| (*value).into());
        LockedInstance::read(variable).unwrap()
    }

    /// The running jobs, one of which moves web off n3 and starts it.
    fn running(source: &str) -> Value {
        let reason = json!([[source, "recover web", 5], [source, "only-off:n3.lab", 5]]);
        let ops = json!([{"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": "web", "pnode": "n4.lab", "reason": reason},
                         {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "web", "reason": reason},
                         {"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": "web", "reason": reason}]);
        json!({"data": [[[0, 3], [0, [{"OP_ID": "OP_CLUSTER_VERIFY"}]]], [[0, 7], [0, ops]], [[0, 8], [3, null]]]})
    }

    fn checked(locked: &LockedInstance, offline: &[&str]) -> Result<(), GuardError> {
        let offline = offline.iter().map(|text| name(text)).collect();
        locked.check(&running(REASON_SOURCE), &offline, None).unwrap()
    }

    #[test]
    fn a_start_goes_on_only_if_nothing_has_changed_since_its_plan() {
        let set = |status: &str, primary: &str| locked("instance-modify", status, primary);
        assert_eq!(checked(&set("up", "n3.lab"), &["n3.lab"]), Ok(()));
        assert!(matches!(checked(&set("down", "n3.lab"), &["n3.lab"]), Err(GuardError::Stopped(_))));
        assert!(matches!(checked(&set("up", "n4.lab"), &["n3.lab"]), Err(GuardError::Moved { .. })), "a duplicate");
        assert!(matches!(checked(&set("up", "n3.lab"), &[]), Err(GuardError::Online { .. })), "readmitted");
        let failover = locked("instance-failover", "up", "n3.lab");
        assert_eq!(checked(&failover, &["n3.lab"]), Ok(()));
        assert!(
            matches!(checked(&failover, &[]), Err(GuardError::Online { .. })),
            "it runs on a host that was readmitted"
        );
        let start = |status: &str| locked("instance-start", status, "n4.lab");
        assert_eq!(checked(&start("up"), &["n3.lab"]), Ok(()));
        let stopped = checked(&start("down"), &["n3.lab"]).unwrap_err();
        assert!(stopped.to_string().starts_with(REFUSED), "{stopped}");
        assert!(matches!(checked(&start("?"), &["n3.lab"]), Err(GuardError::Stopped(_))), "unknown");
    }

    /// A start that failed on n4 is to be tried on n5. n4 is online.
    #[test]
    fn a_start_that_is_moved_again_leaves_the_node_on_which_it_failed() {
        let reason = json!([[REASON_SOURCE, "recover", 1], [REASON_SOURCE, "only-from:n4.lab", 1]]);
        let op = json!({"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": "web", "reason": reason});
        let answer = json!({"data": [[[0, 8], [0, [op]]]]});
        let of =
            |primary: &str| locked("instance-failover", "up", primary).check(&answer, &BTreeSet::new(), None).unwrap();
        assert_eq!(of("n4.lab"), Ok(()));
        let off = name("n4.lab");
        assert_eq!(of("n6.lab"), Err(GuardError::Moved { instance: InstanceName::new("web").unwrap(), off }));
    }

    /// For the jobs of others nothing more is read.
    #[test]
    fn the_operation_of_another_is_known_by_the_queue_alone() {
        let locked = locked("instance-modify", "up", "n3.lab");
        assert_eq!(locked.may_be_own(&running(REASON_SOURCE)), Ok(true));
        assert_eq!(locked.may_be_own(&running("gnt:client")), Ok(false));
        assert_eq!(locked.may_be_own(&json!({"data": [[]]})), Err(BadRunningJobs));
    }

    /// What an administrator does while starts wait for their locks: he removes the tag, pauses, or has a maintenance.
    #[test]
    fn no_own_start_goes_on_while_gnt_ha_may_start_nothing() {
        let offline = BTreeSet::from([name("n3.lab")]);
        for why in [StartBlock::Off, StartBlock::Paused, StartBlock::Maintenance, StartBlock::Unknown] {
            for path in ["instance-modify", "instance-start", "instance-failover"] {
                let locked = locked(path, "up", "n3.lab");
                let refused = locked.check(&running(REASON_SOURCE), &offline, Some(why)).unwrap().unwrap_err();
                assert_eq!(refused, GuardError::Blocked { instance: locked.name.clone(), why });
                assert_eq!(refused.to_string(), format!("{REFUSED}web: {why}"));
                assert_eq!(locked.check(&running("gnt:client"), &offline, Some(why)), Ok(Ok(())), "of others");
            }
        }
    }

    /// Starts may wait although the tag is gone, and a new master has not seen yet what waits in its queue. Otherwise
    /// no operation waits for luxid.
    #[test]
    fn luxid_is_asked_only_if_a_start_may_be_under_way() {
        let modify = locked("instance-modify", "up", "n4.lab");
        let known = |is_on, has_starts, queue_is_known| StartsKnown { is_on, has_starts, queue_is_known };
        assert!(modify.is_to_check(known(false, true, true)), "the tag was removed");
        assert!(modify.is_to_check(known(true, false, false)), "a new master");
        assert!(!modify.is_to_check(known(true, false, true)));
        assert!(!modify.is_to_check(known(false, false, false)));
        let start = locked("instance-start", "up", "n4.lab");
        assert!(start.is_to_check(known(true, true, true)) && !start.is_to_check(known(true, false, false)));
    }

    /// An administrator starts a stopped instance, or changes one: gnt-ha does not stop that.
    #[test]
    fn what_others_do_is_not_checked() {
        for (path, status) in [("instance-start", "down"), ("instance-modify", "down")] {
            let locked = locked(path, status, "n4.lab");
            assert_eq!(locked.check(&running("gnt:client"), &BTreeSet::new(), None), Ok(Ok(())));
            let other = LockedInstance { name: InstanceName::new("db").unwrap(), ..locked };
            assert_eq!(other.check(&running(REASON_SOURCE), &BTreeSet::new(), None), Ok(Ok(())));
        }
        assert!(LockedInstance::read(|_| Some("instance-reboot".to_owned())).is_none());
    }

    #[test]
    fn an_answer_of_another_shape_is_an_error() {
        let locked = locked("instance-start", "down", "n4.lab");
        assert_eq!(locked.check(&json!([]), &BTreeSet::new(), None), Err(BadRunningJobs));
        assert_eq!(locked.check(&json!({"data": [[]]}), &BTreeSet::new(), None), Err(BadRunningJobs));
    }
}
