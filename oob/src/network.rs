//! What Ganeti's configuration on this host says of the cluster's network.

use std::path::Path;

use gnt_ha::core::ganeti::network::ClusterNetwork;
use gnt_ha::sys::ganeti::files;

/// Reads it.
///
/// # Errors
/// Why not, in one line; on a host that is no master candidate, that.
pub fn read(data_dir: &Path) -> Result<ClusterNetwork, String> {
    let path = data_dir.join(files::CONFIG);
    let text = files::read_config_text(data_dir).map_err(|error| {
        format!("cannot read {}: {error}; only a master candidate has Ganeti's configuration", path.display())
    })?;
    ClusterNetwork::parse(&text).map_err(|error| format!("cannot use {}: {error}", path.display()))
}
