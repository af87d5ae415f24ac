//! The reasons why an order to shun or to readmit a node has no proven result.

use crate::core::grade::Grade;
use crate::core::node::{NoSuchNode, NodeName};
use crate::core::shun::evaluation::MissingConfirmation;
use crate::core::shun::list::{Epoch, EpochError};
use crate::core::shun::memory::MemoryError;
use crate::sys::command::ProgramError;
use crate::sys::ganeti::network::NetworkError;
use crate::sys::ganeti::peer_channel::PeerError;

use super::error::ShunError;

/// The most nodes that one line names.
const NODES_NAMED: usize = 5;

/// The reason why a node is not shunned or readmitted by all nodes, or why nothing is proven of it. The texts follow
/// the node's name.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// Ganeti's configuration cannot be used.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Ganeti does not have the node.
    #[error(transparent)]
    Node(#[from] NoSuchNode),
    /// Ganeti does not have the node, and it is still shunned.
    #[error("{error}, and it is still shunned: gnt-ha readmit {node} --force --reason TEXT")]
    Removed {
        /// The node, as the administrator named it.
        node: NodeName,
        /// The reason why it is not found.
        error: Box<OrderError>,
    },
    /// Ganeti has no address of the node.
    #[error("it has no address in Ganeti")]
    NoAddress,
    /// The shun list has no address of the node.
    #[error("the shun list has no address of it")]
    NoListedAddress,
    /// The target is this host.
    #[error("this host is the node itself: run the command on another candidate")]
    Itself,
    /// This host cannot apply its shun list.
    #[error(transparent)]
    Shun(#[from] ShunError),
    /// There is no further epoch.
    #[error(transparent)]
    Epoch(#[from] EpochError),
    /// This host must not shun the node.
    #[error("this host must not shun it: {0}")]
    Protected(String),
    /// The node is not shunned.
    #[error("it is not shunned")]
    NotShunned,
    /// The node was readmitted meanwhile.
    #[error("it is not shunned any more")]
    Readmitted,
    /// The node is in another epoch than the round checked.
    #[error("its entry in the shun list changed during the check (epoch {checked}, now {now}): repeat the command")]
    OtherEpoch {
        /// The epoch of the node.
        now: Epoch,
        /// The epoch that the round checked.
        checked: Epoch,
    },
    /// Only TCP would be shunned of Ganeti's master.
    #[error(
        "it is Ganeti's master, and shunning with scope tcp does not end that role: move the role first (gnt-cluster master-failover), or have \
         Pacemaker fence it: gnt-ha shun {0} --reason TEXT --all-traffic"
    )]
    Master(NodeName),
    /// Some nodes do not shun the node yet.
    #[error("not shunned by all nodes yet; gnt-ha shun sync sends it to the missing nodes again: {}", named(.0))]
    Missing(Vec<MissingConfirmation>),
    /// Too few candidates have the readmission.
    #[error("it is not readmitted by enough nodes yet: {0}; repeat the command when they answer")]
    TooFew(MemoryError),
    /// The node's answer does not permit a readmission.
    #[error("{objection}; if it may be readmitted all the same: gnt-ha readmit {node} --force --reason TEXT")]
    Objection {
        /// The node that is to be readmitted.
        node: NodeName,
        /// The reason against the readmission.
        objection: String,
    },
    /// This host's rules cannot let its request pass.
    #[error(transparent)]
    Rules(#[from] ProgramError),
    /// The node did not answer.
    #[error("whether it has booted since is unknown: it {0}")]
    TargetAnswer(PeerError),
    /// The node does not shun another node that is shunned.
    #[error("it does not shun {node}, as the others do{}", .why.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    TargetShunsLess {
        /// The other node, which is shunned by all but this one.
        node: NodeName,
        /// The reason that the readmitted node gives.
        why: Option<String>,
    },
    /// Some nodes could not be asked to shun the node.
    #[error("not all nodes can be asked to shun it: {}", .0.iter().map(|(node, error)| format!("{node} {error}")).collect::<Vec<_>>().join("; "))]
    NoAnswer(Vec<(NodeName, PeerError)>),
    /// A shunning would prove less than the configuration requires.
    #[error("{proof}, where minimum_grade asks for {least}")]
    TooWeak {
        /// What it would prove.
        proof: String,
        /// The grade that the configuration requires.
        least: Grade,
    },
}

/// Returns the first nodes of a list, each with its reason.
fn named(missing: &[MissingConfirmation]) -> String {
    missing.iter().take(NODES_NAMED).map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// An administrator's order that failed: one line with the node's name.
#[derive(Debug, thiserror::Error)]
pub enum ManualOrderError {
    /// The node is not shunned, or not by all nodes.
    #[error("{node}: is not shunned: {error}")]
    Shun {
        /// The node that the administrator wants shunned.
        node: NodeName,
        /// The reason of the failure, with the nodes that do not shun it.
        error: OrderError,
    },
    /// The node is not readmitted.
    #[error("{node}: is not readmitted: {error}")]
    Readmit {
        /// The node that the administrator wants readmitted.
        node: NodeName,
        /// The reason of the failure, or the objection of a node.
        error: OrderError,
    },
}
