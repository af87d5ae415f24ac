//! Keeps the disks of a new Ganeti cluster, so that a later lab of the same kind starts with them.
//!
//! Names and addresses are the same in all labs, so the files of a cluster fit each of them. The name of its directory has
//! a hash of everything that the files depend on: the number of hosts and of remote nodes, the lab's sources, the versions
//! of Ganeti's packages, and the numbers of its users, which own the files and differ between roots.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::tool;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::lab::Lab;
use crate::state::{Spec, make_dir};
use crate::system::beside;

/// The sources that determine the files of a cluster.
const SOURCES: [&str; 4] =
    [include_str!("ganeti.rs"), include_str!("disk.rs"), include_str!("kept.rs"), include_str!("network.rs")];

/// The directory of kept clusters if the program is not in a directory `target`.
const ELSEWHERE: &str = "/var/cache/gnt-ha-lab";

/// The directories to which Ganeti's programs write the state of a cluster.
const PARTS: [&str; 2] = ["var/lib/ganeti", "etc/ganeti"];

/// Files of which each master candidate has a copy; a cluster is complete when all copies are equal.
const COPIES: [&str; 2] = ["var/lib/ganeti/config.data", "var/lib/ganeti/ssconf_node_list"];

/// The directory of a kept cluster, which need not exist yet.
#[derive(Debug, Clone)]
pub(crate) struct Kept(PathBuf);

impl Kept {
    /// Returns the directory for clusters with the hosts of `spec`; `program` is the path of the program `lab`.
    pub(crate) fn of(program: &Path, spec: &Spec) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        SOURCES.hash(&mut hasher);
        if spec.remotes > 0 {
            spec.remotes.hash(&mut hasher);
        }
        for index in 1..=spec.hosts {
            let packages = format!("--admindir={}", spec.root(index).join("var/lib/dpkg").display());
            let words = ["dpkg-query", &packages, "--show", "--showformat", "${Package} ${Version}\n", "ganeti*"];
            tool("ask for Ganeti's version", &words, "")?.stdout.hash(&mut hasher);
            users(spec.root(index))?.hash(&mut hasher);
        }
        let base = beside(program, "lab-disks", ELSEWHERE)?;
        Ok(Self(base.join(format!("ganeti-{}-{:016x}", spec.hosts, hasher.finish()))))
    }

    pub(crate) fn is_there(&self) -> bool {
        self.0.is_dir()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the directory with the ssh keys of the hosts.
    pub(crate) fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    fn disk(dir: &Path, host: &Host) -> PathBuf {
        dir.join(format!("{}.tar", host.name))
    }

    /// Copies a host's part of the cluster to its disk. To be called before Ganeti starts on the host.
    pub(crate) fn put(&self, host: &Host) -> Result<()> {
        tar("put Ganeti's files", "--extract", &Self::disk(&self.0, host), host, &["--preserve-permissions"])
    }

    /// Keeps the cluster of a lab, completely or not at all, once each candidate has the same configuration.
    pub(crate) fn keep(&self, lab: &Lab, hosts: &[Host]) -> Result<()> {
        lab.wait_until("the same configuration on all hosts", Duration::from_secs(20), || {
            Ok(COPIES.iter().all(|path| {
                let candidates = hosts.iter().take(usize::from(lab.spec.members()));
                let copies: BTreeSet<Option<Vec<u8>>> =
                    candidates.map(|host| fs::read(host.root()?.join(path)).ok()).collect();
                copies.len() == 1 && !copies.contains(&None)
            }))
        })?;
        let new = self.0.with_extension(format!("new{}", std::process::id()));
        let made = self.fill(&new, lab, hosts).and_then(|()| match fs::rename(&new, &self.0) {
            // A lab that ran at the same time has kept its cluster first.
            Err(_) if self.is_there() => Ok(()),
            other => other.map_err(Error::file("rename", &new)),
        });
        let _ = fs::remove_dir_all(&new);
        made
    }

    fn fill(&self, new: &Path, lab: &Lab, hosts: &[Host]) -> Result<()> {
        make_dir(&new.join("keys"), 0o700)?;
        copy_files(&lab.dir.keys(), &new.join("keys"))?;
        hosts.iter().try_for_each(|host| tar("keep Ganeti's files", "--create", &Self::disk(new, host), host, &PARTS))
    }
}

/// Returns Ganeti's users and groups, with their names and numbers.
fn users(root: &Path) -> Result<Vec<String>> {
    let mut users = Vec::new();
    for table in ["etc/passwd", "etc/group"].map(|table| root.join(table)) {
        let text = fs::read_to_string(&table).map_err(Error::file("read", &table))?;
        let fields = text.lines().filter(|line| line.starts_with("gnt-")).map(|line| line.split(':').take(4));
        users.extend(fields.map(|fields| fields.collect::<Vec<_>>().join(":")));
    }
    users.sort_unstable();
    Ok(users)
}

fn tar(what: &str, verb: &str, file: &Path, host: &Host, more: &[&str]) -> Result<()> {
    let root = host.root().ok_or_else(|| Error::HostOff(host.name.clone()))?;
    let (file, root) = (file.to_string_lossy(), root.to_string_lossy());
    let words = ["tar", verb, "--file", &file, "--directory", &root, "--numeric-owner"];
    tool(what, &[&words[..], more].concat(), "").map(drop)
}

/// Copies the files of a directory, with their modes.
pub(crate) fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).map_err(Error::file("read directory", from))? {
        let path = entry.map_err(Error::file("read directory", from))?.path();
        let copy = to.join(path.file_name().unwrap_or_default());
        fs::copy(&path, &copy).map_err(Error::file("copy to", &copy))?;
    }
    Ok(())
}
