//! What is remembered of the nodes' identities and of their BMCs, and what follows for a power command. Pure.
//!
//! The memory can prevent a power command, and proves no off: a node that reports a wrong identity of itself can prevent a
//! fencing by its BMC, and no more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::host_identity::{BmcOwner, HostIdentity, Unproven, has_changed, is_same_host, owner};
use crate::core::node::NodeName;
use crate::core::shun::list::{ENTRIES_MOST, plain};

/// The most devices of one node that are kept.
const DEVICES_MOST: usize = 32;

/// The bytes of an entry's quotes, colon and comma.
const JSON_BESIDE: usize = 4;

/// The time in ms after which a date is written again, if nothing else has changed.
const DATE_MS: u64 = 24 * 3_600_000;

/// A BMC that was proven to be that of its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenBmc {
    /// The identity that the BMC reported.
    pub identity: HostIdentity,
    /// When that was compared with the node last, in ms since 1970.
    pub proven_ms: u64,
}

/// What is remembered of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownHost {
    /// What the node reported of itself last, also if it identifies no host; `None` if it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostIdentity>,
    /// Its BMCs, by the names of their devices in the configuration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bmcs: BTreeMap<String, ProvenBmc>,
}

/// What is remembered of all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BmcMemory(pub BTreeMap<NodeName, KnownHost>);

/// The reason why a BMC is not used for a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongBmc {
    /// Another node reports the identity of this BMC as its own.
    #[error(
        "the BMC is {owner}'s, not {node}'s: it reports the identity of {owner} ({theirs}), and {node} has {own}; \
         correct its address in the configuration or the cables, then on Ganeti's master, while both nodes run: \
         gnt-ha check; if {node} is certainly without power: gnt-ha confirm-off {node}"
    )]
    Another {
        /// The node that has the BMC in the configuration.
        node: NodeName,
        /// The node to which the BMC belongs.
        owner: NodeName,
        /// What the owner has reported of itself.
        theirs: HostIdentity,
        /// What the node has reported of itself, without a value if it has not.
        own: HostIdentity,
    },
    /// The BMC reports another identity than when it was proven.
    #[error(
        "the BMC reports {now}, and it reported {before} when it was proven to be {node}'s; if the board \
         was replaced, on Ganeti's master, while {node} runs: gnt-ha check; if {node} does not run and the BMC is certainly \
         its own: compare_identity = false for its device in the configuration, or on this host: rm {file}; if {node} is certainly without power: gnt-ha confirm-off {node}"
    )]
    Changed {
        /// The node that has the BMC in the configuration.
        node: NodeName,
        /// The identity that was remembered.
        before: HostIdentity,
        /// The identity that the BMC reports.
        now: HostIdentity,
        /// The path of the memory.
        file: String,
    },
}

/// What is known of a BMC before it is used for a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BmcVerdict {
    /// It is the BMC of the node.
    Proven,
    /// It may be, for all that is known.
    Unproven(Unproven),
    /// It is not: nothing that it reports counts, and no command is sent.
    Wrong(Box<WrongBmc>),
}

/// Returns whether the node reports another board than its BMC: the board was replaced, and this may be the BMC of the old one.
const fn is_other_board(why: Unproven) -> bool {
    matches!(why, Unproven::NoMatch | Unproven::SerialNumberOnly)
}

impl BmcMemory {
    /// Returns whether something is known by which a BMC of `node` can be judged.
    #[must_use]
    pub fn can_judge(&self, node: &NodeName) -> bool {
        let is_usable = |known: &KnownHost| known.host.as_ref().is_some_and(HostIdentity::is_usable);
        self.0.iter().any(|(name, known)| is_usable(known) || name == node && !known.bmcs.is_empty())
    }

    /// Returns whether the device was proven to be the BMC of `node`.
    #[must_use]
    pub fn has(&self, node: &NodeName, device: &str) -> bool {
        self.0.get(node).is_some_and(|known| known.bmcs.contains_key(device))
    }

    /// Judges a BMC that reports `now`. What the nodes reported of themselves counts first: boards may have been exchanged
    /// after the BMC was proven. `file` is the path of the memory, for the error.
    #[must_use]
    pub fn judge(&self, node: &NodeName, device: &str, now: &HostIdentity, file: &str) -> BmcVerdict {
        let nodes: BTreeMap<NodeName, HostIdentity> =
            self.0.iter().filter_map(|(name, known)| Some((name.clone(), known.host.clone()?))).collect();
        let why = match owner(now, node, &nodes) {
            BmcOwner::Own(_) => return BmcVerdict::Proven,
            BmcOwner::Another(owner) => {
                let host = |name: &NodeName| nodes.get(name).cloned().unwrap_or_default();
                let (theirs, own, node) = (host(&owner), host(node), node.clone());
                return BmcVerdict::Wrong(Box::new(WrongBmc::Another { node, owner, theirs, own }));
            }
            // Some BMCs report an identity of their own.
            BmcOwner::NoNode => Unproven::NoMatch,
            BmcOwner::Unproven(why) => why,
        };
        match self.0.get(node).and_then(|known| known.bmcs.get(device)) {
            Some(ProvenBmc { identity, .. }) if has_changed(identity, now) => {
                let (node, before, now) = (node.clone(), identity.clone(), now.clone());
                BmcVerdict::Wrong(Box::new(WrongBmc::Changed { node, before, now, file: file.to_owned() }))
            }
            Some(ProvenBmc { identity, .. }) if is_same_host(identity, now) && !is_other_board(why) => {
                BmcVerdict::Proven
            }
            _ => BmcVerdict::Unproven(why),
        }
    }

    /// Returns the memory after `learned`, without nodes that are not in `members`; `None` if nothing changes that is worth a
    /// write. Empty `members` are unknown.
    #[must_use]
    pub fn after(&self, learned: &Self, members: &[NodeName]) -> Option<Self> {
        let mut after = self.clone();
        for (node, known) in &learned.0 {
            let kept = after.0.entry(node.clone()).or_default();
            if let Some(now) = &known.host {
                // What was proven of the BMCs of another board says nothing of this one.
                if kept.host.as_ref().is_some_and(|before| before.is_usable() && !is_same_host(before, now)) {
                    kept.bmcs.clear();
                }
                kept.host = Some(now.clone());
            }
            for (device, proven) in &known.bmcs {
                let is_fresh = kept.bmcs.get(device).is_some_and(|before| {
                    before.identity == proven.identity && proven.proven_ms.abs_diff(before.proven_ms) < DATE_MS
                });
                if !is_fresh {
                    kept.bmcs.insert(device.clone(), proven.clone());
                }
            }
        }
        after.0.retain(|node, _| members.is_empty() || members.contains(node));
        (after != *self).then_some(after)
    }

    /// Returns what is taken of another host's memory: within the limits of number, length and characters.
    #[must_use]
    pub fn bounded(self) -> Self {
        let bmc = |(device, proven): (String, ProvenBmc)| {
            (plain(&device), ProvenBmc { identity: proven.identity.bounded(), ..proven })
        };
        let node = |(node, known): (NodeName, KnownHost)| {
            let bmcs = known.bmcs.into_iter().take(DEVICES_MOST).map(bmc).collect();
            (node, KnownHost { host: known.host.map(HostIdentity::bounded), bmcs })
        };
        Self(self.0.into_iter().take(ENTRIES_MOST).map(node).collect())
    }

    /// Splits the memory into parts of at most `most` bytes as JSON, so that each fits into one request. A node that is larger
    /// alone is a part of its own.
    #[must_use]
    pub fn parts(&self, most: usize) -> Vec<Self> {
        let mut parts = Vec::new();
        let (mut part, mut length) = (Self::default(), 0);
        for (node, known) in &self.0 {
            let entry =
                serde_json::to_string(known).map_or(most, |text| text.len()) + node.as_str().len() + JSON_BESIDE;
            if length + entry > most && !part.0.is_empty() {
                parts.push(std::mem::take(&mut part));
                length = 0;
            }
            length += entry;
            part.0.insert(node.clone(), known.clone());
        }
        if !part.0.is_empty() {
            parts.push(part);
        }
        parts
    }
}

#[cfg(test)]
mod tests;
