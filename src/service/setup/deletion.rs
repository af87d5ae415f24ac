//! Deletes everything that a setup has made.

use super::clusters::Clusters;
use super::error::SetupError;
use crate::core::setup::{PREFIX, deletions};
use crate::sys::pacemaker::cibadmin;

/// The elements that a setup has made in Pacemaker's configuration.
#[derive(Debug)]
pub struct Deletion {
    /// The elements, in the order in which they can be deleted.
    pub elements: Vec<String>,
    clusters: Clusters,
}

impl Deletion {
    /// Finds the elements; changes nothing.
    #[must_use]
    pub fn plan(clusters: Clusters) -> Self {
        Self { elements: deletions(&clusters.resources), clusters }
    }

    /// Returns whether a tag of Ganeti's, which remains, publishes each node's health.
    #[must_use]
    pub fn leaves_health_tag(&self) -> bool {
        let id = self.clusters.resources.property_ids.get("node-health-strategy");
        id.is_some_and(|id| id.starts_with(PREFIX))
    }

    /// Deletes the elements. Only in maintenance mode, in which Pacemaker stops no daemon of Ganeti.
    ///
    /// # Errors
    /// [`SetupError::NotInMaintenance`] or [`SetupError::Remove`].
    pub fn apply(&self) -> Result<(), SetupError> {
        let Clusters { resources, deadline, .. } = &self.clusters;
        if resources.property(&["maintenance-mode"]).is_none_or(|value| value != "true") {
            return Err(SetupError::NotInMaintenance);
        }
        let all = self.elements.len();
        for (done, element) in self.elements.iter().enumerate() {
            cibadmin::delete(element, *deadline).map_err(|error| SetupError::Remove { done, all, error })?;
        }
        Ok(())
    }
}
