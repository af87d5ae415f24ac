//! Files of state that survive a disk that accepts no write: on the disk, or else in memory until the next boot.
//!
//! A file system that is full, read-only or hangs must not stop fencing, shunning or recording. A write that the disk
//! does not accept within [`DISK_LIMIT`] goes to `/run`, which is read first. A boot deletes that copy: what rested on it
//! has to be proven again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::clock::Deadline;
use super::lock::{Lock, LockError};
use super::state_file;
use super::time_limit::{self, NoResultError};

/// The time limit of the disk for one file, by the monotonic clock.
pub const DISK_LIMIT: Duration = Duration::from_secs(1);

/// Directory in memory (`file-hierarchy(7)`), with one directory for each state directory.
const UNTIL_BOOT: &str = "/run/gnt-ha/until-boot";

/// Directory of trials: a state directory below it leaves nothing in [`UNTIL_BOOT`].
const TRIALS: &str = "/tmp";

/// Calls `with` with the flag whether a write of this process hangs: the next write would hang, too. Tests that run in
/// one process have a flag each.
fn hang_flag<T>(with: impl FnOnce(&AtomicBool) -> T) -> T {
    #[cfg(not(test))]
    {
        static HANGS: AtomicBool = AtomicBool::new(false);
        with(&HANGS)
    }
    #[cfg(test)]
    {
        thread_local! { static HANGS: AtomicBool = const { AtomicBool::new(false) } }
        HANGS.with(with)
    }
}

/// The decision between a write and its caller, who waits for it. Either the write publishes its file, or the caller
/// gave it up and it publishes nothing: another process may have written a newer file by then.
#[derive(Clone, Debug, Default)]
struct Race(Arc<AtomicBool>);

impl Race {
    /// Returns whether this call is the first one.
    fn is_won(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    /// Permits the write to publish its file, unless the caller gave it up.
    fn permit_publishing(&self) -> io::Result<()> {
        if self.is_won() { Ok(()) } else { Err(hangs()) }
    }
}

/// The place where a value was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the caller must report a value that is not on the disk"]
pub enum StoredAt {
    /// On the disk, flushed unless the caller asked for an unflushed write.
    OnDisk,
    /// In memory only, with the error of the disk.
    UntilBoot(String),
}

impl StoredAt {
    /// Returns the error of the disk, if the value is not on the disk.
    #[must_use]
    pub fn not_on_disk_reason(self) -> Option<String> {
        match self {
            Self::OnDisk => None,
            Self::UntilBoot(why) => Some(why),
        }
    }
}

/// The files of one state directory.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
    until_boot: PathBuf,
}

impl Store {
    /// The files in `dir`, and the files in memory that it did not accept. Reads nothing yet.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), until_boot: until_boot(dir) }
    }

    /// Writes `value` as JSON to the file `name` and flushes it. Waits for the disk no longer than `limit` and
    /// [`DISK_LIMIT`].
    ///
    /// # Errors
    /// The error of the disk, if memory does not accept the file either.
    pub fn write(&self, name: &str, value: &impl Serialize, limit: Duration) -> io::Result<StoredAt> {
        let bytes = serde_json::to_vec(value)?;
        let path = self.dir.join(name);
        let write = move |race: &Race| state_file::write_bytes(&path, &bytes, || race.permit_publishing());
        let written = within(limit.min(DISK_LIMIT), write);
        self.finish_write(name, value, written)
    }

    /// Writes `value` within [`DISK_LIMIT`] without a flush, for values that may be lost with the host.
    ///
    /// # Errors
    /// The error of the disk, if memory does not accept the file either.
    pub fn write_unflushed(&self, name: &str, value: &impl Serialize) -> io::Result<StoredAt> {
        let bytes = serde_json::to_vec(value)?;
        let path = self.dir.join(name);
        let write = move |race: &Race| state_file::write_bytes_unflushed(&path, &bytes, || race.permit_publishing());
        let written = within(DISK_LIMIT, write);
        self.finish_write(name, value, written)
    }

    fn finish_write(&self, name: &str, value: &impl Serialize, written: io::Result<()>) -> io::Result<StoredAt> {
        let memory = self.until_boot.join(name);
        match written {
            Ok(()) => {
                // The disk now has the newer value, and is read again.
                remove_if_present(&memory)?;
                Ok(StoredAt::OnDisk)
            }
            Err(error) => match state_file::write_unflushed(&memory, value) {
                Ok(()) => Ok(StoredAt::UntilBoot(error.to_string())),
                Err(_) => Err(error),
            },
        }
    }

    /// Reads the file `name`, from memory if the disk did not accept the last write. Returns `None` if there is no such
    /// file.
    ///
    /// # Errors
    /// The error of the file system, or of the parser, for a file that exists and cannot be read.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        match self.read_until_boot(name)? {
            Some(value) => Ok(Some(value)),
            None => state_file::read(&self.dir.join(name)),
        }
    }

    /// Reads the last value of the file `name` that the disk did not accept. Returns `None` if the memory has no value.
    ///
    /// # Errors
    /// The error of the file system, or of the parser, for a file that exists and cannot be read.
    pub fn read_until_boot<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        state_file::read(&self.until_boot.join(name))
    }

    /// Returns whether a file `name` exists, on the disk or in memory.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.dir.join(name).exists() || self.is_until_boot(name)
    }

    /// Returns whether the disk did not accept the last write of the file `name`.
    #[must_use]
    pub fn is_until_boot(&self, name: &str) -> bool {
        self.until_boot.join(name).exists()
    }

    /// Removes the file `name` from memory and from the disk. A file that does not exist is not an error.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        remove_if_present(&self.until_boot.join(name))?;
        remove_if_present(&self.dir.join(name))
    }

    /// Takes the lock `name`, in memory if the lock file on the disk cannot be opened.
    ///
    /// # Errors
    /// [`LockError`] if the lock file cannot be opened in either place, or the lock is not free before the deadline.
    pub fn lock(&self, name: &str, deadline: Deadline) -> Result<Lock, LockError> {
        match Lock::take(&self.dir.join("lock").join(name), deadline) {
            Err(LockError::Open { .. }) => Lock::take(&self.until_boot.join("lock").join(name), deadline),
            taken => taken,
        }
    }
}

/// Returns the directory that holds, until the next boot, what the state directory `dir` does not accept. It is in
/// `UNTIL_BOOT`; for a trial it is beside the state directory.
#[must_use]
pub fn until_boot(dir: &Path) -> PathBuf {
    if cfg!(test) || dir.starts_with(TRIALS) {
        let mut beside = dir.as_os_str().to_owned();
        beside.push(".until-boot");
        return beside.into();
    }
    let name: String = dir.to_string_lossy().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Path::new(UNTIL_BOOT).join(name.trim_matches('-'))
}

/// Runs `work`, which may hang on a disk, in a thread and waits no longer than `limit`.
///
/// # Errors
/// The error of the work, or that it hangs. Work that hangs may not publish its file any more, and this process does
/// not try another write on the disk.
fn within(limit: Duration, work: impl FnOnce(&Race) -> io::Result<()> + Send + 'static) -> io::Result<()> {
    if hang_flag(|flag| flag.load(Ordering::Relaxed)) {
        return Err(hangs());
    }
    let race = Race::default();
    let of_work = race.clone();
    match time_limit::within(limit, move || work(&of_work)) {
        Ok(result) => result,
        Err(NoResultError::Thread(error)) => Err(error),
        Err(NoResultError::Timeout) => {
            hang_flag(|flag| flag.store(true, Ordering::Relaxed));
            // If the work has won, it already publishes its file; a later write comes after it.
            let _ = race.is_won();
            Err(hangs())
        }
    }
}

fn hangs() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the disk did not take it in time")
}

fn remove_if_present(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A state directory whose disk accepts no write: a file has its path.
    fn broken() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        std::fs::write(&state, "").unwrap();
        (dir, Store::new(&state))
    }

    /// A value that the disk does not accept can be read until the next boot, and the caller is notified.
    #[test]
    fn what_the_disk_does_not_take_is_kept_until_the_next_boot() {
        let (dir, store) = broken();
        for write in [Store::write_flushed as fn(&Store, u8) -> io::Result<StoredAt>, |store, value| {
            store.write_unflushed("file", &value)
        }] {
            assert!(write(&store, 1).unwrap().not_on_disk_reason().is_some());
            assert!(store.is_until_boot("file") && store.has("file"));
            assert_eq!(store.read::<u8>("file").unwrap(), Some(1));
        }
        store.lock("record", Deadline::after(DISK_LIMIT)).unwrap();
        // The disk accepts writes again, and the value in memory ends.
        std::fs::remove_file(dir.path().join("state")).unwrap();
        assert_eq!(store.write("file", &2, DISK_LIMIT).unwrap(), StoredAt::OnDisk);
        assert!(!store.is_until_boot("file"));
        assert_eq!(store.read::<u8>("file").unwrap(), Some(2));
        store.remove("file").unwrap();
        assert!(!store.has("file"));
    }

    /// If neither disk nor memory accepts it, the write returns an error.
    #[test]
    fn what_nothing_takes_is_an_error() {
        let (dir, store) = broken();
        std::fs::write(dir.path().join("state.until-boot"), "").unwrap();
        assert!(store.write("file", &1, DISK_LIMIT).is_err());
    }

    /// A write that was given up publishes nothing, however late it ends: another process has written a newer file.
    #[test]
    fn a_write_that_was_given_up_overtakes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for write in [
            (|path, race, hang| state_file::write_bytes(path, b"1", hung(race, hang))) as Hanging,
            |path, race, hang| state_file::write_bytes_unflushed(path, b"1", hung(race, hang)),
        ] {
            hang_flag(|flag| flag.store(false, Ordering::Relaxed));
            let path = dir.path().join("file");
            let (go_on, hang) = mpsc::channel::<()>();
            let (ended, end) = mpsc::channel();
            let late = path.clone();
            let given_up = within(Duration::from_millis(10), move |race| {
                let written = write(&late, race, &hang);
                let _ = ended.send(written.is_ok());
                written
            });
            assert_eq!(given_up.unwrap_err().kind(), io::ErrorKind::TimedOut);
            state_file::write(&path, &2).unwrap();
            drop(go_on);
            assert!(!end.recv().unwrap());
            assert_eq!(state_file::read::<u8>(&path).unwrap(), Some(2));
        }
    }

    type Hanging = fn(&Path, &Race, &mpsc::Receiver<()>) -> io::Result<()>;

    fn hung<'a>(race: &'a Race, hang: &'a mpsc::Receiver<()>) -> impl Fn() -> io::Result<()> + 'a {
        move || {
            let _ = hang.recv();
            race.permit_publishing()
        }
    }

    /// A disk that hangs delays only the first write; later writes do not wait for it.
    #[test]
    fn a_disk_that_hangs_is_waited_for_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(&dir.path().join("state"));
        let (go_on, hang) = mpsc::channel::<()>();
        let late = within(Duration::from_millis(10), move |_| {
            let _ = hang.recv();
            Ok(())
        });
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(matches!(store.write("file", &1, DISK_LIMIT).unwrap(), StoredAt::UntilBoot(_)));
        assert!(matches!(store.write_unflushed("other", &1).unwrap(), StoredAt::UntilBoot(_)));
        assert_eq!(store.read::<u8>("file").unwrap(), Some(1));
        drop(go_on);
    }

    impl Store {
        fn write_flushed(&self, value: u8) -> io::Result<StoredAt> {
            self.write("file", &value, DISK_LIMIT)
        }
    }
}
