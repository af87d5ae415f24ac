//! Keeps what is remembered of the nodes' identities and of their BMCs in a state file.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::bmc_memory::BmcMemory;
use crate::core::node::NodeName;
use crate::sys::clock::Deadline;
use crate::sys::store::Store;
use crate::sys::time_limit::within;

/// The name of the file in the state directory.
const FILE: &str = "bmc-identities.json";

/// The time limit of the disk. A fencing needs no disk.
const DISK_LIMIT: Duration = Duration::from_millis(250);

/// The time limit of the disk for a writer, which waits rather than forgets.
const DISK_LIMIT_OF_WRITER: Duration = Duration::from_secs(2);

/// Returns the path of the file in this state directory.
#[must_use]
pub fn file(state: &Path) -> PathBuf {
    state.join(FILE)
}

/// Reads the memory. A file that is damaged or cannot be read counts as empty: a fencing must not fail because of it.
#[must_use]
pub fn read(state: &Path) -> BmcMemory {
    let store = Store::new(state);
    match within(DISK_LIMIT, move || store.read(FILE)) {
        Ok(Ok(memory)) => memory.unwrap_or_default(),
        Ok(Err(error)) => unread(state, &error.to_string()),
        Err(error) => unread(state, &error.to_string()),
    }
}

fn unread(state: &Path, error: &str) -> BmcMemory {
    tracing::warn!(error, path = %file(state).display(), "the remembered identities of the BMCs cannot be read");
    BmcMemory::default()
}

/// Adds what was learned of the nodes, and removes nodes that are not in `members`. A damaged file is written anew.
///
/// # Errors
/// The error of the file system, that the disk is too slow to be read, or that another process held the lock until the
/// deadline. The file stays as it is.
pub fn keep(state: &Path, learned: &BmcMemory, members: &[NodeName], deadline: Deadline) -> io::Result<()> {
    let store = Store::new(state);
    let _lock = store.lock("bmc-identities", deadline).map_err(|error| io::Error::other(error.to_string()))?;
    let reader = store.clone();
    let before = match within(deadline.left().min(DISK_LIMIT_OF_WRITER), move || reader.read(FILE)) {
        Ok(Ok(memory)) => memory.unwrap_or_default(),
        Ok(Err(error)) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            unread(state, &error.to_string())
        }
        Ok(Err(error)) => return Err(error),
        Err(error) => return Err(io::Error::other(error.to_string())),
    };
    match before.after(learned, members) {
        Some(after) => store.write_unflushed(FILE, &after).map(drop),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::bmc_memory::KnownHost;
    use crate::core::host_identity::HostIdentity;

    #[test]
    fn what_was_learned_is_read_again_by_root_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), BmcMemory::default());
        let node = NodeName::new("n1.lab").unwrap();
        let host = Some(HostIdentity { uuid: Some("u".to_owned()), serial_number: None });
        let learned = BmcMemory([(node.clone(), KnownHost { host, ..KnownHost::default() })].into());
        keep(dir.path(), &learned, &[node], Deadline::after(Duration::from_secs(5))).unwrap();
        assert_eq!(read(dir.path()), learned);
        assert_eq!(std::fs::metadata(file(dir.path())).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(file(dir.path()), "{").unwrap();
        assert_eq!(read(dir.path()), BmcMemory::default(), "a fencing goes on");
    }
}
