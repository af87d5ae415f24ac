//! A host's disk: the upper layer of an overlay over the machine's own root, or over a tree of another system.
//!
//! The upper layers are on a tmpfs of the lab and stay when the host loses its power. A host has the programs that are
//! installed on the machine, but none of the machine's own state or configuration.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, mknod};

use crate::command::tool;
use crate::error::{Error, Result};
use crate::kept::copy_files;
use crate::network;
use crate::owners::Owners;
use crate::remote::{PROGRAM, Parts};
use crate::state::{Dir, Spec, make_dir, write};

/// Mounts the tmpfs for all disks of a lab and makes the directories of the hosts.
pub(crate) fn create(dir: &Dir, hosts: u8) -> Result<()> {
    let disks = dir.disks();
    make_dir(&disks, 0o700)?;
    let options = Some("mode=0755,size=50%");
    mount(Some("gnt-ha-lab"), &disks, Some("tmpfs"), MsFlags::empty(), options)
        .map_err(Error::system("mount the disks' tmpfs"))?;
    for i in 1..=hosts {
        make_dir(&dir.disk(&format!("n{i}")).join("upper"), 0o755)?;
        make_dir(&dir.disk(&format!("n{i}")).join("root"), 0o755)?;
    }
    Ok(())
}

/// Unmounts the disks of a lab. Tries for two seconds: a host that has just lost its power can still hold the mount.
pub(crate) fn unmount(dir: &Dir) -> Result<()> {
    let disks = dir.disks();
    for _ in 0..50 {
        if !mounted(&disks) {
            return Ok(());
        }
        if umount2(&disks, MntFlags::empty()).is_err() {
            thread::sleep(Duration::from_millis(40));
        }
    }
    umount2(&disks, MntFlags::MNT_DETACH).map_err(Error::system(format!("unmount {}", disks.display())))
}

fn mounted(path: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    table.lines().any(|line| line.split(' ').nth(1).is_some_and(|p| Path::new(p) == path))
}

/// Makes a new work directory of a host: an overlay needs one that no earlier mount has used.
pub(crate) fn fresh_work(dir: &Dir, host: &str) -> Result<()> {
    let work = dir.disk(host).join("work");
    if work.exists() {
        fs::remove_dir_all(&work).map_err(Error::file("remove", &work))?;
    }
    make_dir(&work, 0o700)
}

/// The two layers of a host's overlay: the lower one is shared, the upper one is the host's own.
#[derive(Debug, Clone, Copy)]
struct Layers<'a> {
    lower: &'a Path,
    upper: &'a Path,
}

/// Directories with state and configuration of the daemons that a host runs: a host sees only the files of [`PACKAGES`]
/// in them.
const EMPTIED: [&str; 9] = [
    "etc/corosync",
    "etc/ganeti",
    "root/.ssh",
    "var/lib/corosync",
    "var/lib/ganeti",
    "var/lib/pacemaker",
    "var/log/corosync",
    "var/log/ganeti",
    "var/log/pacemaker",
];

/// Paths of the lower layer that no host sees.
const HIDDEN: [&str; 6] =
    ["etc/gnt-ha", "etc/gnt-ha-lab.json", "etc/rc.local", "etc/rc.network", "var/lib/gnt-ha", "var/log/gnt-ha"];

/// The packages whose files are the same on each host, by the start of their names.
const PACKAGES: [&str; 3] = ["corosync", "ganeti", "pacemaker"];

impl Layers<'_> {
    /// Makes a directory of the upper layer, with the modes and owners of the lower one: the host sees those of the upper.
    fn dir(&self, path: &Path) -> Result<()> {
        let mut dir = PathBuf::new();
        for part in path.components() {
            dir.push(part);
            let own = self.upper.join(&dir);
            if own.is_dir() {
                continue;
            }
            fs::create_dir(&own).map_err(Error::file("create directory", &own))?;
            if let Ok(lower) = fs::metadata(self.lower.join(&dir)) {
                chown(&own, Some(lower.uid()), Some(lower.gid())).map_err(Error::file("chown", &own))?;
                fs::set_permissions(&own, lower.permissions()).map_err(Error::file("chmod", &own))?;
            }
        }
        Ok(())
    }

    /// Writes a file to the disk of a host that does not run.
    fn seed(&self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        let path = Path::new(path.trim_start_matches('/'));
        self.dir(path.parent().unwrap_or(Path::new("")))?;
        let file = self.upper.join(path);
        if fs::symlink_metadata(&file).is_ok_and(|found| found.file_type().is_char_device()) {
            fs::remove_file(&file).map_err(Error::file("remove", &file))?;
        }
        write(&file, bytes, mode)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).map_err(Error::file("chmod", &file))
    }

    /// Hides a path of the lower layer from the host, with a whiteout of the overlay. A file in the upper layer stays.
    fn white_out(&self, path: &Path) -> Result<()> {
        self.dir(path.parent().unwrap_or(Path::new("")))?;
        let file = self.upper.join(path);
        if fs::symlink_metadata(&file).is_ok() {
            return Ok(());
        }
        mknod(&file, SFlag::S_IFCHR, Mode::empty(), 0).map_err(Error::system(format!("hide {}", path.display())))
    }

    /// Hides the machine's own state from the host.
    fn forget(&self) -> Result<()> {
        let packaged = self.packaged()?;
        for path in HIDDEN.map(Path::new) {
            if fs::symlink_metadata(self.lower.join(path)).is_ok() {
                self.white_out(path)?;
            }
        }
        EMPTIED.iter().try_for_each(|path| self.empty(Path::new(path), &packaged))
    }

    fn empty(&self, dir: &Path, packaged: &BTreeSet<PathBuf>) -> Result<()> {
        let lower = self.lower.join(dir);
        let entries = match fs::read_dir(&lower) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => other.map_err(Error::file("read directory", &lower))?,
        };
        for entry in entries {
            let entry = entry.map_err(Error::file("read directory", &lower))?;
            let (path, kind) = (dir.join(entry.file_name()), entry.file_type());
            let kind = kind.map_err(Error::file("read the type of", &lower.join(entry.file_name())))?;
            // The packages' scripts make these links, so that no list of dpkg has them.
            let is_link =
                kind.is_symlink() && fs::read_link(self.lower.join(&path)).is_ok_and(|to| to.starts_with("/usr"));
            match packaged.contains(&path) {
                true if kind.is_dir() => self.empty(&path, packaged)?,
                true => {}
                false if is_link => {}
                false => self.white_out(&path)?,
            }
        }
        Ok(())
    }

    /// Reads the files and directories of [`PACKAGES`] from dpkg's lists.
    fn packaged(&self) -> Result<BTreeSet<PathBuf>> {
        let lists = self.lower.join("var/lib/dpkg/info");
        let mut all = BTreeSet::new();
        for entry in fs::read_dir(&lists).map_err(Error::file("read directory", &lists))? {
            let path = entry.map_err(Error::file("read directory", &lists))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !name.ends_with(".list") || !PACKAGES.iter().any(|package| name.starts_with(package)) {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
            all.extend(text.lines().map(|line| PathBuf::from(line.trim_start_matches('/'))));
        }
        Ok(all)
    }
}

/// The key by which a cluster member and a remote node authenticate each other.
const AUTHKEY: &str = "/etc/pacemaker/authkey";

/// Moves the disk of a host without power to another root. The host keeps the files that it has written, with owners of the
/// same names. The state of the new root is hidden as that of the old root was.
pub(crate) fn move_to(dir: &Dir, host: &str, from: &Path, to: &Path) -> Result<()> {
    let upper = dir.disk(host).join("upper");
    Owners::between(from, to)?.hand_over(&upper)?;
    Layers { lower: to, upper: &upper }.forget()
}

const HOST_KEYS: [&str; 2] = ["rsa", "ed25519"];

/// Makes one set of ssh keys for the whole lab: Ganeti has the keys of all hosts under the cluster's name. A kept cluster
/// brings its own keys.
pub(crate) fn make_keys(dir: &Dir, kept: Option<&Path>) -> Result<()> {
    let keys = dir.keys();
    make_dir(&keys, 0o700)?;
    if let Some(kept) = kept {
        return copy_files(kept, &keys);
    }
    let make = |kind: &str, file: &str| {
        let path = keys.join(file);
        let path = path.to_string_lossy();
        let bits = if kind == "rsa" { "2048" } else { "256" };
        let words = ["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-C", "lab", "-f", &path];
        tool("make ssh keys", &words, "").map(drop)
    };
    make("ed25519", "id_ed25519")?;
    HOST_KEYS.iter().try_for_each(|kind| make(kind, &format!("ssh_host_{kind}_key")))
}

/// Writes a host's own files before its first boot: names, keys and the configuration of corosync.
pub(crate) fn furnish(dir: &Dir, spec: &Spec, index: u8, corosync: &str) -> Result<()> {
    let upper = dir.disk(&format!("n{index}")).join("upper");
    let layers = Layers { lower: spec.root(index), upper: &upper };
    layers.forget()?;
    let key = |name: &str| {
        let path = dir.keys().join(name);
        fs::read(&path).map_err(Error::file("read", &path))
    };
    layers.seed("/etc/hostname", format!("{}\n", spec.uname(index)).as_bytes(), 0o644)?;
    layers.seed("/etc/hosts", network::hosts_file(spec.hosts).as_bytes(), 0o644)?;
    layers.seed("/etc/resolv.conf", b"# A lab has no name server: all names are in /etc/hosts.\n", 0o644)?;
    layers.seed("/etc/corosync/corosync.conf", corosync.as_bytes(), 0o644)?;
    layers.seed("/root/.ssh/id_ed25519", &key("id_ed25519")?, 0o600)?;
    layers.seed("/root/.ssh/id_ed25519.pub", &key("id_ed25519.pub")?, 0o644)?;
    layers.seed("/root/.ssh/authorized_keys", &key("id_ed25519.pub")?, 0o600)?;
    layers.seed("/root/.ssh/config", b"StrictHostKeyChecking accept-new\n", 0o600)?;
    for kind in HOST_KEYS {
        let name = format!("ssh_host_{kind}_key");
        layers.seed(&format!("/etc/ssh/{name}"), &key(&name)?, 0o600)?;
        layers.seed(&format!("/etc/ssh/{name}.pub"), &key(&format!("{name}.pub"))?, 0o644)?;
    }
    Ok(())
}

/// Writes what the hosts of a lab with remote nodes need in addition: the key, and pacemaker-remoted.
pub(crate) fn furnish_remote(dir: &Dir, spec: &Spec, index: u8, parts: &Parts) -> Result<()> {
    let upper = dir.disk(&format!("n{index}")).join("upper");
    let layers = Layers { lower: spec.root(index), upper: &upper };
    layers.seed(AUTHKEY, &parts.key, 0o640)?;
    // Pacemaker's controller reads it as a member of this group.
    let group = group_of(spec.root(index), "haclient")?;
    let key = upper.join(AUTHKEY.trim_start_matches('/'));
    chown(&key, Some(0), Some(group)).map_err(Error::file("chown", &key))?;
    if spec.is_remote(index)
        && let Some(program) = parts.program(spec.root(index))
    {
        let bytes = fs::read(program).map_err(Error::file("read", program))?;
        layers.seed(&format!("/{PROGRAM}"), &bytes, 0o755)?;
    }
    Ok(())
}

/// Returns the number of a group in a root (group(5)).
fn group_of(root: &Path, name: &str) -> Result<u32> {
    let table = root.join("etc/group");
    let text = fs::read_to_string(&table).map_err(Error::file("read", &table))?;
    let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines
        .find(|fields| fields.first() == Some(&name))
        .and_then(|fields| fields.get(2)?.parse().ok())
        .ok_or_else(|| Error::Answer { what: table.display().to_string(), detail: format!("no group {name}") })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]

    use nix::unistd::geteuid;

    use super::*;

    /// Returns the whiteouts of a disk, sorted.
    fn hidden(upper: &Path, dir: &Path) -> Vec<PathBuf> {
        let mut all = Vec::new();
        for entry in fs::read_dir(upper.join(dir)).unwrap().map(|entry| entry.unwrap()) {
            let (path, found) = (dir.join(entry.file_name()), entry.metadata().unwrap());
            if found.is_dir() {
                all.extend(hidden(upper, &path));
            } else if found.file_type().is_char_device() && found.rdev() == 0 {
                all.push(path);
            }
        }
        all.sort();
        all
    }

    /// No host sees the machine's state: a receipt of a trial by hand would pass for one of the host's own.
    #[test]
    fn a_host_has_what_is_installed_and_nothing_of_the_machines_state() {
        let scene = std::env::temp_dir().join(format!("lab-disk-{}", std::process::id()));
        let (lower, upper) = (scene.join("lower"), scene.join("upper"));
        let put = |path: &str, text: &str| {
            let path = lower.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let lists = "/var/lib/pacemaker\n/var/lib/pacemaker/cib\n/etc/ganeti\n/etc/ganeti/kvm-ifup-os\n";
        put("var/lib/dpkg/info/pacemaker.list", lists);
        // The installed programs of gnt-ha are not state of the machine, but their configuration is.
        put("var/lib/dpkg/info/gnt-ha.list", "/etc/ganeti/hooks\n/etc/ganeti/hooks/watcher\n");
        put("etc/ganeti/kvm-ifup-os", "");
        std::os::unix::fs::symlink("/usr/lib/ganeti/3.0", lower.join("etc/ganeti/lib")).unwrap();
        put("usr/sbin/gnt-ha", "");
        let planted = [
            "etc/ganeti/hooks/watcher/gnt-ha",
            "etc/gnt-ha/config.toml",
            "etc/rc.local",
            "root/.ssh/known_hosts",
            "var/lib/ganeti/config.data",
            "var/lib/gnt-ha/receipts.jsonl",
            "var/lib/pacemaker/cib/cib.xml",
            "var/log/pacemaker/pacemaker.log",
        ];
        planted.iter().for_each(|path| put(path, "the machine's"));
        fs::create_dir_all(&upper).unwrap();

        let layers = Layers { lower: &lower, upper: &upper };
        layers.forget().unwrap();
        let expected = [
            "etc/ganeti/hooks",
            "etc/gnt-ha",
            "etc/rc.local",
            "root/.ssh/known_hosts",
            "var/lib/ganeti/config.data",
            "var/lib/gnt-ha",
            "var/lib/pacemaker/cib/cib.xml",
            "var/log/pacemaker/pacemaker.log",
        ];
        assert_eq!(hidden(&upper, Path::new("")), expected.map(PathBuf::from));
        // A file of the host's own replaces the whiteout.
        layers.seed("/root/.ssh/known_hosts", b"its own", 0o600).unwrap();
        assert_eq!(fs::read(upper.join("root/.ssh/known_hosts")).unwrap(), b"its own");
        fs::remove_dir_all(&scene).unwrap();
    }

    /// The host's own files belong to the users of the same names in the new root, and the state of the new root is hidden.
    #[test]
    fn a_disk_is_moved_to_another_root() {
        let scene = std::env::temp_dir().join(format!("lab-move-{}", std::process::id()));
        let (from, to, upper) = (scene.join("from"), scene.join("to"), scene.join("upper"));
        let put = |root: &Path, path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        // Only root can change the owner of a file; the test's user has a different number in the new root.
        let own = geteuid().as_raw();
        let other = if own == 0 { 4321 } else { own };
        for (root, number) in [(&from, own), (&to, other)] {
            put(root, "etc/passwd", &format!("hacluster:x:{number}:0::/:/bin/false\n"));
            put(root, "etc/group", "haclient:x:0:\n");
            put(root, "var/lib/dpkg/info/pacemaker.list", "/var/lib/pacemaker\n/var/lib/pacemaker/cib\n");
            put(root, "var/lib/pacemaker/cib/cib.xml", "the root's");
        }
        put(&to, "var/lib/pacemaker/cib/made-by-its-package", "the root's");
        put(&upper, "var/lib/pacemaker/cib/cib.xml", "its own");
        fs::set_permissions(upper.join("var/lib/pacemaker/cib/cib.xml"), fs::Permissions::from_mode(0o640)).unwrap();

        Owners::between(&from, &to).unwrap().hand_over(&upper).unwrap();
        Layers { lower: &to, upper: &upper }.forget().unwrap();
        assert_eq!(hidden(&upper, Path::new("")), [Path::new("var/lib/pacemaker/cib/made-by-its-package")]);
        let kept = upper.join("var/lib/pacemaker/cib/cib.xml");
        assert_eq!(fs::read(&kept).unwrap(), b"its own");
        let found = fs::metadata(&kept).unwrap();
        assert_eq!((found.uid(), found.permissions().mode() & 0o7777), (other, 0o640));
        fs::remove_dir_all(&scene).unwrap();
    }
}
