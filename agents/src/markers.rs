//! State that holds until the next boot: empty files and short notes in a directory of `/run`.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A fact that an empty file records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// The master role was stopped on this host on purpose.
    MasterStopped,
    /// An instance of the promotable clone was started on this host.
    MasterStarted,
    /// The node role was stopped on this host.
    NodeStopped,
}

/// The markers and notes of one host.
#[derive(Clone, Debug)]
pub struct Markers(PathBuf);

impl Markers {
    /// Returns the markers in `dir`, which need not exist yet.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self(dir.to_owned())
    }

    /// Whether the marker is set.
    #[must_use]
    pub fn has(&self, marker: Marker) -> bool {
        self.path(marker).exists()
    }

    /// Sets the marker, and creates the directory (mode 0700) if it is absent. Setting it twice is not an error.
    ///
    /// # Errors
    /// If the file system reports an error.
    pub fn set(&self, marker: Marker) -> io::Result<()> {
        self.make_dir()?;
        fs::write(self.path(marker), b"")
    }

    /// Removes the marker. An absent marker is not an error.
    ///
    /// # Errors
    /// If the file system reports an error.
    pub fn clear(&self, marker: Marker) -> io::Result<()> {
        remove_if_present(&self.path(marker))
    }

    /// Returns the note with this name; `None` if it is absent or cannot be read.
    #[must_use]
    pub fn note(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.0.join(name)).ok()
    }

    /// Writes a note, and creates the directory (mode 0700) if it is absent.
    ///
    /// # Errors
    /// If the file system reports an error.
    pub fn write_note(&self, name: &str, text: &str) -> io::Result<()> {
        self.make_dir()?;
        fs::write(self.0.join(name), text)
    }

    /// Removes a note. An absent note is not an error.
    ///
    /// # Errors
    /// If the file system reports an error.
    pub fn forget_note(&self, name: &str) -> io::Result<()> {
        remove_if_present(&self.0.join(name))
    }

    fn make_dir(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)
    }

    fn path(&self, marker: Marker) -> PathBuf {
        self.0.join(match marker {
            Marker::MasterStopped => "master-role.stopped",
            Marker::MasterStarted => "master-role.started",
            Marker::NodeStopped => "node-role.stopped",
        })
    }
}

fn remove_if_present(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
