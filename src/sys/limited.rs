//! Reads whole files up to a limit: a file that grows without end must not fill the memory of a fencing.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads the bytes of the file at `path`.
///
/// # Errors
/// The error of the file system; also for a file of more than `limit` bytes, of which nothing is returned.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    // The length of a file in /proc or of a pipe is not meaningful.
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(limit)).unwrap_or_default());
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) { Ok(bytes) } else { Err(too_long(limit)) }
}

/// Returns the error for a file of more than `limit` bytes.
#[must_use]
pub fn too_long(limit: u64) -> io::Error {
    io::Error::other(format!("it has more than {limit} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_the_limit_and_no_further() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert!(read(&path, 4).unwrap_err().to_string().contains("more than 4 bytes"));
        assert!(read(Path::new("/dev/zero"), 1_000).unwrap_err().to_string().contains("more than"));
        assert_eq!(read(&dir.path().join("none"), 5).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
