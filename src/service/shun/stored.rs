//! What this host remembers of who is refused: on its disk, and what that did not take.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::error::ShunError;
use crate::core::node::NodeName;
use crate::core::shun::list::ShunList;
use crate::sys::nft::shun_table::ShunnedAddresses;
use crate::sys::state_file;
use crate::sys::store::{Store, until_boot};

/// The register's name in the state folder.
pub(super) const FILE: &str = "shun-list.json";

/// Where the register is.
#[must_use]
pub fn file(state: &Path) -> PathBuf {
    state.join(FILE)
}

/// Whether this host remembers anything of who is refused, be it until its next boot only.
#[must_use]
pub fn remembers(state: &Path) -> bool {
    Store::new(state).has(FILE)
}

/// What this host remembers.
///
/// # Errors
/// [`ShunError::Register`]: a damaged register is never an empty one.
pub fn register(state: &Path) -> Result<ShunList, ShunError> {
    let (disk, memory) = (file(state), until_boot(state).join(FILE));
    let damaged = |path: &Path, other: &Path, error| ShunError::Register {
        path: path.to_owned(),
        beside: other.exists().then(|| other.to_owned()),
        error,
    };
    let on_disk: Option<ShunList> = state_file::read(&disk).map_err(|error| damaged(&disk, &memory, error))?;
    let mut register = on_disk.unwrap_or_default();
    // Epochs only grow: what the disk did not take adds to what it has.
    let newer: Option<ShunList> =
        Store::new(state).read_until_boot(FILE).map_err(|error| damaged(&memory, &disk, error))?;
    if let Some(newer) = newer {
        register.merge(&newer);
    }
    Ok(register)
}

/// The addresses of the nodes that are shunned. Of a register that cannot be read none, as for a host that shuns nobody.
#[must_use]
pub(super) fn shunned_addresses(state: &Path) -> BTreeSet<IpAddr> {
    wanted(&register(state).unwrap_or_default(), |_, _| true).into_keys().collect()
}

/// What the kernel has to refuse, of the addresses that `is_refused` leaves; of one that two nodes have, the wider refusal.
pub(super) fn wanted(register: &ShunList, is_refused: impl Fn(&NodeName, IpAddr) -> bool) -> ShunnedAddresses {
    let mut wanted = ShunnedAddresses::new();
    for (node, entry) in register.shunned() {
        for address in entry.addresses.iter().filter(|address| is_refused(node, **address)) {
            let reach = wanted.entry(*address).or_insert(entry.reach);
            *reach = (*reach).max(entry.reach);
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who removes one of two files that hold a list leaves the other one in force.
    #[test]
    fn a_damaged_list_names_both_files_that_hold_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let memory = until_boot(&state).join(FILE);
        std::fs::create_dir_all(memory.parent().unwrap()).unwrap();
        std::fs::create_dir(&state).unwrap();
        std::fs::write(file(&state), "{}").unwrap();
        std::fs::write(&memory, "{").unwrap();
        let said = |damaged: &Path, other: &Path| {
            let said = register(&state).unwrap_err().to_string();
            assert!(said.starts_with(&format!("cannot use {}: ", damaged.display())), "{said}");
            assert!(said.contains(&format!("remove it and {} once", other.display())), "{said}");
        };
        said(&memory, &file(&state));
        std::fs::write(file(&state), "{").unwrap();
        said(&file(&state), &memory);
        std::fs::remove_file(&memory).unwrap();
        let alone = register(&state).unwrap_err().to_string();
        assert!(alone.contains("remove it once you know"), "{alone}");
    }
}
