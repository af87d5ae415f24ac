//! Has every other node shun a node because an administrator asks for it. Nothing is proven by it.

use std::fmt;
use std::path::Path;

use crate::core::config::Config;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::shun::list::ShunScope;
use crate::sys::clock::Deadline;
use crate::sys::identity;

use super::coordinator::ShunCoordinator;
use super::order_error::{ManualOrderError, OrderError};

/// A shunning that every other node has confirmed; as text, the result line for the administrator.
#[derive(Debug)]
pub struct ConfirmedShunning {
    /// The shunned node, by its name in Ganeti.
    pub node: NodeName,
    /// The number of nodes that shun it.
    pub nodes: usize,
}

impl fmt::Display for ConfirmedShunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: is shunned by {} nodes", self.node, self.nodes)
    }
}

/// Has every other node shun `node`, for a reason that the administrator gives.
///
/// # Errors
/// [`ManualOrderError::Shun`] if no node was asked, or a node does not shun the target yet.
pub fn shun_by_hand(
    config: &Config,
    data_dir: &Path,
    node: &NodeName,
    reason: &str,
    scope: ShunScope,
    deadline: Deadline,
) -> Result<ConfirmedShunning, ManualOrderError> {
    let why = |error| ManualOrderError::Shun { node: node.clone(), error };
    let coordinator = ShunCoordinator::of(node, config, data_dir).map_err(why)?;
    let nodes = shun(&coordinator, reason, scope, deadline).map_err(why)?;
    Ok(ConfirmedShunning { node: coordinator.target().clone(), nodes })
}

fn shun(
    coordinator: &ShunCoordinator<'_>,
    reason: &str,
    scope: ShunScope,
    deadline: Deadline,
) -> Result<usize, OrderError> {
    if scope == ShunScope::Tcp && coordinator.network.master.as_ref() == Some(coordinator.target()) {
        return Err(OrderError::Master(coordinator.target().clone()));
    }
    let by = format!("{} on {}: {reason}", identity::asker().user, identity::host());
    match coordinator.shun(Grade::Unknown, scope, &by, deadline)?.round {
        Ok(round) => Ok(round.ruleset_ids.len()),
        Err(missing) => Err(OrderError::Missing(missing)),
    }
}
