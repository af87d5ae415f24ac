//! Writes an initramfs in the "new ASCII" cpio format (Linux
//! `Documentation/driver-api/early-userspace/buffer-format.rst`).

use std::io;
use std::path::Path;

const DIR: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// An archive that is being written, in memory.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// Adds a directory; the ones above it have to be in the archive already.
    pub fn dir(&mut self, name: &str) {
        self.entry(name, DIR, (0, 0), &[]);
    }

    /// Adds an executable file.
    pub fn file(&mut self, name: &str, content: &[u8]) {
        self.entry(name, PROGRAM, (0, 0), content);
    }

    /// Adds the file `from` of this machine.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn copy(&mut self, name: &str, from: &Path) -> io::Result<()> {
        let content = std::fs::read(from).map_err(|error| io::Error::other(format!("{}: {error}", from.display())))?;
        self.file(name, &content);
        Ok(())
    }

    /// Adds a character device: without it the first process has no console.
    pub fn device(&mut self, name: &str, major: u32, minor: u32) {
        self.entry(name, CHARACTER_DEVICE, (major, minor), &[]);
    }

    /// Returns the whole archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, (major, minor): (u32, u32), content: &[u8]) {
        self.entries += 1;
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        // Number, mode, owner, group, links, time, size, device of the file system, device, length of the name,
        // checksum.
        let fields =
            [self.entries, mode, 0, 0, 1, 0, length(content.len()), 0, 0, major, minor, length(name.len() + 1), 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes().chain([0]));
        self.align();
        self.bytes.extend(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each header has 110 bytes; names and contents are padded to a multiple of four.
    #[test]
    fn an_entry_is_as_the_kernel_reads_it() {
        let mut archive = Archive::default();
        archive.file("init", b"12345");
        let bytes = archive.finish();
        assert_eq!(&bytes[..14], b"07070100000001");
        assert_eq!(&bytes[14..22], b"000081ed", "the mode");
        assert_eq!(&bytes[54..62], b"00000005", "the size");
        assert_eq!(&bytes[94..102], b"00000005", "the length of the name and its end");
        assert_eq!(&bytes[110..124], b"init\0\x0012345\0\0\0");
        assert_eq!(bytes.len() % 4, 0);
        assert!(bytes.ends_with(b"TRAILER!!!\0\0\0\0"));
    }
}
