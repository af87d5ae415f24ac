//! Publishes whether this node has what the fence device needs, as a node attribute. A location rule runs the device
//! only on nodes that have it.

use std::path::Path;

use gnt_ha::core::config::DEFAULT_PATH;
use gnt_ha::core::pacemaker::fence_score::{ATTRIBUTE, MayFence};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::ganeti::programs;

use crate::attribute::Attribute;
use crate::site::Place;

const SCORE: Attribute = Attribute { name: ATTRIBUTE, note: "fence-score" };

/// Makes the next [`publish`] send its value in any case.
pub fn forget(place: &Place) {
    SCORE.forget(place);
}

/// Publishes the attribute. Deletes the published value if the cluster has no `fence_ganeti` device. A remote node,
/// which fences no node, publishes nothing.
pub fn publish(place: &Place, deadline: Deadline) {
    let may = programs::may_fence(&place.data_dir, &place.cib, Path::new(DEFAULT_PATH));
    SCORE.publish(place, may.map(MayFence::score), deadline);
}
