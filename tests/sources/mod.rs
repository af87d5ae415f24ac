//! The source files of the programs, for the tests that read them.

use std::path::{Path, PathBuf};

/// The sources of each crate, from the directory of the package `gnt-ha`.
pub(crate) const CRATES: [&str; 8] = [
    "src",
    "fence/src",
    "oob/src",
    "oob/ipmi/src",
    "oob/noded/src",
    "oob/redfish/src",
    "oob/redfish-call/src",
    "agents/src",
];

/// Returns the Rust files below `path`, which is a directory or a file itself.
pub(crate) fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().flat_map(|entry| rust_files(&entry.unwrap().path())).collect()
    } else {
        Some(path.to_owned()).filter(|path| path.extension().is_some_and(|kind| kind == "rs")).into_iter().collect()
    }
}
