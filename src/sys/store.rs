//! State that outlives a disk that takes nothing: kept on the disk, or else in memory until the next boot.
//!
//! A file system that is full, read-only or hangs must stop no fencing, no shunning and no record. What it does not take within
//! [`PATIENCE`] is kept in `/run`, where it is read first. After a boot it is gone: what rested on it has to be proven again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::clock::Deadline;
use super::lock::{Lock, LockError};
use super::state_file;

/// How long the disk may take for a file, by the monotonic clock.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// In memory (`file-hierarchy(7)`), a folder for each state folder.
const UNTIL_BOOT: &str = "/run/gnt-ha/until-boot";

/// A state folder in here is a trial's, which leaves nothing in [`UNTIL_BOOT`].
const TRIALS: &str = "/tmp";

/// Whether a write of this process hangs: the next one would, too.
static HANGS: AtomicBool = AtomicBool::new(false);

/// A write, and whoever waits for it. Either it shows what it has written, or it was given up and shows nothing: another
/// process may have written something newer by then.
#[derive(Clone, Debug, Default)]
struct Race(Arc<AtomicBool>);

impl Race {
    /// Whether this one comes first.
    fn is_won(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    /// Whether the write may show itself.
    fn may_show(&self) -> io::Result<()> {
        if self.is_won() { Ok(()) } else { Err(hangs()) }
    }
}

/// Where something was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "what is not on the disk has to be said"]
pub enum Kept {
    /// On the disk, flushed.
    OnDisk,
    /// In memory only, and why.
    UntilBoot(String),
}

impl Kept {
    /// Why it is not on the disk, if it is not.
    #[must_use]
    pub fn why_not_on_disk(self) -> Option<String> {
        match self {
            Self::OnDisk => None,
            Self::UntilBoot(why) => Some(why),
        }
    }
}

/// The files of one state folder.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
    until_boot: PathBuf,
}

impl Store {
    /// Those in `folder`, and what it did not take.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), until_boot: until_boot(folder) }
    }

    /// Writes `value` as JSON to the file `name`, flushed, within `patience` and [`PATIENCE`].
    ///
    /// # Errors
    /// What the disk said, where memory does not take it either.
    pub fn write(&self, name: &str, value: &impl Serialize, patience: Duration) -> io::Result<Kept> {
        let bytes = serde_json::to_vec(value)?;
        let path = self.folder.join(name);
        let write = move |race: &Race| state_file::write_bytes(&path, &bytes, || race.may_show());
        let written = within(patience.min(PATIENCE), write);
        self.settled(name, value, written)
    }

    /// The same within [`PATIENCE`] for what may be lost with the host: it is not flushed.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn write_unflushed(&self, name: &str, value: &impl Serialize) -> io::Result<Kept> {
        let bytes = serde_json::to_vec(value)?;
        let path = self.folder.join(name);
        let write = move |race: &Race| state_file::write_bytes_unflushed(&path, &bytes, || race.may_show());
        let written = within(PATIENCE, write);
        self.settled(name, value, written)
    }

    fn settled(&self, name: &str, value: &impl Serialize, written: io::Result<()>) -> io::Result<Kept> {
        let memory = self.until_boot.join(name);
        match written {
            Ok(()) => {
                // What is newer is on the disk now, and is read.
                absent(&memory)?;
                Ok(Kept::OnDisk)
            }
            Err(error) => match state_file::write_unflushed(&memory, value) {
                Ok(()) => Ok(Kept::UntilBoot(error.to_string())),
                Err(_) => Err(error),
            },
        }
    }

    /// Reads the file `name`, from memory if the disk did not take it last; none if there is no such file.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        match self.read_until_boot(name)? {
            Some(value) => Ok(Some(value)),
            None => state_file::read(&self.folder.join(name)),
        }
    }

    /// Reads what the disk did not take last of the file `name`.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read_until_boot<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        state_file::read(&self.until_boot.join(name))
    }

    /// Whether there is a file `name`, on the disk or in memory.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.folder.join(name).exists() || self.is_until_boot(name)
    }

    /// Whether the disk did not take the file `name` last.
    #[must_use]
    pub fn is_until_boot(&self, name: &str) -> bool {
        self.until_boot.join(name).exists()
    }

    /// Takes the file `name` away, from both.
    ///
    /// # Errors
    /// What the file system says.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        absent(&self.until_boot.join(name))?;
        absent(&self.folder.join(name))
    }

    /// Takes the lock `name`, in memory if the file system has no place for it.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn lock(&self, name: &str, deadline: Deadline) -> Result<Lock, LockError> {
        match Lock::take(&self.folder.join("lock").join(name), deadline) {
            Err(LockError::Open { .. }) => Lock::take(&self.until_boot.join("lock").join(name), deadline),
            taken => taken,
        }
    }
}

/// Where what the state folder `folder` does not take is kept until the next boot: in [`UNTIL_BOOT`]; beside that of a trial.
#[must_use]
pub fn until_boot(folder: &Path) -> PathBuf {
    if cfg!(test) || folder.starts_with(TRIALS) {
        let mut beside = folder.as_os_str().to_owned();
        beside.push(".until-boot");
        return beside.into();
    }
    let name: String =
        folder.to_string_lossy().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Path::new(UNTIL_BOOT).join(name.trim_matches('-'))
}

/// Does `work`, which may hang on a disk, and waits for it no longer than `patience`.
///
/// # Errors
/// The work's own, or that it hangs: then it may not show itself any more, and nothing else is tried on the disk by this
/// process.
fn within(patience: Duration, work: impl FnOnce(&Race) -> io::Result<()> + Send + 'static) -> io::Result<()> {
    if HANGS.load(Ordering::Relaxed) {
        return Err(hangs());
    }
    let (done, answer) = mpsc::channel();
    let race = Race::default();
    let of_work = race.clone();
    // Nobody listens any more when it took too long.
    std::thread::Builder::new().spawn(move || drop(done.send(work(&of_work))))?;
    answer.recv_timeout(patience).unwrap_or_else(|_| {
        HANGS.store(true, Ordering::Relaxed);
        // One that has won shows itself already, and whoever writes after it comes after it.
        let _ = race.is_won();
        Err(hangs())
    })
}

fn hangs() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the disk did not take it in time")
}

fn absent(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state folder whose disk takes nothing: a file stands in its place.
    fn broken() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        std::fs::write(&state, "").unwrap();
        (folder, Store::new(&state))
    }

    /// What the disk does not take is read all the same until the next boot, and said to be so.
    #[test]
    fn what_the_disk_does_not_take_is_kept_until_the_next_boot() {
        let (folder, store) = broken();
        for write in [Store::write_flushed as fn(&Store, u8) -> io::Result<Kept>, |store, value| {
            store.write_unflushed("file", &value)
        }] {
            assert!(write(&store, 1).unwrap().why_not_on_disk().is_some());
            assert!(store.is_until_boot("file") && store.has("file"));
            assert_eq!(store.read::<u8>("file").unwrap(), Some(1));
        }
        store.lock("record", Deadline::after(PATIENCE)).unwrap();
        // The disk takes it again, and what memory holds is over.
        std::fs::remove_file(folder.path().join("state")).unwrap();
        assert_eq!(store.write("file", &2, PATIENCE).unwrap(), Kept::OnDisk);
        assert!(!store.is_until_boot("file"));
        assert_eq!(store.read::<u8>("file").unwrap(), Some(2));
        store.remove("file").unwrap();
        assert!(!store.has("file"));
    }

    /// Where neither takes it, it is an error and no silence.
    #[test]
    fn what_nothing_takes_is_an_error() {
        let (folder, store) = broken();
        std::fs::write(folder.path().join("state.until-boot"), "").unwrap();
        assert!(store.write("file", &1, PATIENCE).is_err());
    }

    /// A write that was given up shows nothing, however late it ends: another process has written something newer.
    #[test]
    fn a_write_that_was_given_up_overtakes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for write in [
            (|path, race, hang| state_file::write_bytes(path, b"1", hung(race, hang))) as Hanging,
            |path, race, hang| state_file::write_bytes_unflushed(path, b"1", hung(race, hang)),
        ] {
            HANGS.store(false, Ordering::Relaxed);
            let path = folder.path().join("file");
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
            race.may_show()
        }
    }

    /// A disk that hangs is not waited for, neither by this write nor by the next.
    #[test]
    fn a_disk_that_hangs_is_waited_for_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(&folder.path().join("state"));
        let (go_on, hang) = mpsc::channel::<()>();
        let late = within(Duration::from_millis(10), move |_| {
            let _ = hang.recv();
            Ok(())
        });
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(matches!(store.write("file", &1, PATIENCE).unwrap(), Kept::UntilBoot(_)));
        assert!(matches!(store.write_unflushed("other", &1).unwrap(), Kept::UntilBoot(_)));
        assert_eq!(store.read::<u8>("file").unwrap(), Some(1));
        drop(go_on);
    }

    impl Store {
        fn write_flushed(&self, value: u8) -> io::Result<Kept> {
            self.write("file", &value, PATIENCE)
        }
    }
}
