//! Tests whether a file can be written in a directory that other users may write to as well.

use std::fs::{OpenOptions, remove_file};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes one byte to a new file in `dir`, flushes it, and leaves nothing behind. The name is random, and an
/// existing file is never opened: a link of another user has no effect.
///
/// # Errors
/// The error of the file system.
pub fn write(dir: &Path) -> io::Result<()> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    let path = dir.join(format!(".gnt-ha.writable.{:032x}", u128::from_le_bytes(random)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    // The name is removed at once, so that a write that hangs leaves no file behind.
    remove_file(&path)?;
    file.write_all(b"x")?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A check does not open what another user has put there. The name once contained the process id, which can be
    /// guessed.
    #[test]
    fn a_planted_link_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let theirs = dir.path().join("theirs");
        std::fs::write(&theirs, "precious").unwrap();
        let planted = dir.path().join(format!(".gnt-ha.writable.{}", std::process::id()));
        std::os::unix::fs::symlink(&theirs, &planted).unwrap();
        write(dir.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "precious");
        assert!(planted.is_symlink(), "it is not ours to remove");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left over");
        assert!(write(&dir.path().join("absent")).is_err());
    }
}
