//! Publishes a statement of this node as a transient node attribute of Pacemaker, only when the value changes.

use std::time::Duration;

use gnt_ha::core::roles::attribute::change;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::{output, pacemaker};

use crate::paths::AgentPaths;

/// The note's text after [`Attribute::forget`]: a value was published, and the cluster may have forgotten it since.
const SOMETHING: &str = "?";

/// The most that one call of Pacemaker's tool may take.
const TOOL_TIMEOUT: Duration = Duration::from_secs(4);

/// A node attribute, with the note of the value that was published last since the host booted.
#[derive(Debug)]
pub struct Attribute {
    /// The attribute's name in Pacemaker.
    pub name: &'static str,
    /// The name of the note's file, beside the markers.
    pub note: &'static str,
}

impl Attribute {
    /// Makes the next [`Self::publish`] send its value in any case: a node that has left the cluster has no attributes.
    pub fn forget(&self, paths: &AgentPaths) {
        if paths.markers.note(self.note).is_some() {
            let _ = paths.markers.write_note(self.note, SOMETHING);
        }
    }

    /// Publishes `now` if it differs from what was published last. `None` deletes the published value. A failure is
    /// printed on stderr.
    pub fn publish(&self, paths: &AgentPaths, now: Option<&str>, deadline: Deadline) {
        let published = paths.markers.note(self.note);
        let Some(value) = change(published.as_deref(), now) else { return };
        let done = pacemaker::set_attribute(self.name, value, deadline.at_most(TOOL_TIMEOUT))
            .map_err(|error| error.to_string());
        let kept = done.and_then(|()| {
            let kept = match value {
                Some(value) => paths.markers.write_note(self.note, value),
                None => paths.markers.forget_note(self.note),
            };
            kept.map_err(|error| error.to_string())
        });
        // The next monitor tries again.
        if let Err(why) = kept {
            output::print_error(&format!("{}: {why}", self.name));
        }
    }
}
