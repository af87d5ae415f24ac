//! Publishes whether this node has what the fence device needs, as a node attribute. A location rule runs the device
//! only on nodes that have it.

use std::path::Path;

use gnt_ha::core::config::DEFAULT_PATH;
use gnt_ha::core::pacemaker::fence_score::{ATTRIBUTE, MayFence};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::ganeti::programs;

use crate::attribute::Attribute;
use crate::paths::AgentPaths;

const SCORE: Attribute = Attribute { name: ATTRIBUTE, note: "fence-score" };

/// Makes the next [`publish`] send its value in any case.
pub fn forget(paths: &AgentPaths) {
    SCORE.forget(paths);
}

/// Publishes the attribute. Deletes the published value if the cluster has no `fence_ganeti` device. A remote node,
/// which fences no node, publishes nothing.
pub fn publish(paths: &AgentPaths, deadline: Deadline) {
    let may = programs::may_fence(&paths.data_dir, &paths.cib, Path::new(DEFAULT_PATH));
    SCORE.publish(paths, may.map(MayFence::score), deadline);
}
