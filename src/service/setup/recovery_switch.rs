//! Switches recovery on by the cluster's tags.

use std::path::Path;

use super::error::SetupError;
use crate::core::ganeti::tags::RECOVER;
use crate::core::recovery::coverage::Coverage;
use crate::core::recovery::permission::CLUSTER_TAG;
use crate::sys::clock::{Deadline, now};
use crate::sys::command;
use crate::sys::ganeti::files;

/// The tags of the cluster: the first permits the start of each instance, as for harep, the second switches recovery on.
pub const TAGS: [&str; 2] = [CLUSTER_TAG, RECOVER];

/// The tags that the cluster does not have, and what recovery covers with them.
#[derive(Debug)]
pub struct RecoverySwitch {
    /// The tags that the cluster does not have; with all of them recovery is on.
    pub missing: Vec<&'static str>,
    /// The instances that recovery covers once it is on, and the others.
    pub coverage: Coverage,
}

impl RecoverySwitch {
    /// Reads the cluster's tags and instances; changes nothing.
    ///
    /// # Errors
    /// [`SetupError::Ganeti`] if Ganeti's configuration cannot be used.
    pub fn read(data_dir: &Path) -> Result<Self, SetupError> {
        let mut config = files::read_recovery_config(data_dir).map_err(SetupError::Ganeti)?;
        let missing = TAGS.into_iter().filter(|tag| !config.cluster_tags().iter().any(|given| given == tag)).collect();
        config.add_cluster_tag(CLUSTER_TAG);
        let coverage = Coverage::of(&config, now().wall_ms / 1_000);
        Ok(Self { missing, coverage })
    }

    /// Adds the missing tags to the cluster.
    ///
    /// # Errors
    /// [`SetupError::RecoveryTags`] if Ganeti does not set the tags.
    pub fn apply(&self, deadline: Deadline) -> Result<(), SetupError> {
        let words: Vec<&str> = ["add-tags"].into_iter().chain(self.missing.iter().copied()).collect();
        let set = command::run(Path::new("gnt-cluster"), &words, &[], deadline);
        set.map_err(|error| SetupError::RecoveryTags { tags: self.missing.join(" "), error })?;
        Ok(())
    }
}
