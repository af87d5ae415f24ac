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

/// A shunning that every other node has confirmed; as text, the result line for the administrator.
#[derive(Debug)]
pub struct Shunned {
    /// The shunned node, by its name in Ganeti.
    pub node: NodeName,
    /// The number of nodes that shun it.
    pub nodes: usize,
}

impl fmt::Display for Shunned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: is refused by {} nodes", self.node, self.nodes)
    }
}

/// Has every other node shun `node`, for a reason that the administrator gives.
///
/// # Errors
/// One line with the reason why no node was asked, or the nodes that do not shun the target yet.
pub fn shun_by_hand(
    config: &Config,
    data_dir: &Path,
    node: &NodeName,
    reason: &str,
    scope: ShunScope,
    deadline: Deadline,
) -> Result<Shunned, String> {
    let why = |why: String| format!("{node}: is not refused: {why}");
    let coordinator = ShunCoordinator::of(node, config, data_dir).map_err(why)?;
    let nodes = shun(&coordinator, reason, scope, deadline).map_err(why)?;
    Ok(Shunned { node: coordinator.target().clone(), nodes })
}

fn shun(
    coordinator: &ShunCoordinator<'_>,
    reason: &str,
    reach: ShunScope,
    deadline: Deadline,
) -> Result<usize, String> {
    if reach == ShunScope::Tcp && coordinator.network.master.as_ref() == Some(coordinator.target()) {
        return Err(format!(
            "it is Ganeti's master, and nothing would end it as such: move the role first (gnt-cluster \
             master-failover), or have Pacemaker fence it: gnt-ha shun {} --reason TEXT --all-traffic",
            coordinator.target()
        ));
    }
    let by = format!("{} on {}: {reason}", identity::asker().user, identity::host());
    match coordinator.shun(Grade::Unknown, reach, &by, deadline)?.look {
        Ok(look) => Ok(look.ruleset_ids.len()),
        Err(missing) => Err(format!(
            "not shunned by all nodes yet; gnt-ha shun sync tells the missing ones: {}",
            missing.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join("; ")
        )),
    }
}
