//! Reads this host's shun list: from its disk, and from memory what the disk did not take.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::error::ShunError;
use crate::core::node::NodeName;
use crate::core::shun::list::ShunList;
use crate::sys::nft::shun_table::ShunnedAddresses;
use crate::sys::state_file;
use crate::sys::store::{Store, until_boot};

/// The name of the shun list in the state directory.
pub(super) const FILE: &str = "shun-list.json";

/// Returns the path of the shun list.
#[must_use]
pub fn file(state: &Path) -> PathBuf {
    state.join(FILE)
}

/// Returns whether this host has a shun list, even if only until its next boot.
#[must_use]
pub fn remembers(state: &Path) -> bool {
    Store::new(state).has(FILE)
}

/// Reads this host's shun list.
///
/// # Errors
/// [`ShunError::ShunList`] if a file is damaged or cannot be read: a damaged list is never an empty one.
pub fn shun_list(state: &Path) -> Result<ShunList, ShunError> {
    let (disk, memory) = (file(state), until_boot(state).join(FILE));
    let damaged = |path: &Path, other: &Path, error| ShunError::ShunList {
        path: path.to_owned(),
        beside: other.exists().then(|| other.to_owned()),
        error,
    };
    let on_disk: Option<ShunList> = state_file::read(&disk).map_err(|error| damaged(&disk, &memory, error))?;
    let mut shun_list = on_disk.unwrap_or_default();
    // Epochs only grow, so the entries that the disk did not take are merged with those that it has.
    let newer: Option<ShunList> =
        Store::new(state).read_until_boot(FILE).map_err(|error| damaged(&memory, &disk, error))?;
    if let Some(newer) = newer {
        shun_list.merge(&newer);
    }
    Ok(shun_list)
}

/// Returns the addresses of the shunned nodes. A list that cannot be read has none, as on a host that shuns no node.
#[must_use]
pub(super) fn shunned_addresses(state: &Path) -> BTreeSet<IpAddr> {
    addresses_to_shun(&shun_list(state).unwrap_or_default(), |_, _| true).into_keys().collect()
}

/// Returns what the kernel has to shun, of the addresses that `is_shunned` leaves. For an address of two nodes the
/// wider scope counts.
pub(super) fn addresses_to_shun(
    shun_list: &ShunList,
    is_shunned: impl Fn(&NodeName, IpAddr) -> bool,
) -> ShunnedAddresses {
    let mut wanted = ShunnedAddresses::new();
    for (node, entry) in shun_list.shunned() {
        for address in entry.addresses.iter().filter(|address| is_shunned(node, **address)) {
            let scope = wanted.entry(*address).or_insert(entry.scope);
            *scope = (*scope).max(entry.scope);
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If one of two files that hold the list is removed, the other one still counts.
    #[test]
    fn a_damaged_list_names_both_files_that_hold_it() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let memory = until_boot(&state).join(FILE);
        std::fs::create_dir_all(memory.parent().unwrap()).unwrap();
        std::fs::create_dir(&state).unwrap();
        std::fs::write(file(&state), "{}").unwrap();
        std::fs::write(&memory, "{").unwrap();
        let check = |damaged: &Path, other: &Path| {
            let error = shun_list(&state).unwrap_err().to_string();
            assert!(error.starts_with(&format!("cannot use {}: ", damaged.display())), "{error}");
            assert!(error.contains(&format!("remove it and {} once", other.display())), "{error}");
        };
        check(&memory, &file(&state));
        std::fs::write(file(&state), "{").unwrap();
        check(&file(&state), &memory);
        std::fs::remove_file(&memory).unwrap();
        let alone = shun_list(&state).unwrap_err().to_string();
        assert!(alone.contains("remove it once no node"), "{alone}");
    }
}
