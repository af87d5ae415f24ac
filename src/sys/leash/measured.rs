//! What was measured of this host's watchdog (`gnt-ha leash measure`), on its disk.

use std::io;
use std::path::{Path, PathBuf};

use crate::core::shun::expiry::Measured;
use crate::sys::state_file;

/// In the state folder.
#[must_use]
pub fn file(state: &Path) -> PathBuf {
    state.join("watchdog-measured.json")
}

/// What was measured; none if nothing was, or it cannot be read: then the watchdog counts as one that was not measured.
#[must_use]
pub fn read(state: &Path) -> Option<Measured> {
    state_file::read(&file(state)).ok().flatten()
}

/// Keeps it, on the disk.
///
/// # Errors
/// What the file system says.
pub fn keep(state: &Path, measured: &Measured) -> io::Result<()> {
    state_file::write(&file(state), measured)
}
