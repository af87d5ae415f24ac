//! The processes of this host: those of our own PID namespace. A container on it may run a Pacemaker or a Ganeti of its
//! own, which are no business of this host's.

use std::fs;
use std::path::{Path, PathBuf};

/// The first that `wanted` finds something in, given its folder in `/proc`.
pub fn find<T>(wanted: impl Fn(&Path) -> Option<T>) -> Option<T> {
    let here = fs::read_link("/proc/self/ns/pid").ok();
    // A process that ended meanwhile has no namespace any more.
    let is_ours = |folder: &Path| fs::read_link(folder.join("ns/pid")).ok() == here;
    let folders = fs::read_dir("/proc").ok()?.flatten();
    folders
        .filter(|entry| entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit))
        .map(|entry| entry.path())
        .find_map(|folder: PathBuf| wanted(&folder).filter(|_| is_ours(&folder)))
}
