//! Pacemaker's simulation of a node's failure on a copy of its configuration, and the votes that corosync would have
//! left.

use crate::core::pacemaker::names::PacemakerName;
use crate::core::pacemaker::resources::Resources;
use crate::core::pacemaker::simulation::{Death, Simulation, SimulationOutputError};
use crate::core::quorum::{Quorum, RemainingVotes};
use crate::sys::clock::Deadline;
use crate::sys::pacemaker::PacemakerError;
use crate::sys::pacemaker::cibadmin::CibCopy;

/// The reason why a failure cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// `crm_simulate` failed, or its copy cannot be written.
    #[error(transparent)]
    Pacemaker(#[from] PacemakerError),
    /// The output of `crm_simulate` cannot be parsed.
    #[error("cannot parse the output of crm_simulate: {0}")]
    Output(#[from] SimulationOutputError),
}

/// Pacemaker's configuration does not name the corosync id of a node, so its votes are unknown.
#[derive(Debug, thiserror::Error)]
#[error("Pacemaker's configuration has no corosync id of {0}")]
pub struct NoCorosyncId(PacemakerName);

/// Returns what Pacemaker would do after `death` with the configuration of `copy`.
///
/// # Errors
/// [`SimulationError`] if `crm_simulate` fails or its output cannot be parsed.
pub fn simulate(
    copy: &CibCopy,
    death: Option<&Death>,
    keeps_quorum: bool,
    deadline: Deadline,
) -> Result<Simulation, SimulationError> {
    Ok(Simulation::parse(&copy.simulate(death, keeps_quorum, deadline)?)?)
}

/// Returns corosync's votes without `node`; all of them if it is a remote node, which has no vote.
///
/// # Errors
/// [`NoCorosyncId`] if Pacemaker's configuration has no corosync id of the node.
pub fn votes_without(
    quorum: &Quorum,
    resources: &Resources,
    node: &PacemakerName,
) -> Result<RemainingVotes, NoCorosyncId> {
    if resources.remotes().any(|remote| remote.id == node.as_str()) {
        return Ok(quorum.without(&[]));
    }
    let id = resources.ids.get(node).ok_or_else(|| NoCorosyncId(node.clone()))?;
    Ok(quorum.without(&[*id]))
}
