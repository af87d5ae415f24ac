//! Asks another candidate for the receipts of the fencings that it ran itself, and answers such a request. Changes
//! nothing.

use std::collections::BTreeMap;
use std::path::Path;

use crate::core::config::Config;
use crate::core::history::join_entries;
use crate::core::node::NodeName;
use crate::core::reconcile::{PowerReceipt, peer_receipts};
use crate::core::shun::messages::PeerRequest;
use crate::service::shun::applier::ShunApplier;
use crate::service::shun::error::ShunError;
use crate::sys::clock::Deadline;
use crate::sys::config_file::ConfigFileError;
use crate::sys::ganeti::ssconf::Ssconf;
use crate::sys::receipt_log::ReceiptLog;

use crate::sys::ganeti::network::{self, NetworkError};
use crate::sys::ganeti::peer_channel::{PeerChannel, PeerError};

/// The reason why another host's receipts are unknown.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptsError {
    /// The configuration of this host is not valid.
    #[error(transparent)]
    Config(#[from] ConfigFileError),
    /// This host's shun list cannot be read.
    #[error(transparent)]
    Shun(#[from] ShunError),
    /// Ganeti's configuration cannot be used.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The host cannot be asked.
    #[error("{0}: is not asked: it is not another candidate, is offline or is shunned here")]
    NotAsked(NodeName),
    /// The host did not answer.
    #[error("{host}: {error}")]
    NoAnswer {
        /// The host that was asked.
        host: NodeName,
        /// The failure of the request or of its answer.
        error: PeerError,
    },
}

/// Receipts by node, newest first.
pub type Receipts = BTreeMap<NodeName, Vec<PowerReceipt>>;

/// Returns this host's receipts of its own fencings of these nodes. None if the receipt log cannot be read.
#[must_use]
pub fn of_here(config: &Config, data_dir: &Path, asked: &[NodeName]) -> Receipts {
    if asked.is_empty() {
        return Receipts::new();
    }
    let all = Ssconf::new(data_dir).names("node_list").unwrap_or_default();
    let entries = ReceiptLog::new(&config.state).read().map(|contents| contents.entries).unwrap_or_default();
    peer_receipts::reported(&join_entries(entries, None), asked, &all)
}

/// Asks `host` for its receipts of `nodes`.
///
/// # Errors
/// [`ReceiptsError`] if `host` is not another candidate, is offline or shunned here, does not answer, or has a version
/// that does not have the request.
pub fn of_another(
    config: &Config,
    data_dir: &Path,
    host: &NodeName,
    nodes: &[NodeName],
    deadline: Deadline,
) -> Result<Receipts, ReceiptsError> {
    let applier = ShunApplier::new(config, data_dir)?;
    let shun_list = applier.shun_list()?;
    let network = network::read(data_dir)?;
    let epoch = shun_list.epoch(host);
    let member = network.members.get(host).filter(|member| member.candidate && !member.offline);
    let Some(member) = member.filter(|_| !epoch.is_shunned() && host != applier.own_node()) else {
        return Err(ReceiptsError::NotAsked(host.clone()));
    };
    let peers = BTreeMap::from([(host.clone(), member.primary)]);
    let question = PeerRequest { receipts: nodes.to_vec(), ..PeerRequest::requested_by(applier.own_node().clone()) };
    let answers = PeerChannel::new(config, &network, data_dir).ask(&peers, &question, deadline);
    let answer = answers.into_values().next().unwrap_or(Err(PeerError::NotAsked));
    answer.map(|report| report.receipts).map_err(|error| ReceiptsError::NoAnswer { host: host.clone(), error })
}
