//! Small files of our own: written whole, flushed, renamed, 0600; read only when they are whole.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes `value` as JSON to `path`, making its folder (0700) if need be. A reader sees the old file or the new one,
/// also after a crash.
///
/// # Errors
/// What the file system says.
pub fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    replace(path, value, File::sync_all)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// As [`write`], for what may be lost: after a crash of the host it may be the old, the new, or damaged.
///
/// # Errors
/// What the file system says.
pub fn write_unflushed(path: &Path, value: &impl Serialize) -> io::Result<()> {
    replace(path, value, |_| Ok(()))
}

fn replace(path: &Path, value: &impl Serialize, flush: impl Fn(&File) -> io::Result<()>) -> io::Result<()> {
    let bytes = serde_json::to_vec(value)?;
    let folder = path.parent().ok_or_else(|| io::Error::other("a state file needs a folder"))?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut name = OsString::from(path);
    name.push(format!(".new-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&name)?;
    file.write_all(&bytes)?;
    flush(&file)?;
    fs::rename(&name, path)
}

/// Reads what [`write`] wrote; `None` if there is no such file.
///
/// # Errors
/// When it is there and cannot be read, or is no such JSON.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
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
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/192.0.2.1");
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
    fn a_damaged_file_is_an_error_and_not_an_absence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        fs::write(&path, "[1,").unwrap();
        assert!(read::<Vec<u8>>(&path).is_err());
    }
}
