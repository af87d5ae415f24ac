//! Reads and checks files whose owner and mode matter: the configuration, secrets, and programs that root runs.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::unistd::geteuid;
use zeroize::Zeroizing;

/// The most bytes that are read of a configuration.
const CONFIG_LIMIT: u64 = 1024 * 1024;

/// The most bytes that are read of a secret.
const SECRET_LIMIT: u64 = 4096;

/// A text that is wiped from memory when it is dropped.
pub type Secret = Zeroizing<String>;

/// The reason why a file is not read, or not trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustedFileError {
    /// The file cannot be opened or read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The path is a directory, a device or a pipe.
    #[error("it is not a regular file")]
    NotRegular,
    /// The file belongs to a user who is neither root nor permitted as owner.
    #[error("it belongs to user {owner} and must be root's: chown root")]
    Owner {
        /// The user id of the owner.
        owner: u32,
    },
    /// Group or others may write or read the file.
    #[error("its mode is {mode:04o} and {who}: chmod {fix}")]
    Mode {
        /// The mode bits of the file.
        mode: u32,
        /// The rights of group or others, as a clause.
        who: &'static str,
        /// The argument of chmod that corrects the mode.
        fix: &'static str,
    },
    /// The file is larger than the limit for such files.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The content is not UTF-8 text.
    #[error("it is not UTF-8 text")]
    NotText,
    /// The first line of the file is empty.
    #[error("its first line is empty")]
    Empty,
}

/// A secret file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the secret file {}: {error}", path.display())]
pub struct SecretError {
    /// The path of the file.
    pub path: PathBuf,
    /// The fault of the file.
    pub error: TrustedFileError,
}

/// The mode bits with which group or others may write.
const WRITABLE: u32 = 0o022;

/// A program that root does not run, because another user could replace it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", path.display())]
pub struct UntrustedProgram {
    /// The path of the program, or of a directory or a link on the way to it.
    pub path: PathBuf,
    /// The fault of that path.
    pub error: TrustedFileError,
}

/// Checks that only root can write or replace a program that root is about to run.
///
/// The file, each directory above it, and each link on the way must belong to root, and neither group nor others may
/// write there. A directory with the sticky bit, such as `/tmp`, is accepted: users cannot replace files of others in
/// it. Without root privileges, every program passes: running it gives away no rights.
///
/// # Errors
/// [`UntrustedProgram`] if a part of the path is not safe, or cannot be read.
pub fn check_program(path: &Path) -> Result<(), UntrustedProgram> {
    if geteuid().is_root() { check_way(path, 0) } else { Ok(()) }
}

/// Checks the same, where each part must belong to `owner` or to root.
fn check_way(path: &Path, owner: u32) -> Result<(), UntrustedProgram> {
    const STICKY: u32 = 0o1000;
    const LINKS_MOST: usize = 40;
    let mut left: VecDeque<PathBuf> = parts(path).collect();
    let mut at = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        if part == Path::new("..") {
            at.pop();
            continue;
        }
        at.push(part);
        let wrong = |error| UntrustedProgram { path: at.clone(), error };
        let metadata = std::fs::symlink_metadata(&at).map_err(|error| wrong(error.into()))?;
        if metadata.uid() != 0 && metadata.uid() != owner {
            return Err(wrong(TrustedFileError::Owner { owner: metadata.uid() }));
        }
        if metadata.is_symlink() {
            links += 1;
            if links > LINKS_MOST {
                return Err(wrong(std::io::Error::from(nix::errno::Errno::ELOOP).into()));
            }
            let to = std::fs::read_link(&at).map_err(|error| wrong(error.into()))?;
            parts(&to).rev().for_each(|part| left.push_front(part));
            at.pop();
            continue;
        }
        let mode = metadata.mode() & 0o7777;
        if mode & WRITABLE != 0 && !(metadata.is_dir() && mode & STICKY != 0) {
            return Err(wrong(TrustedFileError::Mode { mode, who: "others may write it", fix: "go-w" }));
        }
    }
    if at.is_file() { Ok(()) } else { Err(UntrustedProgram { path: at, error: TrustedFileError::NotRegular }) }
}

/// Returns the parts of a path, for an absolute path from the root on.
fn parts(path: &Path) -> impl DoubleEndedIterator<Item = PathBuf> {
    path.components().filter(|part| *part != Component::CurDir).map(|part| PathBuf::from(part.as_os_str()))
}

/// Reads a configuration. It names programs that run as root, so only its owner may be able to write it.
///
/// # Errors
/// [`TrustedFileError`] if the file is not safe, too large, not text, or cannot be read.
pub fn read_config(path: &Path) -> Result<String, TrustedFileError> {
    read(path, CONFIG_LIMIT, WRITABLE, "others may write it", "go-w")
}

/// Reads the first line of a secret file. The file must belong to root or the caller, and be closed to group and
/// others.
///
/// # Errors
/// [`SecretError`] if the file is not safe, empty, or cannot be read. The error never contains the secret.
pub fn read_secret(path: &Path) -> Result<Secret, SecretError> {
    const ANYTHING: u32 = 0o077;
    let wrong = |error| SecretError { path: path.to_owned(), error };
    let text = Secret::new(read(path, SECRET_LIMIT, ANYTHING, "others may read it", "0600").map_err(wrong)?);
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line.to_owned())),
        _ => Err(wrong(TrustedFileError::Empty)),
    }
}

/// Checks the open file, not the path, so that the file cannot be replaced in between.
fn read(
    path: &Path,
    limit: u64,
    forbidden: u32,
    who: &'static str,
    fix: &'static str,
) -> Result<String, TrustedFileError> {
    let file = File::options().read(true).custom_flags_nonblock().open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(TrustedFileError::NotRegular);
    }
    let owner = metadata.uid();
    if owner != 0 && owner != geteuid().as_raw() {
        return Err(TrustedFileError::Owner { owner });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & forbidden != 0 {
        return Err(TrustedFileError::Mode { mode, who, fix });
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(TrustedFileError::TooLarge { limit });
    }
    String::from_utf8(bytes).map_err(|_| TrustedFileError::NotText)
}

/// A named pipe in the place of the file must not block its reader.
trait NonBlocking {
    fn custom_flags_nonblock(&mut self) -> &mut Self;
}

impl NonBlocking for std::fs::OpenOptions {
    fn custom_flags_nonblock(&mut self) -> &mut Self {
        use std::os::unix::fs::OpenOptionsExt;
        self.custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn file(mode: u32, text: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    /// A secret is in a file of its own that belongs to root and has mode 0600; looser modes are an error.
    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        for mode in [0o644, 0o640, 0o604, 0o666] {
            let (_dir, path) = file(mode, b"secret");
            let error = read_secret(&path).unwrap_err().to_string();
            assert!(error.contains("chmod 0600") && !error.contains("secret\""), "{error}");
        }
        for mode in [0o600, 0o400] {
            let (_dir, path) = file(mode, b"word with spaces \nrest");
            assert_eq!(read_secret(&path).unwrap().as_str(), "word with spaces ");
        }
    }

    /// Only root may be able to replace a program that root runs.
    #[test]
    fn a_program_that_others_can_exchange_is_refused() {
        let me = geteuid().as_raw();
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let mode = |name: &str, mode: u32| {
            std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for name in ["above", "above/sbin", "beside"] {
            std::fs::create_dir(path(name)).unwrap();
            mode(name, 0o755);
        }
        std::fs::write(path("above/sbin/oob"), "").unwrap();
        mode("above/sbin/oob", 0o755);
        std::os::unix::fs::symlink("../above/sbin/oob", path("beside/link")).unwrap();
        let refused = |name: &str| check_way(&path(name), me).map_err(|error| (error.path.clone(), error.to_string()));
        let both = ["above/sbin/oob", "beside/link"];
        for (at, bad, good) in [
            ("above/sbin/oob", [0o775, 0o757], 0o755),
            ("above/sbin", [0o775, 0o2775], 0o1777),
            ("above", [0o777, 0o770], 0o700),
        ] {
            for wrong in bad {
                mode(at, wrong);
                for name in both {
                    let (found, error) = refused(name).unwrap_err();
                    assert!(found == path(at) && error.contains("others may write it: chmod go-w"), "{name}: {error}");
                }
            }
            mode(at, good);
            both.iter().for_each(|name| refused(name).unwrap());
        }
        // A link is only as safe as its directory.
        mode("beside", 0o777);
        assert_eq!(refused("beside/link").unwrap_err().0, path("beside"));
        refused("above/sbin/oob").unwrap();
        mode("beside", 0o1777);
        refused("beside/link").unwrap();
        // The owner of a file can change its mode.
        for (at, name) in [("above/sbin/oob", both[0]), ("beside/link", both[1]), ("above/sbin", both[0])] {
            if std::os::unix::fs::lchown(path(at), Some(65534), None).is_err() {
                println!("skipped: only root can give a file away");
                return;
            }
            let (found, error) = refused(name).unwrap_err();
            assert!(found == path(at) && error.contains("it belongs to user 65534 and must be root's"), "{error}");
            std::os::unix::fs::lchown(path(at), Some(me), None).unwrap();
        }
        std::os::unix::fs::symlink("round", path("round")).unwrap();
        for unknown in ["round", "above/nothing", "above/sbin"] {
            refused(unknown).unwrap_err();
        }
    }

    #[test]
    fn empty_huge_binary_and_missing_secrets_are_errors() {
        for text in [&b""[..], b"\nx", &[b'x'; 5000], b"\xff\xfe"] {
            let (_dir, path) = file(0o600, text);
            assert!(read_secret(&path).is_err());
        }
        assert!(read_secret(Path::new("/nonexistent")).is_err());
        assert!(read_secret(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn a_named_pipe_does_not_hang() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(matches!(read_secret(&path).unwrap_err().error, TrustedFileError::NotRegular));
    }
}
