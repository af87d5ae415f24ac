//! Gives every node what `gnt-ha check` on Ganeti's master has learned of the nodes' identities and of their BMCs, so that
//! each host that may fence knows it. Writes one state file on each node.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use crate::core::bmc_memory::BmcMemory;
use crate::core::budget::share;
use crate::core::config::Config;
use crate::core::node::NodeName;
use crate::core::shun::messages::{MAX_REQUEST_BYTES, PeerRequest};
use crate::power::bmc_memory;
use crate::service::shun::applier::ShunApplier;
use crate::service::shun::order_error::OrderError;
use crate::sys::clock::Deadline;
use crate::sys::ganeti::network;
use crate::sys::ganeti::peer_channel::PeerChannel;
use crate::sys::ganeti::ssconf::Ssconf;

/// The part of a request that the identities may take: the rest of it needs some room, too.
const REQUEST_SHARE: usize = 2;

/// The reason why what was learned is not remembered.
#[derive(Debug, thiserror::Error)]
pub enum RememberError {
    /// The other nodes could not be asked.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The file of this host could not be written.
    #[error("{0}")]
    File(#[from] io::Error),
}

/// Keeps what was learned on this host, and sends it to all other nodes. Returns the nodes that did not take it: one that did not
/// answer gets it with the next check, and one of an older version rejects it, and goes on as before.
///
/// # Errors
/// [`RememberError`] if this host cannot keep it, or no node could be asked.
pub fn remember(
    config: &Config,
    data_dir: &Path,
    learned: &BmcMemory,
    deadline: Deadline,
) -> Result<BTreeSet<NodeName>, RememberError> {
    let mut missed = BTreeSet::new();
    if learned.0.is_empty() {
        return Ok(missed);
    }
    bmc_memory::keep(&config.state, learned, &members(data_dir), deadline)?;
    let applier = ShunApplier::new(config, data_dir).map_err(OrderError::from)?;
    let shun_list = applier.shun_list().map_err(OrderError::from)?;
    let network = network::read(data_dir).map_err(OrderError::from)?;
    let peers = network
        .members
        .iter()
        .filter(|(name, member)| *name != applier.own_node() && !member.offline && !shun_list.epoch(name).is_shunned())
        .map(|(name, member)| (name.clone(), member.primary))
        .collect();
    let channel = PeerChannel::new(config, &network, data_dir);
    let parts = learned.parts(MAX_REQUEST_BYTES / REQUEST_SHARE);
    let count = parts.len();
    for (index, identities) in parts.into_iter().enumerate() {
        let question = PeerRequest { identities, ..PeerRequest::requested_by(applier.own_node().clone()) };
        // A node that hangs must not take the time of the further parts.
        let until = deadline.at_most(share(deadline.left(), count - index));
        for (node, answer) in channel.ask(&peers, &question, until) {
            if let Err(error) = answer {
                tracing::debug!(%node, %error, "the node has not got the identities");
                missed.insert(node);
            }
        }
    }
    Ok(missed)
}

/// Takes what another node has sent. The caller has checked that the sender is trusted.
pub fn take(config: &Config, data_dir: &Path, sent: BmcMemory, deadline: Deadline) {
    if let Err(error) = bmc_memory::keep(&config.state, &sent.bounded(), &members(data_dir), deadline) {
        tracing::warn!(%error, "what was learned of the BMCs is not kept");
    }
}

fn members(data_dir: &Path) -> Vec<NodeName> {
    Ssconf::new(data_dir).names("node_list").unwrap_or_default()
}
