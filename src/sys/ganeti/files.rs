//! Paths of Ganeti's files on this host, and the reader of `config.data`. Only reads.

use std::path::{Path, PathBuf};

use crate::core::ganeti::config::{BadConfigData, GanetiConfig};
use crate::core::recovery::config_data::{BadRecoveryConfig, RecoveryConfig};
use crate::core::recovery::coverage::Coverage;
use crate::sys::limited;

/// Ganeti's data directory in Debian's packages (`constants.DATA_DIR`).
pub const DATA_DIR: &str = "/var/lib/ganeti";

/// Name of Ganeti's configuration file in that directory; only master candidates have it.
pub const CONFIG: &str = "config.data";

/// The most bytes that are read of `config.data`. An instance with its disks and network interfaces takes about 4 KiB,
/// so the limit holds more than 10,000 instances.
pub const CONFIG_LIMIT: u64 = 64 * 1024 * 1024;

/// The socket of Ganeti's query daemon luxid; it exists only on the master.
pub const LUXI_SOCKET: &str = "/var/run/ganeti/socket/ganeti-query";

/// The reason why Ganeti's configuration was not read.
#[derive(Debug, thiserror::Error)]
pub enum GanetiFilesError {
    /// The file does not exist: this host is not a master candidate, or does not run Ganeti.
    #[error("there is no {}: this host is not a master candidate of a Ganeti cluster", .0.display())]
    NotCandidate(PathBuf),
    /// The file exists and cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The path of `config.data`.
        path: PathBuf,
        /// The error of the file system.
        error: std::io::Error,
    },
    /// The file was read and is not a usable configuration.
    #[error("cannot use {}: {error}", path.display())]
    Bad {
        /// The path of `config.data`.
        path: PathBuf,
        /// The fault in the configuration.
        error: BadConfigData,
    },
    /// The file was read, and recovery cannot use it.
    #[error("cannot use {}: {error}", path.display())]
    BadForRecovery {
        /// The path of the configuration.
        path: PathBuf,
        /// The fault in the configuration.
        error: BadRecoveryConfig,
    },
}

/// Reads the bytes of `config.data` in Ganeti's data directory.
///
/// # Errors
/// The error of the file system; also for a file of more than [`CONFIG_LIMIT`] bytes.
pub fn read_config_text(data_dir: &Path) -> std::io::Result<Vec<u8>> {
    limited::read(&data_dir.join(CONFIG), CONFIG_LIMIT)
}

/// Reads and parses `config.data` in Ganeti's data directory.
///
/// # Errors
/// [`GanetiFilesError`] if the file does not exist, cannot be read, or is not a usable configuration.
pub fn read_config(data_dir: &Path) -> Result<GanetiConfig, GanetiFilesError> {
    let text = read_config_text(data_dir).map_err(|error| unread(data_dir, error))?;
    GanetiConfig::parse(&text).map_err(|error| GanetiFilesError::Bad { path: data_dir.join(CONFIG), error })
}

fn unread(data_dir: &Path, error: std::io::Error) -> GanetiFilesError {
    let path = data_dir.join(CONFIG);
    match error.kind() {
        std::io::ErrorKind::NotFound => GanetiFilesError::NotCandidate(path),
        _ => GanetiFilesError::Unreadable { path, error },
    }
}

/// Reads Ganeti's configuration for recovery.
///
/// # Errors
/// [`GanetiFilesError`] if the file does not exist, cannot be read, or recovery cannot use it.
pub fn read_recovery_config(data_dir: &Path) -> Result<RecoveryConfig, GanetiFilesError> {
    let text = read_config_text(data_dir).map_err(|error| unread(data_dir, error))?;
    let path = || data_dir.join(CONFIG);
    RecoveryConfig::parse(&text).map_err(|error| GanetiFilesError::BadForRecovery { path: path(), error })
}

/// Reads Ganeti's configuration for recovery; `None` if recovery is off. Then the file is not parsed.
///
/// # Errors
/// [`GanetiFilesError`] if the file does not exist, cannot be read, or recovery cannot use it.
pub fn read_recovery_config_if_on(data_dir: &Path) -> Result<Option<RecoveryConfig>, GanetiFilesError> {
    let text = read_config_text(data_dir).map_err(|error| unread(data_dir, error))?;
    if !RecoveryConfig::may_be_on(&text) {
        return Ok(None);
    }
    let path = || data_dir.join(CONFIG);
    let config = RecoveryConfig::parse(&text);
    let config = config.map_err(|error| GanetiFilesError::BadForRecovery { path: path(), error })?;
    Ok(Some(config).filter(RecoveryConfig::is_on))
}

/// Reads which instances recovery covers; `None` if recovery is off, or if the configuration cannot be used. `now_s` is
/// the wall clock, in seconds since 1970.
#[must_use]
pub fn read_coverage(data_dir: &Path, now_s: u64) -> Option<Coverage> {
    Some(Coverage::of(&read_recovery_config_if_on(data_dir).ok()??, now_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration without end is an error before any of it is parsed; it never counts as a cluster without nodes.
    #[test]
    fn a_configuration_beyond_the_limit_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(dir.path().join(CONFIG)).unwrap();
        file.set_len(CONFIG_LIMIT + 1).unwrap();
        let error = read_config(dir.path()).unwrap_err();
        assert!(matches!(error, GanetiFilesError::Unreadable { .. }), "{error}");
        assert!(error.to_string().ends_with("it has more than 67108864 bytes"), "{error}");
    }
}
