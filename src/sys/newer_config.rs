//! Reads `newer-config.json` in the state directory: the newer configuration that another candidate has and that this node does
//! not have.

use std::io;
use std::path::Path;

use super::store::Store;
use crate::core::roles::master_claims::NewerConfig;

/// Name of the file in the state directory.
pub const FILE: &str = "newer-config.json";

/// Reads the newer configuration; `None` if there is no such file.
///
/// # Errors
/// The error of the file system, or of the parser, for a file that exists and cannot be read.
pub fn read(state_dir: &Path) -> io::Result<Option<NewerConfig>> {
    Store::new(state_dir).read(FILE)
}
