//! Ganeti's files on this host.

use std::path::{Path, PathBuf};

use crate::core::ganeti::config::{BadConfigData, GanetiConfig};
use crate::sys::limited;

/// Ganeti's data folder.
pub const DATA_DIR: &str = "/var/lib/ganeti";

/// Ganeti's configuration, in that folder; only on master candidates.
pub const CONFIG: &str = "config.data";

/// The most bytes that are read of it: an instance with its disks and network interfaces takes some 4 KiB, so this is more than
/// 10,000 of them.
pub const CONFIG_LIMIT: u64 = 64 * 1024 * 1024;

/// The socket of Ganeti's query daemon, luxid; it is there only on the master.
pub const LUXI_SOCKET: &str = "/var/run/ganeti/socket/ganeti-query";

/// Why Ganeti's configuration was not read.
#[derive(Debug, thiserror::Error)]
pub enum GanetiFilesError {
    /// No such file: this host is no master candidate, or runs no Ganeti.
    #[error("there is no {}: this host is no master candidate of a Ganeti cluster", .0.display())]
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

/// Reads the bytes of `config.data` in Ganeti's data folder.
///
/// # Errors
/// What the file system says; also for a file of more than [`CONFIG_LIMIT`].
pub fn read_config_text(data_dir: &Path) -> std::io::Result<Vec<u8>> {
    limited::read(&data_dir.join(CONFIG), CONFIG_LIMIT)
}

/// Reads `config.data` in Ganeti's data folder.
///
/// # Errors
/// [`GanetiFilesError`].
pub fn read_config(data_dir: &Path) -> Result<GanetiConfig, GanetiFilesError> {
    let path = data_dir.join(CONFIG);
    let text = match read_config_text(data_dir) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(GanetiFilesError::NotCandidate(path));
        }
        Err(error) => return Err(GanetiFilesError::Unreadable { path, error }),
    };
    GanetiConfig::parse(&text).map_err(|error| GanetiFilesError::Bad { path, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration without end is an error, before any of it is parsed, and no cluster without nodes.
    #[test]
    fn a_configuration_beyond_the_limit_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(folder.path().join(CONFIG)).unwrap();
        file.set_len(CONFIG_LIMIT + 1).unwrap();
        let error = read_config(folder.path()).unwrap_err();
        assert!(matches!(error, GanetiFilesError::Unreadable { .. }), "{error}");
        assert!(error.to_string().ends_with("it has more than 67108864 bytes"), "{error}");
    }
}
