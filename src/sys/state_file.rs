//! Small files of our own: written to a temporary file, flushed, renamed, with mode 0600. Also publishes files for
//! others (0644).

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::limited;

/// Writes `value` as JSON to `path`, and makes its directory (0700) if needed. A reader sees either the old file or the
/// new one, also after a crash.
///
/// # Errors
/// The error of the file system.
pub fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    write_bytes(path, &serde_json::to_vec(value)?, || Ok(()))
}

/// Writes bytes as [`write()`] does. Calls `permit` after the flush and before the rename. If it fails, the old file
/// stays.
///
/// # Errors
/// The error of the file system or of `permit`.
pub fn write_bytes(path: &Path, bytes: &[u8], permit: impl Fn() -> io::Result<()>) -> io::Result<()> {
    renamed(&in_dir(path)?, bytes, 0o600, |file| file.sync_all().and_then(|()| permit()))?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// Writes `value` as [`write()`] does, without a flush: after a crash of the host the file may be the old one, the new
/// one, or damaged.
///
/// # Errors
/// The error of the file system.
pub fn write_unflushed(path: &Path, value: &impl Serialize) -> io::Result<()> {
    write_bytes_unflushed(path, &serde_json::to_vec(value)?, || Ok(()))
}

/// Writes bytes as [`write_bytes`] does, without a flush, as [`write_unflushed`].
///
/// # Errors
/// The error of the file system or of `permit`.
pub fn write_bytes_unflushed(path: &Path, bytes: &[u8], permit: impl Fn() -> io::Result<()>) -> io::Result<()> {
    renamed(&in_dir(path)?, bytes, 0o600, |_| permit())
}

/// Writes `text` for all users (mode 0644), without a flush. The directory must exist and may belong to another user.
///
/// # Errors
/// The error of the file system.
pub fn publish(path: &Path, text: &str) -> io::Result<()> {
    renamed(path, text.as_bytes(), 0o644, |_| Ok(()))
}

/// Makes the directory of the path and returns the path.
fn in_dir(path: &Path) -> io::Result<PathBuf> {
    let dir = path.parent().ok_or_else(|| io::Error::other("a state file needs a directory"))?;
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    Ok(path.to_owned())
}

/// Writes to a new file and renames it: a reader sees either the old file or the new one.
fn renamed(path: &Path, bytes: &[u8], mode: u32, flush: impl Fn(&File) -> io::Result<()>) -> io::Result<()> {
    let mut name = OsString::from(path);
    // A write that hangs must not share the temporary file of the next write.
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    match NUMBER.fetch_add(1, Ordering::Relaxed) {
        0 => name.push(format!(".new-{}", std::process::id())),
        number => name.push(format!(".new-{}-{number}", std::process::id())),
    }
    // The file may be left over from a killed process with the same id.
    let _ = fs::remove_file(&name);
    let write = || {
        // `create_new` does not open what another user has put there, such as a link in a directory of that user.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&name)?;
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        flush(&file)?;
        fs::rename(&name, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&name)))
}

/// The most bytes that are read of a file: several times the size of a shun list with the maximum number of nodes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Reads what [`write()`] wrote; `None` if there is no such file.
///
/// # Errors
/// The error of the file system or of the parser, also for a file of more than 16 MiB.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match limited::read(path, MAX_BYTES) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_written_is_read_and_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/192.0.2.1");
        assert_eq!(read::<Vec<u8>>(&path).unwrap(), None);
        write(&path, &[1, 2]).unwrap();
        write(&path, &[3]).unwrap();
        assert_eq!(read::<Vec<u8>>(&path).unwrap(), Some(vec![3]));
        write_unflushed(&path, &[4]).unwrap();
        assert_eq!(read::<Vec<u8>>(&path).unwrap(), Some(vec![4]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left over");
    }

    #[test]
    fn what_is_published_is_for_all_users_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("gnt-ha.prom"), dir.path().join("other"));
        fs::write(&other, "theirs").unwrap();
        let mut new = OsString::from(&path);
        new.push(format!(".new-{}", std::process::id()));
        std::os::unix::fs::symlink(&other, &new).unwrap();
        for text in ["before", "ours"] {
            publish(&path, text).unwrap();
        }
        assert_eq!(
            (fs::read_to_string(&path).unwrap(), fs::read_to_string(&other).unwrap()),
            ("ours".into(), "theirs".into())
        );
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        // The first file of a process has the link's name; another test of this process may have written it.
        let _ = fs::remove_file(&new);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left over");
        assert!(publish(&dir.path().join("absent/file"), "ours").is_err());
    }

    /// A file that has grown without end is an error, and does not fill the memory.
    #[test]
    fn a_file_without_an_end_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let file = File::create(&path).unwrap();
        file.set_len(MAX_BYTES * 64).unwrap();
        assert!(read::<Vec<u8>>(&path).unwrap_err().to_string().contains("more than"));
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_an_absence() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        fs::write(&path, "[1,").unwrap();
        assert!(read::<Vec<u8>>(&path).is_err());
    }
}
