//! What a node remembers of who is refused: for each node a number that only grows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::core::grade::Grade;
use crate::core::node::NodeName;

/// How often a node was shunned and admitted: even while it is admitted, odd while it is shunned.
///
/// It only grows, and two registers are merged by the greater one, so an order that comes late, twice or by another way
/// changes nothing: a shun of before an admission can not undo it, nor an admission a later shun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Whether the node is shunned.
    #[must_use]
    pub const fn is_shunned(self) -> bool {
        self.0 % 2 == 1
    }

    /// The epoch in which the node is shunned: this one, or the next.
    #[must_use]
    pub const fn shunned(self) -> Self {
        Self(self.0 | 1)
    }

    /// The epoch in which the node is admitted: this one, or the next.
    #[must_use]
    pub const fn admitted(self) -> Self {
        Self(self.0.saturating_add(self.0 & 1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What is refused of a shunned node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// TCP and confd: enough for a node whose power was seen off, which may return to the cluster stack with a new boot.
    Tcp,
    /// Everything.
    Everything,
}

/// In the place of a boot's id, where several were named for one epoch: it is none of them.
pub const SEVERAL_BOOTS: &str = "several";

/// What is remembered of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Shunned or admitted.
    pub epoch: Epoch,
    /// All of its addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// What is refused.
    pub reach: Reach,
    /// How strongly it is proven to have stopped, in this epoch. Of no meaning while it is admitted.
    pub grade: Grade,
    /// The boot that is shunned (`proc_sys_kernel(5)`, `boot_id`), where it is known.
    pub boot_id: Option<String>,
    /// When this epoch began, in milliseconds since 1970, by the clock of whoever began it.
    pub since_ms: u64,
    /// Who began it: a person with the reason, or a program with its receipt's id.
    pub by: String,
}

impl Entry {
    /// Takes `other` in: the later epoch wins; of one epoch, the wider refusal and the stronger proof.
    pub fn merge(&mut self, other: &Self) {
        if other.epoch > self.epoch {
            *self = other.clone();
        } else if other.epoch == self.epoch {
            self.addresses.extend(&other.addresses);
            // A proven off narrows what is refused, so the stronger proof says what.
            (self.grade, self.reach) = (self.grade, self.reach).max((other.grade, other.reach));
            self.boot_id = match (self.boot_id.take(), &other.boot_id) {
                (None, theirs) => theirs.clone(),
                (own, None) => own,
                (Some(own), Some(theirs)) if own == *theirs => Some(own),
                // Two nodes remember different boots: whichever is shunned, nothing that was said of one of them counts.
                _ => Some(SEVERAL_BOOTS.to_owned()),
            };
            if (other.since_ms, &other.by) < (self.since_ms, &self.by) {
                (self.since_ms, self.by) = (other.since_ms, other.by.clone());
            }
        }
    }
}

/// What a node remembers of all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Register(pub BTreeMap<NodeName, Entry>);

impl Register {
    /// Takes in what another node remembers.
    pub fn merge(&mut self, other: &Self) {
        for (name, entry) in &other.0 {
            self.0.entry(name.clone()).and_modify(|own| own.merge(entry)).or_insert_with(|| entry.clone());
        }
    }

    /// The epoch that a node is in.
    #[must_use]
    pub fn epoch(&self, node: &NodeName) -> Epoch {
        self.0.get(node).map_or_else(Epoch::default, |entry| entry.epoch)
    }

    /// The nodes that are shunned.
    pub fn shunned(&self) -> impl Iterator<Item = (&NodeName, &Entry)> {
        self.0.iter().filter(|(_, entry)| entry.epoch.is_shunned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> impl Strategy<Value = Entry> {
        let address = (1u8..5).prop_map(|n| IpAddr::from([192, 0, 2, n]));
        let addresses = proptest::collection::btree_set(address, 0..3);
        let grade = prop_oneof![Just(Grade::Isolated), Just(Grade::Bounded), Just(Grade::Off)];
        let reach = prop_oneof![Just(Reach::Tcp), Just(Reach::Everything)];
        let boot_id = proptest::option::of("[ab]");
        (0u64..5, addresses, reach, grade, boot_id, 0u64..3, "[ab]").prop_map(
            |(epoch, addresses, reach, grade, boot_id, since_ms, by)| {
                let epoch = Epoch(epoch);
                Entry { epoch, addresses, reach, grade, boot_id, since_ms, by }
            },
        )
    }

    fn merged(a: &Entry, b: &Entry) -> Entry {
        let mut all = a.clone();
        all.merge(b);
        all
    }

    proptest! {
        /// In whatever order, how often and by which way entries arrive: everybody comes to the same.
        #[test]
        fn merging_is_the_same_in_any_order(a in entry(), b in entry(), c in entry()) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&a, &a), a.clone());
            prop_assert!(merged(&a, &b).epoch >= a.epoch.max(b.epoch));
        }
    }

    /// A leash that was attested in one boot says nothing of another.
    #[test]
    fn of_two_boots_neither_is_known() {
        let entry = |boot: Option<&str>| Entry {
            epoch: Epoch(1),
            addresses: BTreeSet::new(),
            reach: Reach::Everything,
            grade: Grade::Isolated,
            boot_id: boot.map(str::to_owned),
            since_ms: 1,
            by: "x".into(),
        };
        assert_eq!(merged(&entry(Some("a")), &entry(Some("b"))).boot_id.as_deref(), Some(SEVERAL_BOOTS));
        assert_eq!(merged(&entry(Some("a")), &entry(None)).boot_id.as_deref(), Some("a"));
    }

    #[test]
    fn an_old_order_does_not_undo_a_later_one() {
        let first = Epoch::default().shunned();
        assert!(first.is_shunned() && first.shunned() == first);
        let second = first.admitted().shunned();
        assert!(second > first.admitted() && first.admitted() > first && !first.admitted().is_shunned());
        assert_eq!(Epoch::default().admitted(), Epoch::default(), "who was never shunned needs no admission");
    }
}
