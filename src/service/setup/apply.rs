//! Applies the parts of `gnt-ha setup` to both clusters, after a trial on a copy of the CIB.

use std::path::Path;
use std::time::Duration;

use super::error::{CopyCheckError, SetupError};
use crate::core::config::DEFAULT_RUN;
use crate::core::ganeti::config::GanetiConfig;
use crate::core::pacemaker::names::PacemakerName;
use crate::core::pacemaker::resources::Resources;
use crate::core::pacemaker::simulation::{Death, Simulation, unexpected_fencing};
use crate::core::reconcile::Membership;
use crate::core::setup::{GANETI, Part, fragment, is_only_kept, outdated};
use crate::service::simulation::{simulate, votes_without};
use crate::sys::clock::Deadline;
use crate::sys::command;
use crate::sys::corosync::{self, COROSYNC_TIMEOUT};
use crate::sys::ganeti::luxi;
use crate::sys::identity;
use crate::sys::pacemaker;
use crate::sys::pacemaker::cibadmin::{self, CibCopy};

/// The time limit for luxid, which is on this host.
const LUXID_TIMEOUT: Duration = Duration::from_secs(8);

/// Returns whether this host is Ganeti's master and serves as such. After a crash, a former master still is the master
/// by its own files.
pub(super) fn is_master(ganeti: &GanetiConfig) -> bool {
    identity::node_among(ganeti.master()).is_some_and(|here| luxi::serves(&here, Deadline::after(LUXID_TIMEOUT)))
}

/// Applies the parts to the cluster. Applies nothing if Pacemaker finds a fault on a copy, or would fence a host that
/// is not dead.
pub(super) fn apply(
    cib: &str,
    parts: &[Part],
    ganeti: &GanetiConfig,
    again: impl Fn(&Resources) -> Vec<Part>,
    deadline: Deadline,
) -> Result<(), SetupError> {
    let changes_ganeti = parts.iter().any(|part| part.section == GANETI && part.state.is_open());
    if changes_ganeti && !is_master(ganeti) {
        return Err(CopyCheckError::NotMaster { master: ganeti.master().cloned() }.into());
    }
    check_on_copy(cib, parts, deadline)?;
    // The device needs the settings in Ganeti first, to find its nodes.
    for command in parts.iter().filter(|part| part.section == GANETI && part.state.is_open()).flat_map(|part| &part.pcs)
    {
        let words: Vec<&str> = command.split(' ').collect();
        let [name, words @ ..] = words.as_slice() else { continue };
        command::run(Path::new(name), words, &[], deadline)
            .map_err(|error| SetupError::GanetiCommand { command: command.clone(), error })?;
    }
    cibadmin::merge(&fragment(parts), deadline)?;
    for element in outdated(parts) {
        cibadmin::delete(element, deadline).map_err(SetupError::NotDeleted)?;
    }
    let after = Resources::parse(&cibadmin::query(deadline)?)?;
    let open = again(&after).into_iter().filter(|part| part.section != GANETI && part.state.is_open());
    let open: Vec<String> = open.map(|part| part.description).collect();
    if open.is_empty() { Ok(()) } else { Err(SetupError::NotContained(open)) }
}

/// Tries the parts on a copy: Pacemaker accepts them, and fences no host that is not dead.
fn check_on_copy(cib: &str, parts: &[Part], deadline: Deadline) -> Result<(), CopyCheckError> {
    let status = pacemaker::status(deadline)?;
    let copy = CibCopy::begin(Path::new(DEFAULT_RUN), cib)?;
    copy.merge(&fragment(parts), deadline)?;
    for element in outdated(parts) {
        copy.delete(element, deadline)?;
    }
    copy.verify(deadline)?;
    // A hook has 30 s for this, and with hundreds of nodes each simulated death takes more than a second.
    if parts.iter().filter(|part| part.state.is_open()).all(is_only_kept) {
        return Ok(());
    }
    let online = status.nodes.iter().filter(|(_, membership)| *membership == Membership::Online);
    let resources = Resources::parse(cib)?;
    let quorum = corosync::quorum(deadline.at_most(COROSYNC_TIMEOUT));
    let now = simulate(&copy, None, true, deadline)?;
    check_fencing(None, &now)?;
    for (node, _) in online {
        let death = Death::of(node, &now, &resources);
        // A partition without quorum does not fence, whatever is configured.
        let left = quorum.as_ref().ok().and_then(|quorum| votes_without(quorum, &resources, node).ok());
        let keeps = left.is_none_or(|left| left.keeps);
        let simulation = simulate(&copy, Some(&death), keeps, deadline)?;
        if keeps || !simulation.fenced().is_empty() {
            check_fencing(Some(node), &simulation)?;
        }
    }
    Ok(())
}

fn check_fencing(died: Option<&PacemakerName>, simulation: &Simulation) -> Result<(), CopyCheckError> {
    unexpected_fencing(died, &simulation.fenced())
        .map_or(Ok(()), |unexpected| Err(CopyCheckError::Unexpected(unexpected)))
}
