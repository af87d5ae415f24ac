//! Holds the shun list of a node and the rules for merging two lists; touches nothing. Each entry has an epoch that
//! only grows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::core::grade::Grade;
use crate::core::node::NodeName;

/// The number of times that a node was shunned and readmitted: odd while it is shunned, even while it is readmitted.
///
/// It only grows, and of two epochs the greater one counts. So an order that comes late, twice or by another path
/// changes nothing: an old shunning cannot undo a later readmission, nor an old readmission a later shunning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub struct Epoch(pub u64);

/// An epoch above [`Epoch::MOST`]. No node was shunned that often: a file is damaged, or a report is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("epoch {0} is not a valid epoch: the maximum is {most}", most = Epoch::MOST)]
pub struct EpochError(pub u64);

impl TryFrom<u64> for Epoch {
    type Error = EpochError;

    fn try_from(number: u64) -> Result<Self, EpochError> {
        Self(number).checked()
    }
}

impl Epoch {
    /// The largest number that is read or written. One fencing per second reaches it after 68 years.
    pub const MOST: u64 = 1 << 32;

    /// Returns this epoch, if it can be written and read back.
    ///
    /// # Errors
    /// [`EpochError`] beyond [`Epoch::MOST`].
    pub const fn checked(self) -> Result<Self, EpochError> {
        if self.0 > Self::MOST { Err(EpochError(self.0)) } else { Ok(self) }
    }

    /// Returns the epoch two steps later: newer, and shunned or readmitted as this one.
    ///
    /// # Errors
    /// [`EpochError`] if the result is above [`Epoch::MOST`].
    pub const fn anew(self) -> Result<Self, EpochError> {
        match self.0.checked_add(2) {
            Some(number) => Self(number).checked(),
            None => Err(EpochError(self.0)),
        }
    }

    /// Returns whether the node is shunned in this epoch.
    #[must_use]
    pub const fn is_shunned(self) -> bool {
        self.0 % 2 == 1
    }

    /// Returns the epoch in which the node is shunned: this one, or the next.
    #[must_use]
    pub const fn shunned(self) -> Self {
        Self(self.0 | 1)
    }

    /// Returns the epoch in which the node is readmitted: this one, or the next.
    ///
    /// # Errors
    /// [`EpochError`] if the result is above [`Epoch::MOST`]. A sum that stayed at the largest number would shun for
    /// ever.
    pub const fn readmitted(self) -> Result<Self, EpochError> {
        match self.0.checked_add(self.0 & 1) {
            Some(number) => Self(number).checked(),
            None => Err(EpochError(self.0)),
        }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The scope in which a node is shunned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShunScope {
    /// TCP in both directions: noded, SSH, DRBD, migrations. UDP and ICMP pass, and with them corosync and Ganeti's
    /// confd (UDP 1814). It is enough for a node whose power was read as off: its next boot may return to the cluster
    /// stack.
    Tcp,
    /// All packets in both directions (the scope `all`).
    All,
}

/// Stands for the boot id where two boots were named for one epoch; it matches no boot.
pub const SEVERAL_BOOTS: &str = "several";

/// The entry of one node in the shun list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShunEntry {
    /// The epoch: whether the node is shunned or readmitted.
    pub epoch: Epoch,
    /// All addresses of the node that are shunned.
    pub addresses: BTreeSet<IpAddr>,
    /// The scope in which the node is shunned.
    pub scope: ShunScope,
    /// The grade of the proof that it has stopped, in this epoch. It has no meaning while the node is readmitted.
    pub grade: Grade,
    /// The boot that is shunned (`proc_sys_kernel(5)`, `boot_id`), where it is known.
    pub boot_id: Option<String>,
    /// When this epoch began, in milliseconds since 1970, by the wall clock of the host that began it.
    pub since_ms: u64,
    /// The origin of this epoch: an administrator with the reason, or a program with its receipt's id. At most
    /// [`TEXT_MOST`] characters are read.
    #[serde(deserialize_with = "plain_text")]
    pub by: String,
}

/// The largest number of addresses of one node in an entry.
pub const ADDRESSES_MOST: usize = 16;

/// The largest number of entries of a shun list.
pub const ENTRIES_MOST: usize = 4_096;

/// The largest number of characters that are kept of a text from another node or a file.
pub const TEXT_MOST: usize = 400;

/// The largest size of a boot id, in bytes. The kernel's id has 36, and the start of the first process follows it.
const BOOT_ID_MOST: usize = 80;

/// Returns a text from a file or another node as plain data: cut to [`TEXT_MOST`] characters, with a space for each
/// control character.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_MOST).collect()
}

fn plain_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|text| plain(&text))
}

/// Returns whether the text can be a boot id (`proc_sys_kernel(5)`, `boot_id`), with the start of the first process, or
/// a constant in its place.
#[must_use]
pub fn is_boot_id(text: &str) -> bool {
    (1..=BOOT_ID_MOST).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+'))
}

impl ShunEntry {
    /// Merges `other` into this entry. The later epoch counts. Of one epoch, all addresses are kept, and the stronger
    /// grade with its scope; of equal grades the wider scope.
    pub fn merge(&mut self, other: &Self) {
        if other.epoch > self.epoch {
            *self = other.clone();
        } else if other.epoch == self.epoch {
            self.addresses.extend(&other.addresses);
            // A proven off narrows the scope, so the scope of the stronger proof counts.
            (self.grade, self.scope) = (self.grade, self.scope).max((other.grade, other.scope));
            self.boot_id = match (self.boot_id.take(), &other.boot_id) {
                (None, theirs) => theirs.clone(),
                (own, None) => own,
                (Some(own), Some(theirs)) if own == *theirs => Some(own),
                // Two nodes remember different boots. Whichever was shunned, no statement about one of them counts.
                _ => Some(SEVERAL_BOOTS.to_owned()),
            };
            if (other.since_ms, &other.by) < (self.since_ms, &self.by) {
                (self.since_ms, self.by) = (other.since_ms, other.by.clone());
            }
        }
    }
}

/// The shun list of a node, with an entry for each node that it remembers.
///
/// A list that is read from a file or from another node is within the limits of this module; otherwise reading it
/// fails.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<NodeName, ShunEntry>")]
pub struct ShunList(pub BTreeMap<NodeName, ShunEntry>);

/// A shun list beyond the limits of this module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShunListError {
    /// The list has more than [`ENTRIES_MOST`] entries.
    #[error("{0} nodes are too many: a shun list has at most {ENTRIES_MOST}")]
    Entries(usize),
    /// An entry has more than [`ADDRESSES_MOST`] addresses.
    #[error("{node}: {count} addresses are too many: a node has at most {ADDRESSES_MOST}")]
    Addresses {
        /// The node of the entry.
        node: NodeName,
        /// The number of addresses of the entry.
        count: usize,
    },
    /// The text in the place of a boot id is not one ([`is_boot_id`]).
    #[error("{node}: {:?} is not a valid boot id", plain(text))]
    Boot {
        /// The node of the entry.
        node: NodeName,
        /// The text in the place of the boot id.
        text: String,
    },
    /// An epoch is above [`Epoch::MOST`].
    #[error("{node}: {error}")]
    Epoch {
        /// The node of the entry.
        node: NodeName,
        /// The error with the number.
        error: EpochError,
    },
}

impl TryFrom<BTreeMap<NodeName, ShunEntry>> for ShunList {
    type Error = ShunListError;

    fn try_from(entries: BTreeMap<NodeName, ShunEntry>) -> Result<Self, ShunListError> {
        let shun_list = Self(entries);
        shun_list.check()?;
        Ok(shun_list)
    }
}

impl ShunList {
    /// Checks that the list can be written and read back.
    ///
    /// # Errors
    /// [`ShunListError`] if a number of entries or addresses, a boot id or an epoch is beyond the limits of this
    /// module.
    pub fn check(&self) -> Result<(), ShunListError> {
        if self.0.len() > ENTRIES_MOST {
            return Err(ShunListError::Entries(self.0.len()));
        }
        for (node, entry) in &self.0 {
            let node = || node.clone();
            if entry.addresses.len() > ADDRESSES_MOST {
                return Err(ShunListError::Addresses { node: node(), count: entry.addresses.len() });
            }
            if let Some(text) = entry.boot_id.as_ref().filter(|text| !is_boot_id(text)) {
                return Err(ShunListError::Boot { node: node(), text: text.clone() });
            }
            entry.epoch.checked().map_err(|error| ShunListError::Epoch { node: node(), error })?;
        }
        Ok(())
    }

    /// Merges the shun list of another node into this one, entry by entry ([`ShunEntry::merge`]).
    pub fn merge(&mut self, other: &Self) {
        for (name, entry) in &other.0 {
            self.0.entry(name.clone()).and_modify(|own| own.merge(entry)).or_insert_with(|| entry.clone());
        }
    }

    /// Returns the epoch of a node; [`Epoch::default`] for a node without an entry.
    #[must_use]
    pub fn epoch(&self, node: &NodeName) -> Epoch {
        self.0.get(node).map_or_else(Epoch::default, |entry| entry.epoch)
    }

    /// Returns the entries of the nodes that are shunned.
    pub fn shunned(&self) -> impl Iterator<Item = (&NodeName, &ShunEntry)> {
        self.0.iter().filter(|(_, entry)| entry.epoch.is_shunned())
    }
}

/// Returns one line for each node that does not shun a node that it should: `before` holds the nodes to shun, and
/// `reported` what each node's kernel was read to shun, with the epoch.
///
/// A host that comes back sends the list that it remembers from before. The list after the same round (`now`) decides:
/// a node that was readmitted while the host was away is rightly shunned by no node.
pub fn not_shunned<'a>(
    before: &ShunList,
    now: &ShunList,
    reported: impl Iterator<Item = (&'a NodeName, &'a BTreeMap<NodeName, Epoch>)>,
) -> Vec<String> {
    let shunned: Vec<_> = before
        .shunned()
        .map(|(target, entry)| (target, entry.epoch))
        .filter(|(target, epoch)| now.epoch(target) == *epoch)
        .collect();
    let lacking = |(node, shuns): (&'a NodeName, &'a BTreeMap<NodeName, Epoch>)| {
        let lacks = |(target, epoch): &&(&NodeName, Epoch)| *target != node && shuns.get(*target) != Some(epoch);
        let line = |(target, epoch): &(&NodeName, Epoch)| match shuns.get(*target) {
            None => format!("{node} does not shun {target}"),
            Some(other) => format!("{node} shuns {target} in epoch {other}, not in epoch {epoch}"),
        };
        shunned.iter().filter(lacks).map(line).collect::<Vec<_>>()
    };
    reported.flat_map(lacking).collect()
}

#[cfg(test)]
mod tests;
