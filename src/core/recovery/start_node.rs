//! Where an instance starts, and what the allocator is asked. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::instance::InstanceName;
use crate::core::node::NodeName;

/// Where an instance starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartNode {
    /// On its DRBD secondary.
    Secondary(NodeName),
    /// On the node that the allocator has chosen.
    Allocated(NodeName),
    /// On its recorded primary node, to which an interrupted start has moved it.
    Primary(NodeName),
    /// On a node that the allocator has to choose: run it, and plan again with its answer.
    AskAllocator,
}

impl StartNode {
    /// Returns the node; `None` if the allocator has to choose it.
    #[must_use]
    pub const fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Secondary(node) | Self::Allocated(node) | Self::Primary(node) => Some(node),
            Self::AskAllocator => None,
        }
    }
}

/// Instances that hail places in one run, and the nodes that are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocatorRequest {
    /// The instances to place, the most important first.
    pub instances: Vec<InstanceName>,
    /// Nodes on which the start of these instances has failed before.
    pub not_on: BTreeSet<NodeName>,
}

/// Groups the instances, which are in their order, by the nodes that are excluded for them. Instances that have not
/// failed before come first.
#[must_use]
pub(super) fn allocator_requests<'a>(
    wanted: impl Iterator<Item = (&'a InstanceName, &'a BTreeSet<NodeName>)>,
) -> Vec<AllocatorRequest> {
    let mut groups: BTreeMap<&BTreeSet<NodeName>, Vec<InstanceName>> = BTreeMap::new();
    for (instance, not_on) in wanted {
        groups.entry(not_on).or_default().push(instance.clone());
    }
    groups.into_iter().map(|(not_on, instances)| AllocatorRequest { instances, not_on: not_on.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_that_failed_are_asked_about_apart() {
        let name = |text: &str| InstanceName::new(text).unwrap();
        let failed: BTreeSet<NodeName> = [NodeName::new("n4").unwrap()].into();
        let none = BTreeSet::new();
        let (a, b, c) = (name("a"), name("b"), name("c"));
        let asked = allocator_requests([(&b, &none), (&c, &failed), (&a, &none)].into_iter());
        assert_eq!(
            asked,
            [
                AllocatorRequest { instances: vec![b.clone(), a.clone()], not_on: none.clone() },
                AllocatorRequest { instances: vec![c.clone()], not_on: failed.clone() },
            ]
        );
    }
}
