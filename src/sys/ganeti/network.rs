//! Reads the cluster's network from Ganeti's configuration on this host.

use std::path::Path;

use crate::core::ganeti::network::ClusterNetwork;
use crate::sys::ganeti::files;

/// Reads and parses `config.data` in `data_dir`.
///
/// # Errors
/// If the file cannot be read, which is so on a host that is not a master candidate, or is not valid.
pub fn read(data_dir: &Path) -> Result<ClusterNetwork, String> {
    let path = data_dir.join(files::CONFIG);
    let text = files::read_config_text(data_dir).map_err(|error| {
        format!("cannot read {}: {error}; only a master candidate has Ganeti's configuration", path.display())
    })?;
    ClusterNetwork::parse(&text).map_err(|error| format!("cannot use {}: {error}", path.display()))
}
