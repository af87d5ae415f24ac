//! Lock files that a dead process cannot leave locked: the kernel releases a lock with its file (`flock(2)`).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::clock::Deadline;

/// The interval between two attempts.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A held lock. It is released when this value is dropped or the process ends in any way.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held, not used")] Flock<File>);

/// The reason why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The lock file cannot be made, opened or locked.
    #[error("cannot open the lock file {}: {error}", path.display())]
    Open {
        /// The path of the lock file.
        path: PathBuf,
        /// The error of the file system.
        error: io::Error,
    },
    /// Another process held the lock until the deadline.
    #[error("the lock {} was not free for {waited:.1} s: another command holds it", path.display())]
    Busy {
        /// The path of the lock file.
        path: PathBuf,
        /// The time that was waited, in seconds.
        waited: f64,
    },
}

impl Lock {
    /// Takes the exclusive lock `path` and waits until `deadline`. Makes the file and its directory (0700) if needed.
    ///
    /// # Errors
    /// [`LockError::Open`] if the file cannot be made, opened or locked; [`LockError::Busy`] if the lock is not free in
    /// time.
    pub fn take(path: &Path, deadline: Deadline) -> Result<Self, LockError> {
        let file = open(path).map_err(|error| LockError::Open { path: path.to_owned(), error })?;
        Self::of(file, FlockArg::LockExclusiveNonblock, path, deadline)
    }

    /// Takes the shared lock `path` with other readers and waits until `deadline`. The file must exist. Changes
    /// nothing.
    ///
    /// # Errors
    /// [`LockError::Open`] if the file cannot be opened or locked; [`LockError::Busy`] if the lock is not free in time.
    pub fn share(path: &Path, deadline: Deadline) -> Result<Self, LockError> {
        let file = File::open(path).map_err(|error| LockError::Open { path: path.to_owned(), error })?;
        Self::of(file, FlockArg::LockSharedNonblock, path, deadline)
    }

    fn of(mut file: File, how: FlockArg, path: &Path, deadline: Deadline) -> Result<Self, LockError> {
        let waiting = deadline.left();
        loop {
            match Flock::lock(file, how) {
                Ok(lock) => return Ok(Self(lock)),
                Err((_, Errno::EWOULDBLOCK)) if deadline.passed() => {
                    return Err(LockError::Busy { path: path.to_owned(), waited: waiting.as_secs_f64() });
                }
                Err((same, Errno::EWOULDBLOCK | Errno::EINTR)) => file = same,
                Err((_, errno)) => return Err(LockError::Open { path: path.to_owned(), error: errno.into() }),
            }
            deadline.sleep(POLL_INTERVAL);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_waited_for_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/bmc.lock");
        let held = Lock::take(&path, Deadline::after(Duration::ZERO)).unwrap();
        let error = Lock::take(&path, Deadline::after(Duration::from_millis(30))).unwrap_err();
        assert!(matches!(error, LockError::Busy { .. }));
        drop(held);
        Lock::take(&path, Deadline::after(Duration::ZERO)).unwrap();
    }

    #[test]
    fn readers_share_a_lock_and_make_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("receipts.lock");
        let at_once = || Deadline::after(Duration::ZERO);
        assert!(matches!(Lock::share(&path, at_once()).unwrap_err(), LockError::Open { .. }));
        assert!(!path.exists());
        drop(Lock::take(&path, at_once()).unwrap());
        let (one, other) = (Lock::share(&path, at_once()).unwrap(), Lock::share(&path, at_once()).unwrap());
        assert!(matches!(Lock::take(&path, at_once()).unwrap_err(), LockError::Busy { .. }));
        drop((one, other));
        Lock::take(&path, at_once()).unwrap();
    }
}
