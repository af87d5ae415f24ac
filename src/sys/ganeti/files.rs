//! Ganeti's files on this host.

use std::path::{Path, PathBuf};

use crate::core::ganeti::config::{BadConfigData, GanetiConfig};

/// Ganeti's data folder.
pub const DATA_DIR: &str = "/var/lib/ganeti";

/// Ganeti's configuration, in that folder; only on master candidates.
pub const CONFIG: &str = "config.data";

/// The socket of Ganeti's query daemon, luxid; it is there only on the master.
pub const LUXI_SOCKET: &str = "/var/run/ganeti/socket/ganeti-query";

/// Why Ganeti's configuration was not read.
#[derive(Debug, thiserror::Error)]
pub enum GanetiFilesError {
    /// No such file: this host is no master candidate, or runs no Ganeti.
    #[error(
        "there is no {}: this host is no master candidate of a Ganeti cluster (to fence from it: gnt-ha setup on a \
         candidate, or oob_program=)", .0.display()
    )]
    NotCandidate(PathBuf),
    /// It is there and cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It was read and cannot be used.
    #[error("cannot use {}: {error}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// Why.
        error: BadConfigData,
    },
}

/// Reads `config.data` in Ganeti's data folder.
///
/// # Errors
/// [`GanetiFilesError`].
pub fn read_config(data_dir: &Path) -> Result<GanetiConfig, GanetiFilesError> {
    let path = data_dir.join(CONFIG);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(GanetiFilesError::NotCandidate(path));
        }
        Err(error) => return Err(GanetiFilesError::Unreadable { path, error }),
    };
    GanetiConfig::parse(&text).map_err(|error| GanetiFilesError::Bad { path, error })
}
