//! A host's disk: the upper layer of an overlay over the machine's own root.
//!
//! The layers lie on a tmpfs of the lab; they stay when the host's power goes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::command::tool;
use crate::error::{Error, Result};
use crate::network;
use crate::state::{Folder, make_folder, write};

/// The tmpfs for all disks of a lab.
pub(crate) fn create(folder: &Folder, hosts: u8) -> Result<()> {
    let disks = folder.disks();
    make_folder(&disks, 0o700)?;
    let options = Some("mode=0755,size=50%");
    mount(Some("gnt-ha-lab"), &disks, Some("tmpfs"), MsFlags::empty(), options)
        .map_err(Error::system("mount the disks' tmpfs"))?;
    for i in 1..=hosts {
        make_folder(&folder.disk(&format!("n{i}")).join("upper"), 0o755)?;
        make_folder(&folder.disk(&format!("n{i}")).join("root"), 0o755)?;
    }
    Ok(())
}

/// A host that has just died may still hold the mount for a moment.
pub(crate) fn unmount(folder: &Folder) -> Result<()> {
    let disks = folder.disks();
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

/// An overlay wants a work folder that no earlier mount has used.
pub(crate) fn fresh_work(folder: &Folder, host: &str) -> Result<()> {
    let work = folder.disk(host).join("work");
    if work.exists() {
        fs::remove_dir_all(&work).map_err(Error::file("remove", &work))?;
    }
    make_folder(&work, 0o700)
}

/// Puts a file on a disk whose host does not run. Folders get the mode and the owner of the
/// machine's own, since those of the upper layer are what the host sees.
fn seed(upper: &Path, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
    let path = Path::new(path.trim_start_matches('/'));
    let mut folder = PathBuf::new();
    for part in path.parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        let own = upper.join(&folder);
        if own.exists() {
            continue;
        }
        fs::create_dir(&own).map_err(Error::file("create folder", &own))?;
        if let Ok(lower) = fs::metadata(Path::new("/").join(&folder)) {
            chown(&own, Some(lower.uid()), Some(lower.gid())).map_err(Error::file("chown", &own))?;
            fs::set_permissions(&own, lower.permissions()).map_err(Error::file("chmod", &own))?;
        }
    }
    let file = upper.join(path);
    write(&file, bytes, mode)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).map_err(Error::file("chmod", &file))
}

const HOST_KEYS: [&str; 2] = ["rsa", "ed25519"];

/// One set of keys for the whole lab: Ganeti knows all hosts' keys under the cluster's name.
pub(crate) fn make_keys(folder: &Folder) -> Result<()> {
    let keys = folder.keys();
    make_folder(&keys, 0o700)?;
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

/// What a host's disk differs in from the machine's before its first boot.
pub(crate) fn furnish(folder: &Folder, hosts: u8, index: u8, corosync: &str) -> Result<()> {
    let upper = folder.disk(&format!("n{index}")).join("upper");
    let key = |name: &str| {
        let path = folder.keys().join(name);
        fs::read(&path).map_err(Error::file("read", &path))
    };
    seed(&upper, "/etc/hostname", format!("n{index}.lab\n").as_bytes(), 0o644)?;
    seed(&upper, "/etc/hosts", network::hosts_file(hosts).as_bytes(), 0o644)?;
    seed(&upper, "/etc/resolv.conf", b"# A lab has no name server: all names are in /etc/hosts.\n", 0o644)?;
    seed(&upper, "/etc/corosync/corosync.conf", corosync.as_bytes(), 0o644)?;
    seed(&upper, "/root/.ssh/id_ed25519", &key("id_ed25519")?, 0o600)?;
    seed(&upper, "/root/.ssh/id_ed25519.pub", &key("id_ed25519.pub")?, 0o644)?;
    seed(&upper, "/root/.ssh/authorized_keys", &key("id_ed25519.pub")?, 0o600)?;
    seed(&upper, "/root/.ssh/config", b"StrictHostKeyChecking accept-new\n", 0o600)?;
    for kind in HOST_KEYS {
        let name = format!("ssh_host_{kind}_key");
        seed(&upper, &format!("/etc/ssh/{name}"), &key(&name)?, 0o600)?;
        seed(&upper, &format!("/etc/ssh/{name}.pub"), &key(&format!("{name}.pub"))?, 0o644)?;
    }
    Ok(())
}
