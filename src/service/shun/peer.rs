//! `ganeti-oob peer`: answers a request that another node sends to this one (by noded's `run_oob`, or by SSH). Applies
//! shun list entries.

use std::io::{Read, stdin};
use std::path::Path;

use crate::core::config::Config;
use crate::core::shun::belief::Channel;
use crate::core::shun::messages::{ANSWER_LIMIT, LIMIT, PeerReport, PeerRequest};
use crate::service::shun::applier::ShunApplier;
use crate::sys::clock::Deadline;
use crate::sys::identity;

use super::receipts;

/// Applies the request, as far as its sender is believed, and answers it. `text` is the request, or `-` for stdin;
/// `path` is the path of this node's configuration.
///
/// A request in the argument came through noded, which serves only master candidates. noded compares the digest of the
/// client's certificate with `ssconf_master_candidates_certs` (Ganeti's `lib/server/noded.py`, `SSLVerifyPeer`). That
/// list is empty only while a cluster is made or its certificates are renewed, and then the cluster's own certificate
/// counts, which each node has. The name in the request is the sender's own statement: one candidate could give the
/// name of another. A request on stdin came with a root login, which can do anything on this host.
///
/// # Errors
/// If the request cannot be read or parsed, cannot be applied, or its answer is longer than the maximum.
pub fn answer(
    config: &Config,
    path: &Path,
    data_dir: &Path,
    text: &str,
    deadline: Deadline,
) -> Result<PeerReport, String> {
    let (text, by) = if text == "-" { (read_stdin()?, Channel::Root) } else { (text.to_owned(), Channel::Noded) };
    let question: PeerRequest =
        serde_json::from_str(&text).map_err(|error| format!("cannot parse the request: {error}"))?;
    let keeper = ShunApplier::new(config, data_dir)?;
    let report = keeper.obey(&question, by, deadline).map_err(|error| format!("{}: {error}", keeper.here()))?;
    let receipts = receipts::of_here(config, data_dir, &question.receipts);
    let report = PeerReport { receipts, program: Some(identity::program(path)), ..report };
    // The sender reads no more than that, through both channels.
    let length = serde_json::to_string(&report).map_err(|error| error.to_string())?.len();
    if length > ANSWER_LIMIT {
        return Err(format!("{}: the answer has {length} bytes, the maximum is {ANSWER_LIMIT}", keeper.here()));
    }
    Ok(report)
}

fn read_stdin() -> Result<String, String> {
    let mut text = String::new();
    let most = u64::try_from(LIMIT).unwrap_or(u64::MAX);
    stdin().lock().take(most + 1).read_to_string(&mut text).map_err(|error| format!("cannot read stdin: {error}"))?;
    if text.len() > LIMIT { Err(format!("the question has more than {LIMIT} bytes")) } else { Ok(text) }
}
