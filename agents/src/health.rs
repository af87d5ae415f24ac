//! The node's health as a node attribute, where the cluster has the tag for it.

use gnt_ha::core::roles::Failure;
use gnt_ha::core::roles::health::{ATTRIBUTE, Health};
use gnt_ha::sys::clock::Deadline;

use crate::attribute::Attribute;
use crate::paths::AgentPaths;

const HEALTH: Attribute = Attribute { name: ATTRIBUTE, note: "health" };

/// Makes the next [`publish`] send its value in any case.
pub fn forget(paths: &AgentPaths) {
    HEALTH.forget(paths);
}

/// Publishes the health that follows from `found`. `None` (the cluster does not have the tag) deletes the published
/// value.
pub fn publish(paths: &AgentPaths, found: Option<&[Failure]>, deadline: Deadline) {
    HEALTH.publish(paths, found.map(|found| Health::of(found).word()), deadline);
}
