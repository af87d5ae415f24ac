//! Holds the reasons why a statement of another node does not count.

use std::net::IpAddr;

use crate::core::node::NodeName;
use crate::core::shun::lease_times::LeaseTimesError;
use crate::core::shun::list::Epoch;
use crate::core::shun::messages::VERSION;

/// The reason why no statement of a node counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disbelief {
    /// The node is not a master candidate, so it may not order.
    #[error(
        "{0} is not a master candidate in this node's configuration (ssconf_master_candidates): only a candidate's orders are accepted"
    )]
    NoCandidate(NodeName),
    /// The node is not a member of the cluster.
    #[error("{0} is not a node of this cluster in this node's configuration (ssconf_node_list)")]
    Stranger(NodeName),
    /// The node is shunned here, in this epoch.
    #[error("{0} is shunned here, in epoch {1}: what it states does not count")]
    Shunned(NodeName, Epoch),
}

/// The reason why an entry of another node's shun list, or one of its addresses, is not merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListEntryError {
    /// The entry is about this node.
    #[error("it is this node itself")]
    Own,
    /// The node is unknown here.
    #[error("it is not a node of this cluster, and this node has no entry of it")]
    Stranger,
    /// The epoch is above the largest that is taken from another node.
    #[error("epoch {stated} is beyond {most}, the largest that is taken from another node")]
    EpochBeyond {
        /// The epoch of the entry.
        stated: Epoch,
        /// The largest epoch that is taken from another node.
        most: Epoch,
    },
    /// The epoch is too many steps ahead of the one that this node remembers.
    #[error(
        "epoch {stated} is too far ahead of {own}, which this node remembers: if it is true, readmit the node here, too \
         (gnt-ha readmit), or remove its entry from shun-list.json while it is not shunned"
    )]
    EpochAhead {
        /// The epoch of the entry.
        stated: Epoch,
        /// The epoch that this node remembers.
        own: Epoch,
    },
    /// An address is not one of the node's.
    #[error("{0} is not an address of it in this node's configuration (ssconf_node_primary_ips)")]
    ForeignAddress(IpAddr),
}

/// The reason why an answer does not count; to be printed after the name of the node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerAnswerError {
    /// The node has another version of the protocol.
    #[error("answers in version {0} of the protocol, not {VERSION}: install the same gnt-ha there")]
    Version(u32),
    /// The answer is that of another node.
    #[error("answers as {0}")]
    OtherNode(NodeName),
    /// The boot id is not valid.
    #[error("answers with an invalid boot id: {0:?}")]
    BootId(String),
    /// The ruleset id is not valid.
    #[error("answers with an invalid ruleset id")]
    RulesetId,
    /// A node cannot have that many instances or DRBD devices.
    #[error("answers that more than {most} instances run there")]
    Counts {
        /// The largest number that a node can report.
        most: u32,
    },
    /// A cluster cannot have that many nodes.
    #[error("answers with too many nodes")]
    TooManyNodes,
    /// The self-fencing is not of the boot that answers.
    #[error("answers with the self-fencing of another boot")]
    OtherBoot,
    /// The self-fencing has an invalid boot id or too many candidates.
    #[error("answers with an impossible report of self-fencing")]
    SelfFence,
    /// The times of the self-fencing cannot be relied on.
    #[error("answers with an impossible report of self-fencing: {0}")]
    LeaseTimes(#[from] LeaseTimesError),
}
