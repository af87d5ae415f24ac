//! Reads `/etc/gnt-ha/config.toml` from the disk. Its model and parser are in [`crate::core::config`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::trusted_file::{self, TrustedFileError};
use crate::core::config::{Config, ConfigError};

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// The file cannot be read, or a user other than root may write it: it names programs that root runs.
    #[error("cannot use the configuration {}: {error}", path.display())]
    Unreadable {
        /// The path of the configuration file.
        path: PathBuf,
        /// The error of the read, or the check that failed.
        error: TrustedFileError,
    },
    /// The text of the file is wrong.
    #[error(transparent)]
    Text(#[from] ConfigError),
}

/// Reads and checks the file at `path`.
///
/// # Errors
/// [`ConfigFileError::Unreadable`] if the file cannot be read or may not be trusted, [`ConfigFileError::Text`] if its text is wrong.
pub fn load(path: &Path) -> Result<Config, ConfigFileError> {
    let text = trusted_file::read_config(path)
        .map_err(|error| ConfigFileError::Unreadable { path: path.to_owned(), error })?;
    Ok(Config::parse(&text, path)?)
}

/// Reads the file at `path`, or returns the defaults if there is no such file: a node that switches no other node needs no file.
///
/// # Errors
/// As [`load`].
pub fn load_or_default(path: &Path) -> Result<Config, ConfigFileError> {
    if path.exists() { load(path) } else { Ok(Config::parse("", path)?) }
}

/// Returns the agents that `power_agents` names in the file at `path`. A file that cannot be used names no agent: a device of an
/// unknown kind proves less.
#[must_use]
pub fn power_agents(path: &Path) -> BTreeSet<String> {
    load(path).map(|config| config.power_agents).unwrap_or_default()
}
