//! The receipt log: intents and receipts in `receipts.jsonl` in the state directory, one entry a line. An entry counts
//! only when it is flushed.

use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::clock::Deadline;
use super::limited::{self, too_long};
use super::lock::{Lock, LockError};
use super::store;
use crate::core::history::Index;
use crate::core::node::NodeName;
use crate::core::receipt::{Head, LogEntry};

/// The size in bytes at which the file is rotated.
const ROTATE_AT: u64 = 4 * 1024 * 1024;

/// The most bytes that are read of one file: many times the size at which it is rotated. A larger file is not a receipt
/// log, or could not be rotated for long.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The number of rotated files that are kept.
const ROTATED_FILES: u32 = 4;

/// The size in bytes at which the file in memory is rotated; it has what the disk does not accept.
const ROTATE_IN_MEMORY_AT: u64 = 256 * 1024;

/// The time limit for another program's append.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// The receipt log of one host.
#[derive(Clone, Debug)]
pub struct ReceiptLog {
    dir: PathBuf,
    rotate_at: u64,
    /// The directory that holds, until the next boot, what the disk does not accept; equal to `dir` for that log
    /// itself.
    in_memory: PathBuf,
}

/// The reason why an entry was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptLogError {
    /// Another program held the lock of the receipt log for too long, or the lock file cannot be opened.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The file system failed.
    #[error("cannot {what} {}: {error}", path.display())]
    Io {
        /// The failed operation, as a verb.
        what: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// The error of the file system.
        error: io::Error,
    },
}

/// The contents of a receipt log.
#[derive(Debug, Default)]
pub struct Contents {
    /// The readable entries that were asked for, oldest first.
    pub entries: Vec<LogEntry>,
    /// Every line that is not a valid entry: `FILE:LINE: reason`.
    pub unreadable: Vec<String>,
}

impl ReceiptLog {
    /// The receipt log in `dir`; the first entry creates the directory.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), rotate_at: ROTATE_AT, in_memory: store::until_boot(dir) }
    }

    /// The receipt log in memory, with what the disk did not accept; `None` for that log itself.
    fn in_memory(&self) -> Option<Self> {
        (self.dir != self.in_memory).then(|| Self {
            dir: self.in_memory.clone(),
            rotate_at: ROTATE_IN_MEMORY_AT,
            in_memory: self.in_memory.clone(),
        })
    }

    /// Adds an entry that the disk did not accept. It can be read until the next boot; a later append moves it to the
    /// disk.
    ///
    /// # Errors
    /// [`ReceiptLogError`] if the file system in memory does not accept the entry either.
    pub fn append_until_boot(&self, entry: &LogEntry) -> Result<(), ReceiptLogError> {
        self.in_memory().map_or(Ok(()), |memory| memory.append(entry))
    }

    /// Adds an entry; it is on disk when this function returns.
    ///
    /// # Errors
    /// [`ReceiptLogError`] if the lock is not free in time or the file system fails. A torn line then is not an entry
    /// to any reader, and does not damage later entries.
    pub fn append(&self, entry: &LogEntry) -> Result<(), ReceiptLogError> {
        let path = self.current();
        let failed = |what| {
            let path = path.clone();
            move |error| ReceiptLogError::Io { what, path, error }
        };
        let mut line = entry.to_line().map_err(|error| failed("write to")(error.into()))?;
        line.push('\n');
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(failed("make the directory of"))?;
        let _lock = Lock::take(&self.dir.join("receipts.lock"), Deadline::after(LOCK_WAIT))?;
        let made = !path.exists();
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path).map_err(failed("open"))?;
        if let Err(error) = self.adopt(&mut file) {
            tracing::warn!(%error, "entries that the disk did not accept stay in memory");
        }
        if ends_torn(&mut file).map_err(failed("read"))? {
            line.insert(0, '\n');
        }
        file.write_all(line.as_bytes()).map_err(failed("write to"))?;
        file.sync_data().map_err(failed("flush"))?;
        let size = file.metadata().map_err(failed("read"))?.len();
        if size >= self.rotate_at
            && let Err(error) = self.rotate()
        {
            // The entry is safe; the file is only larger than it should be.
            tracing::warn!(%error, "{} cannot be rotated", path.display());
        }
        if made || size >= self.rotate_at {
            File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(failed("flush the directory of"))?;
        }
        Ok(())
    }

    /// Moves entries that the disk did not accept before into `file`, the current one.
    fn adopt(&self, file: &mut File) -> io::Result<()> {
        let Some(memory) = self.in_memory() else { return Ok(()) };
        let found: Vec<PathBuf> = memory.files().filter(|path| path.exists()).collect();
        if found.is_empty() {
            return Ok(());
        }
        let lock = memory.dir.join("receipts.lock");
        let _lock = Lock::take(&lock, Deadline::after(LOCK_WAIT)).map_err(io::Error::other)?;
        for path in found {
            let mut text = limited::read(&path, MAX_BYTES)?;
            if ends_torn(file)? {
                text.insert(0, b'\n');
            }
            file.write_all(&text)?;
            file.sync_data()?;
            std::fs::remove_file(&path)?;
        }
        Ok(())
    }

    /// Reads all entries, oldest first. Reports a torn or foreign line without failing. An empty or missing receipt log
    /// has no entries.
    ///
    /// # Errors
    /// [`ReceiptLogError::Io`] if a file exists and cannot be read, or has more than 64 MiB.
    pub fn read(&self) -> Result<Contents, ReceiptLogError> {
        let mut contents = Contents::default();
        self.snapshot()?.scan(|place, line| match LogEntry::from_line(line) {
            Ok(entry) => contents.entries.push(entry),
            Err(error) => contents.unreadable.push(format!("{place}: {error}")),
        })?;
        Ok(contents)
    }

    /// Reads the entries of the last `count` actions, of `node` if one is given, for a log of any size. Also returns
    /// the number of older actions.
    ///
    /// # Errors
    /// [`ReceiptLogError::Io`], as [`ReceiptLog::read`].
    pub fn read_last(&self, count: usize, node: Option<&NodeName>) -> Result<(Contents, usize), ReceiptLogError> {
        self.read_some(|index| index.last(count, node))
    }

    /// Reads the entries of the last action of each node, for a log of any size. A node whose name is written in
    /// several ways has one for each.
    ///
    /// # Errors
    /// [`ReceiptLogError::Io`], as [`ReceiptLog::read`].
    pub fn read_last_of_each(&self) -> Result<Contents, ReceiptLogError> {
        self.read_some(|index| (index.last_of_each(), ())).map(|(contents, ())| contents)
    }

    /// Reads the entries of the actions whose ids `choose` returns. Only they are kept in memory.
    fn read_some<T>(
        &self,
        choose: impl FnOnce(&Index) -> (HashSet<String>, T),
    ) -> Result<(Contents, T), ReceiptLogError> {
        let mut contents = Contents::default();
        let snapshot = self.snapshot()?;
        let mut index = Index::default();
        snapshot.scan(|place, line| match Head::from_line(line) {
            Ok(head) => index.add(head),
            Err(error) => contents.unreadable.push(format!("{place}: not a valid entry: {error}")),
        })?;
        let (wanted, rest) = choose(&index);
        snapshot.scan(|place, line| {
            // The first pass has reported the lines that have no head.
            if !Head::from_line(line).is_ok_and(|head| wanted.contains(&head.id)) {
                return;
            }
            match LogEntry::from_line(line) {
                Ok(entry) => contents.entries.push(entry),
                Err(error) => contents.unreadable.push(format!("{place}: {error}")),
            }
        })?;
        Ok((contents, rest))
    }

    /// Opens the files of this moment. Holds the lock only meanwhile, against a rotation: an append must not wait for
    /// readers. Reads without the lock if it is not free in time.
    fn snapshot(&self) -> Result<Snapshot, ReceiptLogError> {
        let _lock = Lock::share(&self.dir.join("receipts.lock"), Deadline::after(LOCK_WAIT)).ok();
        let in_memory: Vec<PathBuf> = self.in_memory().iter().flat_map(Self::files).collect();
        let mut files = Vec::new();
        for path in self.files().chain(in_memory) {
            match File::open(&path).and_then(|file| file.metadata().map(|metadata| (file, metadata.len()))) {
                Ok((_, length)) if length > MAX_BYTES => {
                    return Err(ReceiptLogError::Io { what: "read", path, error: too_long(MAX_BYTES) });
                }
                Ok((file, length)) => files.push((path, file, length)),
                // If a file has the path of the directory, there are no receipts either.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(error) => return Err(ReceiptLogError::Io { what: "read", path, error }),
            }
        }
        Ok(Snapshot(files))
    }

    fn rotate(&self) -> io::Result<()> {
        for n in (1..ROTATED_FILES).rev() {
            match std::fs::rename(self.rotated(n), self.rotated(n + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(self.current(), self.rotated(1))
    }

    /// Returns the paths of all files, oldest first, existing or not.
    fn files(&self) -> impl Iterator<Item = PathBuf> {
        (1..=ROTATED_FILES).rev().map(|n| self.rotated(n)).chain([self.current()])
    }

    fn current(&self) -> PathBuf {
        self.dir.join("receipts.jsonl")
    }

    fn rotated(&self, n: u32) -> PathBuf {
        self.dir.join(format!("receipts.{n}.jsonl"))
    }
}

/// The files of the receipt log at one moment, each with the length that it had then. Neither a later append nor a
/// rotation changes the snapshot.
struct Snapshot(Vec<(PathBuf, File, u64)>);

impl Snapshot {
    /// Calls `visit` with the place (`FILE:LINE`) and the text of every line that is not empty.
    fn scan(&self, mut visit: impl FnMut(&str, &str)) -> Result<(), ReceiptLogError> {
        for (path, file, length) in &self.0 {
            let failed = |error| ReceiptLogError::Io { what: "read", path: path.clone(), error };
            let mut file = file;
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
            let mut file = BufReader::new(file.take(*length));
            let mut line = Vec::new();
            for number in 1_usize.. {
                line.clear();
                if file.read_until(b'\n', &mut line).map_err(failed)? == 0 {
                    break;
                }
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end_matches('\n');
                if !text.is_empty() {
                    visit(&format!("{}:{number}", path.display()), text);
                }
            }
        }
        Ok(())
    }
}

/// Returns whether the last line has no end, as after a crash or on a full disk.
fn ends_torn(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests;
