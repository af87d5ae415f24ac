//! The reasons why a hook of Ganeti's prevents a change, or has not done a step. Each is one line.

use crate::core::hook;
use crate::core::node::NodeName;
use crate::core::pacemaker::names::{NoPacemakerName, PacemakerName};
use crate::core::recovery::guard::{BadRunningJobs, GuardError};
use crate::core::recovery::instance::InstanceName;
use crate::core::recovery::queue::STOPPED_BY_HOOK;
use crate::service::reconciler::run::ReconcileError;
use crate::service::shun::error::ShunError;
use crate::service::shun::order_error::{ManualOrderError, OrderError};
use crate::sys::command::ProgramError;
use crate::sys::config_file::ConfigFileError;
use crate::sys::ganeti::files::GanetiFilesError;
use crate::sys::ganeti::luxi::LuxiError;
use crate::sys::pacemaker::PacemakerError;
use crate::sys::pacemaker::cib::CibError;

/// The reason why a hook prevents a change, or why a step failed. The first group of variants are failures of the layers
/// below, as they are.
#[allow(missing_docs, reason = "the field names say it")]
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// gnt-ha's configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigFileError),
    /// Ganeti's configuration cannot be used.
    #[error(transparent)]
    Ganeti(#[from] GanetiFilesError),
    /// luxid does not answer.
    #[error(transparent)]
    Luxi(#[from] LuxiError),
    /// Pacemaker does not have the node.
    #[error(transparent)]
    PacemakerName(#[from] NoPacemakerName),
    /// Pacemaker does not answer, or one of its tools failed.
    #[error(transparent)]
    Pacemaker(#[from] PacemakerError),
    /// A tool of Pacemaker or of Ganeti failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Pacemaker's configuration on this host cannot be used.
    #[error(transparent)]
    Cib(#[from] CibError),
    /// The shun list of this host cannot be used, or its rules are not applied.
    #[error(transparent)]
    Shun(#[from] ShunError),
    /// The other nodes cannot be asked.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// A node was not shunned or readmitted.
    #[error(transparent)]
    ManualOrder(#[from] ManualOrderError),
    /// The reconciler failed.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// A start of gnt-ha must not go on.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// luxid's list of running jobs cannot be parsed.
    #[error(transparent)]
    RunningJobs(#[from] BadRunningJobs),

    /// A hook comes before a change that must not be made.
    #[error(transparent)]
    Change(#[from] hook::HookChangeError),
    /// It is unknown whether gnt-ha starts the instance: nothing may change it.
    #[error(
        "{instance}: cannot find out whether gnt-ha starts it, and so it is not changed: {error}; try again {STOPPED_BY_HOOK}"
    )]
    StarterUnknown { instance: InstanceName, error: Box<HookError> },
    /// An instance must not start before the promise of self-fencing is over.
    #[error(
        "{here}: no instance may start yet: its self-fencing is not armed since it has booted, and other nodes may rely on it \
         for {left_s} s more; see gnt-ha self-fence status on {here} {STOPPED_BY_HOOK}"
    )]
    InstanceTooEarly { here: NodeName, left_s: u64 },
    /// The plan of a hook left something out, with the reason.
    #[error("{0}")]
    Remark(String),
    /// A node does not have the shun list, or does not apply it.
    #[error("{}", std::iter::once(failure).chain(notes).map(String::as_str).collect::<Vec<_>>().join("; "))]
    Sync { failure: String, notes: Vec<String> },
    /// A node's change was not passed on to Pacemaker.
    #[error("{node}: Pacemaker was not notified: {error}")]
    PacemakerNotNotified { node: NodeName, error: Box<HookError> },
    /// A node was not put on standby.
    #[error("{node}: standby failed: {error} (crm_attribute --node {name} --name standby --update on)")]
    NotOnStandby { node: NodeName, name: PacemakerName, error: ProgramError },
    /// The standby of a node was not ended.
    #[error("{node}: is still on standby: {error} (crm_attribute --node {name} --name standby --delete)")]
    StillOnStandby { node: NodeName, name: PacemakerName, error: ProgramError },
    /// A node that is recorded offline was not fenced.
    #[error("{node}: is not fenced: {error}")]
    NotFenced { node: NodeName, error: Box<HookError> },
    /// Ganeti has the node online again: it must not be fenced.
    #[error("Ganeti records it online again")]
    OnlineAgain,
    /// The fencing would do harm, with the reason.
    #[error("{0}")]
    Objection(String),
    /// An administrator has to fence the node.
    #[error("{error} (stonith_admin --fence {name})")]
    FenceByHand { name: PacemakerName, error: Box<HookError> },
    /// The new master has recorded nothing in time.
    #[error("nothing is recorded yet: {0}")]
    NothingRecorded(Box<HookError>),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An administrator copies the command from the line.
    #[test]
    fn a_node_that_is_not_fenced_is_named_with_the_command() {
        let error = Box::new(HookError::Objection("Pacemaker has no quorum here".to_owned()));
        let error = HookError::FenceByHand { name: PacemakerName::of_test("n1"), error };
        let line = HookError::NotFenced { node: NodeName::new("n1.lab").unwrap(), error: Box::new(error) }.to_string();
        assert_eq!(line, "n1.lab: is not fenced: Pacemaker has no quorum here (stonith_admin --fence n1)");
    }
}
