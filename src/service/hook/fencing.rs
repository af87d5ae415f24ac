//! Has Pacemaker fence a node that an administrator has recorded offline.

use std::time::Duration;

use super::error::HookError;
use super::limits::STEP_TIMEOUT;
use crate::core::hook::fencing_objection;
use crate::core::node::NodeName;
use crate::core::reconcile::{Fence, FenceStatus};
use crate::service::reconciler::run::Reconciler;
use crate::sys::clock::{Deadline, now};
use crate::sys::corosync::{self, COROSYNC_TIMEOUT};
use crate::sys::ganeti::files;
use crate::sys::pacemaker::fence::FencingRequest;
use crate::sys::pacemaker::{self, cib};

/// The time limit of a fencing (`stonith_admin --timeout`); `STONITH_ADMIN_TIMEOUT` is the limit for the tool itself.
const FENCING_TIMEOUT: Duration = Duration::from_secs(120);
const STONITH_ADMIN_TIMEOUT: Duration = Duration::from_secs(150);

/// The time in ms after a fencing during which Pacemaker may still show the node running.
const JUST_NOW_MS: u64 = 30_000;

/// Fences the node, unless the conditions of the plan no longer hold. The error follows the node's name.
pub(super) fn fence(node: &NodeName, reconciler: &Reconciler) -> Result<(), HookError> {
    let ganeti = files::read_config(&reconciler.data_dir)?;
    if !ganeti.find(node).is_ok_and(|found| found.offline) {
        return Err(HookError::OnlineAgain);
    }
    let seen = pacemaker::status(Deadline::after(STEP_TIMEOUT))?;
    let all = ganeti.names();
    let name = seen.called(node, &all)?;
    if !seen.of(name).is_member() {
        return Ok(());
    }
    // One fencing suffices, also while the membership does not show it yet.
    let just_now = now().wall_ms.saturating_sub(JUST_NOW_MS);
    let is_under_way = |fence: &Fence| match fence.status {
        FenceStatus::Pending => true,
        FenceStatus::Success => fence.completed_ms.is_some_and(|at| at > just_now),
        FenceStatus::Failed => false,
    };
    if seen.fences_of(node, &all).iter().any(is_under_way) {
        return Ok(());
    }
    let by_hand = |error| HookError::FenceByHand { name: name.clone(), error: Box::new(error) };
    // A remote node has no corosync node id.
    let id = cib::resources(&reconciler.cib).ok().flatten().and_then(|resources| resources.ids.get(name).copied());
    let votes = id.and_then(|id| Some(corosync::quorum(Deadline::after(COROSYNC_TIMEOUT)).ok()?.without(&[id])));
    if let Some(why) = fencing_objection(name, &seen, votes) {
        return Err(by_hand(HookError::Objection(why)));
    }
    pacemaker::fence::fence(name, FencingRequest::Off, FENCING_TIMEOUT, Deadline::after(STONITH_ADMIN_TIMEOUT))
        .map_err(|error| by_hand(error.into()))
}
