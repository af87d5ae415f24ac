//! Having everybody refuse a node at a person's word; nothing is proven by it.

use gnt_ha::core::grade::Grade;
use gnt_ha::core::shun::list::ShunScope;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::identity;

use super::survivors::Survivors;

/// Has everybody refuse it, for a reason. Returns how many do.
///
/// # Errors
/// Why nobody was told, or who does not refuse it yet.
pub fn refuse(survivors: &Survivors<'_>, reason: &str, reach: ShunScope, deadline: Deadline) -> Result<usize, String> {
    if reach == ShunScope::Tcp && survivors.network.master.as_ref() == Some(survivors.target()) {
        return Err(format!(
            "it is Ganeti's master, and nothing would end it as such: move the role first (gnt-cluster \
             master-failover), or have Pacemaker fence it: gnt-ha shun {} --reason TEXT --all-traffic",
            survivors.target()
        ));
    }
    let by = format!("{} on {}: {reason}", identity::asker().user, identity::host());
    match survivors.shun(Grade::Unknown, reach, &by, deadline)?.look {
        Ok(look) => Ok(look.ruleset_ids.len()),
        Err(missing) => Err(format!(
            "not shunned by all nodes yet; ganeti-oob sync tells the missing ones: {}",
            missing.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join("; ")
        )),
    }
}
