//! Pacemaker's simulation of a death on a copy of its configuration, and the votes that corosync would be left with.

use crate::core::pacemaker::names::PacemakerName;
use crate::core::pacemaker::resources::Resources;
use crate::core::pacemaker::simulation::{Death, Simulation};
use crate::core::quorum::{Left, Quorum};
use crate::sys::clock::Deadline;
use crate::sys::pacemaker::cibadmin::Trial;

/// What Pacemaker would do by a copy.
pub(super) fn look_ahead(
    copy: &Trial,
    death: Option<&Death>,
    keeps_quorum: bool,
    deadline: Deadline,
) -> Result<Simulation, String> {
    let said = copy.simulate(death, keeps_quorum, deadline).map_err(|error| error.to_string())?;
    Simulation::parse(&said).map_err(|error| format!("cannot use what crm_simulate says: {error}"))
}

/// What would be left of corosync's votes without `node`; all of them where it is no full member.
///
/// # Errors
/// Why that is not known, in one line.
pub(super) fn left(
    quorum: &Result<Quorum, String>,
    resources: &Resources,
    node: &PacemakerName,
) -> Result<Left, String> {
    let quorum = quorum.as_ref().map_err(Clone::clone)?;
    if resources.remotes().any(|remote| remote.id == node.as_str()) {
        return Ok(quorum.without(&[]));
    }
    let id = resources.ids.get(node).ok_or_else(|| format!("Pacemaker's configuration has no number of {node}"))?;
    Ok(quorum.without(&[*id]))
}
