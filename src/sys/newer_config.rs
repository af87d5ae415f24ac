//! The newer configuration that this node has heard of and not got: `newer-config.json` in the state folder.

use std::io;
use std::path::Path;

use super::store::Store;
use crate::core::roles::master_claims::NewerConfig;

/// Its name in the state folder.
pub const FILE: &str = "newer-config.json";

/// Reads it; none if there is no such file.
///
/// # Errors
/// When it is there and cannot be read, or is damaged.
pub fn read(state_dir: &Path) -> io::Result<Option<NewerConfig>> {
    Store::new(state_dir).read(FILE)
}
