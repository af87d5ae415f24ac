//! Checks that a node's machine belongs to that node only: a machine that another node also resolves to is neither
//! switched, and no reading of it counts. Resolves names.

use std::path::Path;
use std::time::Duration;

use crate::core::config::{Config, Level, SharedMachine, names_to_resolve, shared};
use crate::core::node::{self, NodeName};
use crate::sys::clock::Deadline;
use crate::sys::ganeti::ssconf::{Ssconf, SsconfError};
use crate::sys::resolve;

use super::error::PowerError;

/// The most that resolving names may add to a fencing. A name that is not resolved by then is compared as written.
const FENCING_RESOLVE_TIMEOUT: Duration = Duration::from_millis(250);

/// The most that resolving names may take in a check, which has time.
const CHECK_RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns the nodes of the cluster, by the ssconf file that each of Ganeti's nodes has. If that file is absent or
/// cannot be read, returns the nodes that the configuration names. A fencing does not depend on that file, and the
/// known nodes are compared.
fn nodes(config: &Config, data_dir: &Path) -> Vec<NodeName> {
    match Ssconf::new(data_dir).names("node_list") {
        Ok(names) if !names.is_empty() => names,
        Ok(_) | Err(SsconfError::Absent(_)) => config.named_nodes(),
        Err(error) => {
            tracing::warn!(%error, "only nodes that the configuration names are compared");
            config.named_nodes()
        }
    }
}

/// Returns each node with its levels, `first` before all others. A node without levels switches nothing and is left
/// out.
fn with_levels(config: &Config, data_dir: &Path, first: Option<(&NodeName, &[Level])>) -> Vec<(NodeName, Vec<Level>)> {
    let mut all: Vec<(NodeName, Vec<Level>)> =
        first.iter().map(|(node, levels)| ((*node).clone(), levels.to_vec())).collect();
    let names = nodes(config, data_dir);
    let own = first.and_then(|(node, _)| node::find(node, &names).ok().cloned());
    let is_own = |name: &NodeName| Some(name) == own.as_ref() || first.is_some_and(|(node, _)| node == name);
    let others = names.iter().filter(|name| !is_own(name));
    all.extend(others.filter_map(|name| Some((name.clone(), config.levels_of(name).ok()?))));
    all
}

/// Fails for a node whose machine is also that of another node. Called before any device is asked or switched.
///
/// # Errors
/// [`PowerError::Shared`] with both nodes and their common machine.
pub fn refuse_shared(
    config: &Config,
    node: &NodeName,
    levels: &[Level],
    data_dir: &Path,
    deadline: Deadline,
) -> Result<(), PowerError> {
    let all = with_levels(config, data_dir, Some((node, levels)));
    let names = names_to_resolve(&all, Some(node));
    // A single node shares nothing.
    let resolved = if all.len() > 1 {
        resolve::addresses(&names, deadline.at_most(FENCING_RESOLVE_TIMEOUT.min(deadline.left() / 10)))
    } else {
        Default::default()
    };
    match shared(&all, &resolved).into_iter().find(|shared| shared.nodes[0] == *node) {
        None => Ok(()),
        Some(shared) => Err(PowerError::Shared { shared: Box::new(shared), path: config.path.clone() }),
    }
}

/// Returns all machines that two nodes have in common; with `node`, only those of that node.
#[must_use]
pub fn all_shared(config: &Config, node: Option<&NodeName>, data_dir: &Path) -> Vec<SharedMachine> {
    let levels = node.and_then(|node| Some((node, config.levels_of(node).ok()?)));
    let all = with_levels(config, data_dir, levels.as_ref().map(|(node, levels)| (*node, levels.as_slice())));
    let resolved = resolve::addresses(&names_to_resolve(&all, node), Deadline::after(CHECK_RESOLVE_TIMEOUT));
    let mut found = shared(&all, &resolved);
    found.retain(|shared| node.is_none_or(|node| shared.nodes.contains(node)));
    found
}
