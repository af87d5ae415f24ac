//! Has every other node shun a node because an administrator asks for it. Nothing is proven by it.

use crate::core::grade::Grade;
use crate::core::shun::list::ShunScope;
use crate::sys::clock::Deadline;
use crate::sys::identity;

use super::coordinator::ShunCoordinator;

/// Has every other node shun the target, for a reason. Returns the number of nodes that do.
///
/// # Errors
/// The reason why no node was asked, or the nodes that do not shun the target yet.
pub fn refuse(
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
            "not shunned by all nodes yet; ganeti-oob sync tells the missing ones: {}",
            missing.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join("; ")
        )),
    }
}
