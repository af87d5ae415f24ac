//! Whether this node has what the fence device needs, as a node attribute: a rule has the device run where that is so.

use std::path::Path;

use gnt_ha::core::config::DEFAULT_PATH;
use gnt_ha::core::pacemaker::fence_score::{ATTRIBUTE, MayFence};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::ganeti::programs;

use crate::attribute::Attribute;
use crate::site::Place;

const SCORE: Attribute = Attribute { name: ATTRIBUTE, note: "fence-score" };

/// What is published next is published whatever was before.
pub fn forget(place: &Place) {
    SCORE.forget(place);
}

/// Publishes it. Without a device of ours takes away what was published; a remote node, which fences nobody, says nothing.
pub fn publish(place: &Place, deadline: Deadline) {
    let may = programs::may_fence(&place.data_dir, &place.cib, Path::new(DEFAULT_PATH));
    SCORE.publish(place, may.map(MayFence::score), deadline);
}
