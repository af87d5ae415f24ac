//! Reads and writes a lab's state, under `/run/gnt-ha-lab/NAME`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{process, thread};

use nix::fcntl::{Flock, FlockArg};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

const BASE: &str = "/run/gnt-ha-lab";
const LOGS: &str = "/var/log/gnt-ha-lab";

/// The constant properties of a lab, in `lab.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) hosts: u8,
    /// The number of hosts, the last ones, that are Pacemaker remote nodes.
    #[serde(default)]
    pub(crate) remotes: u8,
    /// The time in s between a later boot and the start of its services.
    pub(crate) boot_delay: u64,
    /// Whether corosync uses both the primary and the secondary network.
    pub(crate) two_links: bool,
    /// Whether corosync and Pacemaker run; without them, Ganeti alone.
    #[serde(default = "yes")]
    pub(crate) pacemaker: bool,
    /// The time in ms without a keepalive after which a host's watchdog expires; without it there is no watchdog.
    #[serde(default)]
    pub(crate) watchdog_ms: Option<u64>,
    /// The root of each host, in order.
    #[serde(default)]
    pub(crate) roots: Vec<PathBuf>,
    /// Whether a node that is `n1.lab` in Ganeti is `n1` in Pacemaker.
    #[serde(default)]
    pub(crate) short_names: bool,
    /// Whether a third host runs qnetd, which corosync uses as quorum device.
    #[serde(default)]
    pub(crate) qnetd: bool,
    /// Whether `up` has finished.
    pub(crate) ready: bool,
}

impl Spec {
    /// Returns the number of full members, which are the first hosts.
    pub(crate) fn members(&self) -> u8 {
        self.hosts.saturating_sub(self.remotes)
    }

    /// Whether host number `index` runs `pacemaker-remoted`, not corosync and pacemakerd.
    pub(crate) fn is_remote(&self, index: u8) -> bool {
        index > self.members()
    }

    /// Returns the root of host number `index`.
    pub(crate) fn root(&self, index: u8) -> &Path {
        self.roots.get(usize::from(index).saturating_sub(1)).map_or(Path::new("/"), PathBuf::as_path)
    }

    /// Returns the name of a host in the kernel and in Pacemaker.
    pub(crate) fn uname(&self, index: u8) -> String {
        if self.short_names { format!("n{index}") } else { format!("n{index}.lab") }
    }
}

fn yes() -> bool {
    true
}

/// Checks a lab's name, which becomes part of namespace names and paths.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let fits = (1..=15).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits { Ok(()) } else { Err(Error::LabName(name.into())) }
}

/// The paths of a lab's files.
#[derive(Debug, Clone)]
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn of(name: &str) -> Result<Self> {
        check_name(name)?;
        Ok(Self(Path::new(BASE).join(name)))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn spec(&self) -> PathBuf {
        self.0.join("lab.json")
    }

    /// Returns the path of the lab's own copy of its program, which stays when the original is built again.
    pub(crate) fn program(&self) -> PathBuf {
        self.0.join("lab")
    }

    pub(crate) fn password(&self) -> PathBuf {
        self.0.join("bmc.password")
    }

    /// Returns the mount point of the tmpfs with the hosts' disks.
    pub(crate) fn disks(&self) -> PathBuf {
        self.0.join("disk")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    pub(crate) fn disk(&self, host: &str) -> PathBuf {
        self.disks().join(host)
    }

    /// Returns the directory with the state and logs of one host.
    pub(crate) fn host(&self, host: &str) -> PathBuf {
        self.0.join(host)
    }

    pub(crate) fn init(&self, host: &str) -> PathBuf {
        self.host(host).join("init.json")
    }

    pub(crate) fn supervisor(&self, host: &str) -> PathBuf {
        self.host(host).join("supervisor.json")
    }

    pub(crate) fn expiries(&self, host: &str) -> PathBuf {
        self.host(host).join("expiries.json")
    }

    pub(crate) fn cuts(&self, host: &str) -> PathBuf {
        self.host(host).join("cuts.json")
    }
}

/// Returns the directory for the logs of a lab that could not be built.
pub(crate) fn failure_logs(name: &str) -> PathBuf {
    Path::new(LOGS).join(name)
}

/// Returns the names of the labs that have a directory.
pub(crate) fn names() -> Vec<String> {
    let Ok(list) = fs::read_dir(BASE) else { return Vec::new() };
    let mut names: Vec<String> =
        list.flatten().filter(|e| e.path().is_dir()).filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Reads a JSON file; `None` if it does not exist.
pub(crate) fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| Error::Answer { what: path.display().to_string(), detail: e.to_string() }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::file("read", path)(e)),
    }
}

/// Writes a file completely or not at all: a reader never sees half a file.
pub(crate) fn save<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = serde_json::to_vec_pretty(value)
        .map_err(|e| Error::Answer { what: path.display().to_string(), detail: e.to_string() })?;
    let new = path.with_extension(format!("new{}", process::id()));
    write(&new, &text, 0o600)?;
    fs::rename(&new, path).map_err(Error::file("replace", path))
}

pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .map_err(Error::file("create", path))?;
    file.write_all(bytes).map_err(Error::file("write", path))
}

pub(crate) fn make_dir(path: &Path, mode: u32) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(Error::file("create directory", path))
}

const DIR_RACE: Duration = Duration::from_secs(1);

/// A lock that is held while a lab is built or ended, or a host's power is changed.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    _file: Flock<File>,
}

impl Lock {
    pub(crate) fn of_lab(name: &str, limit: Duration) -> Result<Self> {
        check_name(name)?;
        Self::take(&Path::new(BASE).join(format!("{name}.lock")), name, limit)
    }

    /// Takes the lock `name`, for another thing that is made once.
    pub(crate) fn of_file(path: &Path, name: &str, limit: Duration) -> Result<Self> {
        Self::take(path, name, limit)
    }

    pub(crate) fn of_host(dir: &Dir, host: &str, limit: Duration) -> Result<Self> {
        Self::take(&dir.host(host).join("power.lock"), host, limit)
    }

    fn take(path: &Path, name: &str, limit: Duration) -> Result<Self> {
        let end = Instant::now() + limit;
        loop {
            make_dir(path.parent().unwrap_or(Path::new(BASE)), 0o755)?;
            let mut options = OpenOptions::new();
            let file = match options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path) {
                // The earlier holder may have removed the directory that was just made.
                Err(e) if e.kind() == io::ErrorKind::NotFound && Instant::now() < end + DIR_RACE => continue,
                other => other.map_err(Error::file("open", path))?,
            };
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                // The earlier holder may have removed the file that was just locked.
                Ok(lock) if same(&lock, path) => {
                    let _ = lock.set_len(0);
                    let _ = (&*lock).write_all(process::id().to_string().as_bytes());
                    return Ok(Self { path: path.into(), _file: lock });
                }
                Ok(_) => {}
                Err(_) if Instant::now() < end => thread::sleep(Duration::from_millis(20)),
                Err(_) => {
                    let holder = fs::read_to_string(path).unwrap_or_default();
                    return Err(Error::Busy { name: name.into(), holder });
                }
            }
        }
    }

    /// Releases the lock and removes its file, and the directory of all labs if this was the last.
    pub(crate) fn remove(self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_dir(BASE);
    }
}

fn same(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => a.ino() == b.ino() && a.dev() == b.dev(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["a", "lab", "n1-x", "abcdefghijklmno"] {
            check_name(good).unwrap();
        }
        for bad in ["", "A", "a/b", "..", "a b", "abcdefghijklmnop", "ä"] {
            check_name(bad).unwrap_err();
        }
    }
}
