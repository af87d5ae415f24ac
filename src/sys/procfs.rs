//! The processes of this host in our own PID namespace, from `/proc`. A container on the host may run a Pacemaker or a
//! Ganeti of its own, which must not count.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Returns the depth of a process's PID namespace, seen from this host's /proc (proc_pid_status(5), `NSpid`). A process
/// in a namespace of its own is deeper than this process.
fn depth(dir: &Path) -> Option<usize> {
    let status = fs::read_to_string(dir.join("status")).ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().count())
}

/// Calls `wanted` with the `/proc` directory of each process and returns its first result.
pub fn find<T>(wanted: impl Fn(&Path) -> Option<T>) -> Option<T> {
    let own = Path::new("/proc/self");
    let (here, own_depth) = (fs::read_link(own.join("ns/pid")).ok(), depth(own));
    let is_ours = |dir: &Path| match fs::read_link(dir.join("ns/pid")) {
        Ok(there) => Some(there) == here,
        // Reading the namespace requires every capability of the process, and a systemd unit has few.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => own_depth.is_some() && depth(dir) == own_depth,
        // The process has ended meanwhile.
        Err(_) => false,
    };
    let dirs = fs::read_dir("/proc").ok()?.flatten();
    dirs.filter(|entry| entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit))
        .map(|entry| entry.path())
        .find_map(|dir: PathBuf| wanted(&dir).filter(|_| is_ours(&dir)))
}
