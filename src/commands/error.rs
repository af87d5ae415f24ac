//! The reasons why a command of `gnt-ha` failed, each one line on stderr.

use std::io;
use std::path::PathBuf;

use super::self_fence::error::{ArmError, MeasureStartError};
use crate::cli::{ConfirmError, PrintError};
use crate::core::node::{NoSuchNode, NodeName};
use crate::core::pacemaker::names::{NoPacemakerName, PacemakerName};
use crate::core::pacemaker::tree::BadCib;
use crate::core::pause::BadReason;
use crate::service::hook::error::HookError;
use crate::service::reconciler::recover::RecoverError;
use crate::service::reconciler::run::ReconcileError;
use crate::service::recovery::RecoveryError;
use crate::service::self_fence::error::{MeasureError, SelfFenceError};
use crate::service::setup::error::SetupError;
use crate::service::shun::error::ShunError;
use crate::service::shun::order_error::{ManualOrderError, OrderError};
use crate::service::simulation::SimulationError;
use crate::sys::command::ProgramError;
use crate::sys::config_file::ConfigFileError;
use crate::sys::ganeti::files::GanetiFilesError;
use crate::sys::ganeti::ssconf::SsconfError;
use crate::sys::pacemaker::PacemakerError;
use crate::sys::pacemaker::cib::{self, CibError};
use crate::sys::pacemaker::fence::NotConfirmed;
use crate::sys::receipt_log::ReceiptLogError;

/// The reason why a command failed. The first group of variants are failures of the layers below, as they are; the
/// others belong to one command and have what it did, and what to do.
#[allow(missing_docs, reason = "the field names say it")]
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// gnt-ha's configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigFileError),
    /// Ganeti's configuration cannot be used.
    #[error(transparent)]
    Ganeti(#[from] GanetiFilesError),
    /// A file of Ganeti's ssconf cannot be used.
    #[error(transparent)]
    Ssconf(#[from] SsconfError),
    /// Ganeti does not have the node.
    #[error(transparent)]
    Node(#[from] NoSuchNode),
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
    /// The output of `cibadmin --query` is not a configuration.
    #[error("cannot parse the output of cibadmin --query: {0}")]
    Query(#[from] BadCib),
    /// The failure of a node cannot be simulated.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// The receipt log cannot be read.
    #[error(transparent)]
    ReceiptLog(#[from] ReceiptLogError),
    /// The reconciler failed.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// The shun list of this host cannot be used, or its rules are not applied.
    #[error(transparent)]
    Shun(#[from] ShunError),
    /// The other nodes cannot be asked.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// A node was not shunned or readmitted.
    #[error(transparent)]
    ManualOrder(#[from] ManualOrderError),
    /// Self-fencing does not start.
    #[error(transparent)]
    SelfFence(#[from] SelfFenceError),
    /// The administrator did not confirm.
    #[error(transparent)]
    Confirm(#[from] ConfirmError),
    /// The result cannot be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The result cannot be printed.
    #[error(transparent)]
    Print(#[from] PrintError),

    /// This host is a node of neither cluster.
    #[error(transparent)]
    NotInCluster(#[from] NotInCluster),
    /// The plan of recovery cannot be made.
    #[error("cannot plan the recovery: {0}")]
    Recovery(#[from] RecoveryError),
    /// The instances of dead hosts were not started by hand, or it is unknown which were.
    #[error("recover failed: {0}")]
    Recover(#[from] RecoverError),
    /// Pacemaker's configuration was not changed by `setup`, or not as planned.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The BMC of a node is another host's, so that fencing would switch the wrong host off. Nothing was changed.
    #[error("nothing was changed: with these BMCs the wrong host would be switched off: {}; correct their addresses, or set compare_identity = false for a device whose BMC is certainly the right one; then: gnt-ha setup --apply", .0.join("; "))]
    WrongBmcs(Vec<String>),
    /// No receipt, or more than one, is the one that was asked for.
    #[error(transparent)]
    Incident(#[from] IncidentError),
    /// The status was not exported.
    #[error(transparent)]
    Report(#[from] ReportError),

    /// A node that Ganeti does not know may be the one that is to be confirmed.
    #[error(
        "{error}; {other} may be that node; if it is, and is off, notify Pacemaker: stonith_admin --confirm={other}; \
         then: crm_node --force --remove {other}; then again: gnt-ha confirm-off {node} --reason TEXT"
    )]
    OtherName { node: NodeName, other: PacemakerName, error: NoPacemakerName },
    /// The core has an objection to what the administrator asked for.
    #[error("{0}")]
    Objection(String),
    /// A node is not confirmed as off: nothing was changed.
    #[error("{node}: not confirmed as off: {error}")]
    NotConfirmedOff { node: NodeName, error: Box<CommandError> },
    /// Pacemaker did not accept the confirmation.
    #[error(
        "{node}: confirm-off failed: {error}; repeat the command while crm_mon --one-shot shows {shown} as UNCLEAN"
    )]
    ConfirmOff { node: NodeName, shown: String, error: Box<NotConfirmed> },

    /// There was no drill: nothing was changed.
    #[error("{node}: no drill: {error}; nothing was changed")]
    NoDrill { node: NodeName, error: Box<CommandError> },
    /// The fencing of a drill failed, or its result is unknown.
    #[error("{node}: not fenced, its state is unknown: {error} (gnt-ha history {node}, gnt-ha status)")]
    Drill { node: NodeName, error: ProgramError },
    /// The instances of a node are unknown.
    #[error("cannot read {}: {error}", path.display())]
    InstancesUnread { path: PathBuf, error: io::Error },
    /// Ganeti's configuration has no valid instances.
    #[error("cannot use {}: {error}", path.display())]
    InstancesUnparsed { path: PathBuf, error: serde_json::Error },
    /// The failure of a node is not rehearsed, as Pacemaker does not have the node.
    #[error("{node}: not rehearsed: {error}")]
    NotRehearsed { node: NodeName, error: NoPacemakerName },

    /// The reason of a pause is not valid.
    #[error(transparent)]
    PauseReason(#[from] BadReason),
    /// The cluster's pause was not changed.
    #[error(transparent)]
    PauseChange(#[from] cib::CibChangeError),
    /// Only this host is paused.
    #[error("only this host is paused, not the cluster: {0} (run the command on a host where Pacemaker runs)")]
    OnlyHostPaused(Box<CommandError>),
    /// The cluster's pause cannot be ended from this host.
    #[error(
        "{}; Pacemaker does not run on this host: if the cluster is paused, it still is (run the command on a host where Pacemaker runs)",
        host_pause(*was_paused)
    )]
    OnlyHostResumed { was_paused: bool },
    /// The end of the cluster's pause failed.
    #[error("{}; if the cluster is paused, it still is: {error}", host_pause(*was_paused))]
    NotResumed { was_paused: bool, error: Box<CommandError> },

    /// A hook prevents a change, or a step of it failed.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// Steps of a hook failed.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Steps(Vec<CommandError>),
    /// The later steps of a hook were not started.
    #[error("cannot start gnt-ha hook {steps}: {error}")]
    StepsNotStarted { steps: String, error: io::Error },

    /// A node or an option stands before a subcommand of `shun`.
    #[error("a NODE or an option before apply, sync, status or release is not valid (see gnt-ha shun --help)")]
    BeforeSubcommand,
    /// `shun` has no node or no reason.
    #[error("a node and a reason are needed")]
    NoNodeOrReason,
    /// A node does not have the shun list, or does not apply it.
    #[error("{0}")]
    Sync(String),
    /// This host does not shun the node.
    #[error("{given}: is not shunned here: {error}; see gnt-ha shun status")]
    NotShunnedHere { given: NodeName, error: NoSuchNode },
    /// The administrator has given no reason to release the nodes.
    #[error(
        "shun release failed: {} and this host would reach each other again, whatever runs there; nothing was changed; if \
         that is right: gnt-ha shun release {} --force --reason TEXT",
        joined(.0, ", "),
        joined(.0, " ")
    )]
    NotReleased(Vec<NodeName>),
    /// The nodes were not released.
    #[error("shun release failed: {0}")]
    Release(ShunError),

    /// Whether self-fencing is to be armed cannot be read.
    #[error(transparent)]
    DesiredState(io::Error),
    /// Whether self-fencing is to be armed cannot be written.
    #[error("cannot write {}: {error}; nothing was changed", path.display())]
    DesiredStateNotKept { path: PathBuf, error: io::Error },
    /// The report of self-fencing exists and cannot be read.
    #[error(
        "cannot read the report of self-fencing in {}: {error}; another version of gnt-ha may have written it: the watchdog may be armed; \
         boot this host when it may go down",
        run.display()
    )]
    SelfFenceUnknown { run: PathBuf, error: io::Error },
    /// Self-fencing was not armed.
    #[error("self-fence arm failed: {0}; nothing was changed")]
    Arm(#[from] ArmError),
    /// The last measurement of the watchdog has no result.
    #[error("self-fence measure failed: {0}; measure again: gnt-ha self-fence measure start --confirm")]
    Measure(#[from] MeasureError),
    /// A measurement of the watchdog did not start, or the watchdog did not reset this host.
    #[error("self-fence measure start failed: {0}")]
    MeasureStart(#[from] MeasureStartError),
}

/// This host has the files of neither cluster.
#[allow(missing_docs, reason = "the field names say it")]
#[derive(Clone, Debug, thiserror::Error)]
#[error("this host has neither Ganeti (no {}) nor Pacemaker (no {}): run it on a node of the cluster", ganeti.display(), pacemaker.display())]
pub struct NotInCluster {
    pub ganeti: PathBuf,
    pub pacemaker: PathBuf,
}

/// The reason why `history --incident` has no action to print.
#[allow(missing_docs, reason = "the field names say it")]
#[derive(Debug, thiserror::Error)]
pub enum IncidentError {
    /// There was no fencing.
    #[error("this host has no receipt of a fencing ({})", dir.display())]
    NoFencing { dir: PathBuf },
    /// No receipt has this beginning.
    #[error("no receipt {wanted} in {} (gnt-ha history --all lists them)", dir.display())]
    NoReceipt { wanted: String, dir: PathBuf },
    /// The receipt is on the host that fenced.
    #[error(
        "another host fenced and has the receipt: gnt-ha history names that host; run the command there, or here without --html"
    )]
    OtherHost,
    /// Several receipts have this beginning.
    #[error("{count} receipts begin with {wanted}: give more characters")]
    Several { wanted: String, count: usize },
}

/// The reason why the status was not exported.
#[allow(missing_docs, reason = "the field names say it")]
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file cannot be written.
    #[error("cannot write {}: {error}", file.display())]
    File { file: PathBuf, error: io::Error },
    /// The socket on stdin cannot be used.
    #[error("cannot use the socket: {0}")]
    Socket(io::Error),
    /// No more requests can be accepted.
    #[error("cannot serve on the socket: {0}")]
    Serve(io::Error),
    /// The request on stdin is not complete.
    #[error("no request came: {0}")]
    NoRequest(io::Error),
}

const fn host_pause(was_paused: bool) -> &'static str {
    if was_paused { "the pause of this host is over" } else { "there was no pause of this host alone" }
}

fn joined(nodes: &[NodeName], by: &str) -> String {
    nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(by)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> NodeName {
        NodeName::new(name).unwrap()
    }

    /// An administrator copies the command from the line.
    #[test]
    fn a_line_names_each_node_and_the_whole_command() {
        let line = CommandError::NotReleased(vec![node("n1.lab"), node("n2.lab")]).to_string();
        assert!(
            line.starts_with("shun release failed: n1.lab, n2.lab and this host would reach each other again"),
            "{line}"
        );
        assert!(line.ends_with("gnt-ha shun release n1.lab n2.lab --force --reason TEXT"), "{line}");
    }

    /// Ganeti shows one line of a hook: it has each failure, and the notes of a sync.
    #[test]
    fn a_hook_reports_each_failure_in_one_line() {
        let sync = HookError::Sync { failure: "n2.lab: no answer".to_owned(), notes: vec!["a full disk".to_owned()] };
        let remark = HookError::Remark("n3.lab: not fenced".to_owned());
        let steps = CommandError::Steps(vec![sync.into(), remark.into()]);
        assert_eq!(steps.to_string(), "n2.lab: no answer; a full disk; n3.lab: not fenced");
    }

    /// A pause that is still there must not be taken for ended.
    #[test]
    fn a_pause_of_the_cluster_that_may_remain_is_reported() {
        let line = CommandError::OnlyHostResumed { was_paused: true }.to_string();
        assert!(line.starts_with("the pause of this host is over; Pacemaker does not run on this host"), "{line}");
        let error = Box::new(PacemakerError::NotHere.into());
        let line = CommandError::NotResumed { was_paused: false, error }.to_string();
        assert_eq!(
            line,
            "there was no pause of this host alone; if the cluster is paused, it still is: Pacemaker does not run on this host"
        );
    }
}
