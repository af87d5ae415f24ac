//! What is true until the next boot: empty files in a folder of `/run`.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// One of these files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// The master role was stopped here on purpose.
    MasterStopped,
    /// An instance of the promotable clone was started here.
    MasterStarted,
    /// The node role was stopped here.
    NodeStopped,
}

/// The markers of one host.
#[derive(Clone, Debug)]
pub struct Markers(PathBuf);

impl Markers {
    /// Those in `folder`.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Is it set?
    #[must_use]
    pub fn has(&self, marker: Marker) -> bool {
        self.path(marker).exists()
    }

    /// Sets it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn set(&self, marker: Marker) -> io::Result<()> {
        self.make_folder()?;
        fs::write(self.path(marker), b"")
    }

    /// Takes it away.
    ///
    /// # Errors
    /// What the file system says.
    pub fn clear(&self, marker: Marker) -> io::Result<()> {
        absent(&self.path(marker))
    }

    /// A small text that is kept beside the markers.
    #[must_use]
    pub fn note(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.0.join(name)).ok()
    }

    /// Keeps a small text.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_note(&self, name: &str, text: &str) -> io::Result<()> {
        self.make_folder()?;
        fs::write(self.0.join(name), text)
    }

    /// Takes a small text away.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget_note(&self, name: &str) -> io::Result<()> {
        absent(&self.0.join(name))
    }

    fn make_folder(&self) -> io::Result<()> {
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

fn absent(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
