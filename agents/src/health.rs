//! The node's health as a node attribute, where the cluster has the tag for it.

use gnt_ha::core::roles::Failure;
use gnt_ha::core::roles::health::{ATTRIBUTE, Health};
use gnt_ha::sys::clock::Deadline;

use crate::attribute::Attribute;
use crate::site::Place;

const HEALTH: Attribute = Attribute { name: ATTRIBUTE, note: "health" };

/// What is published next is published whatever was before.
pub fn forget(place: &Place) {
    HEALTH.forget(place);
}

/// Publishes what was found; without the tag (none) takes away what was published.
pub fn publish(place: &Place, found: Option<&[Failure]>, deadline: Deadline) {
    HEALTH.publish(place, found.map(|found| Health::of(found).word()), deadline);
}
