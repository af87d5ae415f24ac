//! The node's health as a node attribute, where the cluster has the tag for it.

use std::time::Duration;

use gnt_ha::core::roles::Failure;
use gnt_ha::core::roles::health::{ATTRIBUTE, Health, change};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::{output, pacemaker};

use crate::site::Place;

/// The note of what was published last on this boot.
const NOTE: &str = "health";

/// In the place of it: something was, and the cluster may have forgotten it since.
const SOMETHING: &str = "?";

/// How long Pacemaker's tool may take.
const LIMIT: Duration = Duration::from_secs(4);

/// What is published next is published whatever was before: a node that has left the cluster has no attributes.
pub fn forget(place: &Place) {
    if place.markers.note(NOTE).is_some() {
        let _ = place.markers.write_note(NOTE, SOMETHING);
    }
}

/// Publishes what was found; without the tag (none) takes away what was published.
pub fn publish(place: &Place, found: Option<&[Failure]>, deadline: Deadline) {
    let published = place.markers.note(NOTE);
    let Some(value) = change(published.as_deref(), found.map(Health::of)) else { return };
    let done = pacemaker::set_attribute(ATTRIBUTE, value, deadline.at_most(LIMIT)).map_err(|error| error.to_string());
    let kept = done.and_then(|()| {
        let kept = match value {
            Some(value) => place.markers.write_note(NOTE, value),
            None => place.markers.forget_note(NOTE),
        };
        kept.map_err(|error| error.to_string())
    });
    // Tried again by the next monitor.
    if let Err(why) = kept {
        output::complain(&format!("{ATTRIBUTE}: {why}"));
    }
}
