//! Reads both clusters before a setup.

use std::path::Path;
use std::time::Duration;

use super::apply::is_master;
use super::error::SetupError;
use crate::core::ganeti::config::GanetiConfig;
use crate::core::pacemaker::resources::Resources;
use crate::sys::clock::Deadline;
use crate::sys::ganeti::files;
use crate::sys::ganeti::programs::Copy;
use crate::sys::pacemaker::cibadmin;

/// The time limit for each simulation of a host's death. One takes some hundredths of a second with three nodes, and
/// more than a second with hundreds.
const SIMULATION_TIMEOUT: Duration = Duration::from_secs(3);

/// Both clusters, as this host has them.
#[derive(Debug)]
pub struct Clusters {
    pub(super) ganeti: GanetiConfig,
    /// Whether this host serves as Ganeti's master.
    pub(super) is_master: bool,
    /// Pacemaker's configuration, as `cibadmin --query` prints it.
    pub(super) cib: String,
    pub(super) resources: Resources,
    /// The end of everything, with time for a simulation of each host's death.
    pub(super) deadline: Deadline,
}

impl Clusters {
    /// Reads the clusters. `limit` is the time limit for everything except the simulations of each host's death.
    ///
    /// # Errors
    /// [`SetupError`] if a configuration cannot be read, or if this host's copy of Ganeti's configuration may be old.
    pub fn read(data_dir: &Path, cib: &Path, limit: Duration) -> Result<Self, SetupError> {
        let ganeti = files::read_config(data_dir).map_err(SetupError::Ganeti)?;
        let is_master = is_master(&ganeti);
        if !is_master && Copy::read(data_dir, cib).denies(&ganeti) {
            return Err(SetupError::NotNamed(data_dir.join(files::CONFIG)));
        }
        let deaths = u32::try_from(ganeti.nodes().len()).unwrap_or(u32::MAX);
        let deadline = Deadline::after(limit.saturating_add(SIMULATION_TIMEOUT.saturating_mul(deaths)));
        let cib = cibadmin::query(deadline)?;
        let resources = Resources::parse(&cib)?;
        Ok(Self { ganeti, is_master, cib, resources, deadline })
    }
}
