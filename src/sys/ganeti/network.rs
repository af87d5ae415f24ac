//! Reads the cluster's network from Ganeti's configuration on this host.

use std::io;
use std::path::{Path, PathBuf};

use crate::core::ganeti::network::ClusterNetwork;
use crate::sys::ganeti::files;

/// The reason why the cluster's network is unknown.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The file cannot be read, as on a host that is not a master candidate.
    #[error("cannot read {}: {error}; only a master candidate has Ganeti's configuration", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The error of the file system.
        error: io::Error,
    },
    /// The file is not a valid configuration.
    #[error("cannot use {}: {why}", path.display())]
    Parse {
        /// The path of the file.
        path: PathBuf,
        /// The fault in the file.
        why: String,
    },
}

/// Reads and parses `config.data` in `data_dir`.
///
/// # Errors
/// [`NetworkError`] if the file cannot be read or is not valid.
pub fn read(data_dir: &Path) -> Result<ClusterNetwork, NetworkError> {
    let path = data_dir.join(files::CONFIG);
    let text = match files::read_config_text(data_dir) {
        Ok(text) => text,
        Err(error) => return Err(NetworkError::Read { path, error }),
    };
    ClusterNetwork::parse(&text).map_err(|error| NetworkError::Parse { path, why: error.to_string() })
}
