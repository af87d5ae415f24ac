//! Publishing what this node says of itself as a transient node attribute, when that changes.

use std::time::Duration;

use gnt_ha::core::roles::attribute::change;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::{output, pacemaker};

use crate::site::Place;

/// In the place of what was published: something was, and the cluster may have forgotten it since.
const SOMETHING: &str = "?";

/// How long Pacemaker's tool may take.
const LIMIT: Duration = Duration::from_secs(4);

/// A node attribute, and the note of what was published last on this boot.
#[derive(Debug)]
pub struct Attribute {
    /// Its name for Pacemaker.
    pub name: &'static str,
    /// The note's name beside the markers.
    pub note: &'static str,
}

impl Attribute {
    /// What is published next is published whatever was before: a node that has left the cluster has no attributes.
    pub fn forget(&self, place: &Place) {
        if place.markers.note(self.note).is_some() {
            let _ = place.markers.write_note(self.note, SOMETHING);
        }
    }

    /// Publishes `now`; with none takes away what was published.
    pub fn publish(&self, place: &Place, now: Option<&str>, deadline: Deadline) {
        let published = place.markers.note(self.note);
        let Some(value) = change(published.as_deref(), now) else { return };
        let done =
            pacemaker::set_attribute(self.name, value, deadline.at_most(LIMIT)).map_err(|error| error.to_string());
        let kept = done.and_then(|()| {
            let kept = match value {
                Some(value) => place.markers.write_note(self.note, value),
                None => place.markers.forget_note(self.note),
            };
            kept.map_err(|error| error.to_string())
        });
        // Tried again by the next monitor.
        if let Err(why) = kept {
            output::print_error(&format!("{}: {why}", self.name));
        }
    }
}
