//! Puts a node on Pacemaker's standby, and ends that.

use super::error::HookError;
use crate::core::node::NodeName;
use crate::core::pacemaker::names::PacemakerName;
use crate::core::pacemaker::resources::Pairs;
use crate::core::pacemaker::standby::own;
use crate::service::reconciler::run::Reconciler;
use crate::sys::clock::Deadline;
use crate::sys::ganeti::files;
use crate::sys::pacemaker::{cib, standby};

/// Puts the node on standby, which is marked as gnt-ha's.
pub(super) fn set(node: &NodeName, reconciler: &Reconciler, deadline: Deadline) -> Result<(), HookError> {
    let (name, _) = in_pacemaker(node, reconciler)?;
    standby::set(&name, deadline).map_err(|error| HookError::NotOnStandby { node: node.clone(), name, error })
}

/// Ends the node's standby if it is gnt-ha's.
pub(super) fn end(node: &NodeName, reconciler: &Reconciler, deadline: Deadline) -> Result<(), HookError> {
    let (name, attributes) = in_pacemaker(node, reconciler)?;
    let ended = standby::end(&name, own(&attributes), deadline);
    ended.map_err(|error| HookError::StillOnStandby { node: node.clone(), name, error })
}

/// Returns the name of one of Ganeti's nodes in Pacemaker, and its permanent attributes there.
fn in_pacemaker(node: &NodeName, reconciler: &Reconciler) -> Result<(PacemakerName, Pairs), HookError> {
    let find = || -> Result<_, HookError> {
        let resources = cib::resources(&reconciler.cib)?.unwrap_or_default();
        let all = files::read_config(&reconciler.data_dir)?.names();
        let name = resources.called(node, &all)?;
        Ok((name.clone(), resources.attributes.get(name).cloned().unwrap_or_default()))
    };
    find().map_err(|error| HookError::PacemakerNotNotified { node: node.clone(), error: Box::new(error) })
}
