//! Changes the owners of the files of a disk that is moved to another root: each root has its own numbers for Ganeti's
//! and Pacemaker's users.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use crate::error::{Error, Result};

/// The numbers of the users and groups of one root in the other one. A name that the other root does not have keeps its
/// number.
#[derive(Debug)]
pub(crate) struct Owners {
    users: BTreeMap<u32, u32>,
    groups: BTreeMap<u32, u32>,
}

impl Owners {
    pub(crate) fn between(from: &Path, to: &Path) -> Result<Self> {
        Ok(Self { users: numbers(from, to, "etc/passwd")?, groups: numbers(from, to, "etc/group")? })
    }

    /// Changes the owners of a directory and its content to the same names on the other side. Modes stay.
    pub(crate) fn hand_over(&self, path: &Path) -> Result<()> {
        let found = fs::symlink_metadata(path).map_err(Error::file("read the owner of", path))?;
        let user = self.users.get(&found.uid()).copied().filter(|user| *user != found.uid());
        let group = self.groups.get(&found.gid()).copied().filter(|group| *group != found.gid());
        if user.is_some() || group.is_some() {
            lchown(path, user, group).map_err(Error::file("chown", path))?;
            // The kernel removes the set-id bits at a change of the owner.
            if !found.is_symlink() {
                fs::set_permissions(path, found.permissions()).map_err(Error::file("chmod", path))?;
            }
        }
        if found.is_dir() {
            for entry in fs::read_dir(path).map_err(Error::file("read directory", path))? {
                self.hand_over(&entry.map_err(Error::file("read directory", path))?.path())?;
            }
        }
        Ok(())
    }
}

/// Parses passwd or group: both have the name first and the number third.
fn numbers(from: &Path, to: &Path, table: &str) -> Result<BTreeMap<u32, u32>> {
    let there = entries(&to.join(table))?;
    let here = entries(&from.join(table))?;
    Ok(here.into_iter().filter_map(|(name, number)| Some((number, *there.get(&name)?))).collect())
}

fn entries(table: &Path) -> Result<BTreeMap<String, u32>> {
    let text = fs::read_to_string(table).map_err(Error::file("read", table))?;
    let entry = |line: &str| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
    };
    Ok(text.lines().filter_map(entry).collect())
}
