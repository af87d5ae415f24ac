//! `ganeti-oob peer`: answers a request that another node sends to this one (by noded's `run_oob`, or by SSH). Applies
//! shun list entries.

use std::collections::BTreeMap;
use std::io::{self, Read, stdin};
use std::path::Path;

use crate::core::config::Config;
use crate::core::node::NodeName;
use crate::core::shun::belief::Channel;
use crate::core::shun::messages::{ANSWER_LIMIT, MAX_REQUEST_BYTES, PeerReport, PeerRequest};
use crate::service::bmc_identities;
use crate::service::shun::applier::ShunApplier;
use crate::service::shun::error::ShunError;
use crate::sys::clock::Deadline;
use crate::sys::identity;

use super::{drbd_seen, receipts};

/// The reason why a request of another node has no answer.
#[derive(Debug, thiserror::Error)]
pub enum PeerRequestError {
    /// stdin cannot be read.
    #[error("cannot read stdin: {0}")]
    Stdin(io::Error),
    /// The request is longer than what is read.
    #[error("the request has more than {MAX_REQUEST_BYTES} bytes")]
    RequestTooLong,
    /// The request is not valid.
    #[error("cannot parse the request: {0}")]
    Parse(serde_json::Error),
    /// This host has no valid name.
    #[error(transparent)]
    Host(ShunError),
    /// The request was not applied.
    #[error("{here}: {error}")]
    Shun {
        /// The node that was to carry out the request.
        here: NodeName,
        /// The reason of the failure, which the sender prints.
        error: ShunError,
    },
    /// The answer cannot be written as JSON.
    #[error("cannot write the answer as JSON: {0}")]
    Json(serde_json::Error),
    /// The sender would not read the whole answer.
    #[error("{here}: the answer has {length} bytes, the maximum is {ANSWER_LIMIT}")]
    TooLong {
        /// The node that was to answer.
        here: NodeName,
        /// The length of the answer in bytes.
        length: usize,
    },
}

/// Applies the request, as far as its sender is trusted, and answers it. `text` is the request, or `-` for stdin;
/// `path` is the path of this node's configuration.
///
/// A request in the argument came through noded, which serves only master candidates. noded compares the digest of the
/// client's certificate with `ssconf_master_candidates_certs` (Ganeti's `lib/server/noded.py`, `SSLVerifyPeer`). That
/// list is empty only while a cluster is made or its certificates are renewed, and then the cluster's own certificate
/// counts, which each node has. The name in the request is the sender's own statement: one candidate could give the
/// name of another. A request on stdin came with a root login, which can do anything on this host.
///
/// # Errors
/// [`PeerRequestError`] if the request cannot be read or parsed, cannot be applied, or its answer is longer than the maximum.
pub fn answer(
    config: &Config,
    path: &Path,
    data_dir: &Path,
    text: &str,
    deadline: Deadline,
) -> Result<PeerReport, PeerRequestError> {
    let (text, by) = if text == "-" { (read_stdin()?, Channel::Root) } else { (text.to_owned(), Channel::Noded) };
    let question: PeerRequest = serde_json::from_str(&text).map_err(PeerRequestError::Parse)?;
    let applier = ShunApplier::new(config, data_dir).map_err(PeerRequestError::Host)?;
    let applied = applier.obey(&question, by, deadline);
    let report = applied.map_err(|error| PeerRequestError::Shun { here: applier.own_node().clone(), error })?;
    // The sender was trusted with its orders.
    if !question.identities.0.is_empty() {
        bmc_identities::take(config, data_dir, question.identities.clone(), deadline);
    }
    let receipts = receipts::of_here(config, data_dir, &question.receipts);
    let drbd = if question.drbd { drbd_seen::ages(&config.state) } else { BTreeMap::new() };
    let report = PeerReport { receipts, drbd, program: Some(identity::program(path)), ..report };
    // The sender reads no more than that, through both channels.
    let length = serde_json::to_string(&report).map_err(PeerRequestError::Json)?.len();
    if length > ANSWER_LIMIT {
        return Err(PeerRequestError::TooLong { here: applier.own_node().clone(), length });
    }
    Ok(report)
}

fn read_stdin() -> Result<String, PeerRequestError> {
    let mut text = String::new();
    let most = u64::try_from(MAX_REQUEST_BYTES).unwrap_or(u64::MAX);
    stdin().lock().take(most + 1).read_to_string(&mut text).map_err(PeerRequestError::Stdin)?;
    if text.len() > MAX_REQUEST_BYTES { Err(PeerRequestError::RequestTooLong) } else { Ok(text) }
}
