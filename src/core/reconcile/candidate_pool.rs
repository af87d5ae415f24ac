//! Ganeti's pool of master candidates, while the plan takes one node after another out of it. Pure.

use super::state::ReconcileInput;
use crate::core::ganeti::config::Node;
use crate::core::node::NodeName;

/// The nodes that have not left, and the size of the pool.
pub(super) struct Pool<'a> {
    nodes: Vec<&'a Node>,
    size: usize,
    /// The number of nodes that Ganeti promotes for those that left. Ganeti chooses which.
    promoted: usize,
}

impl<'a> Pool<'a> {
    pub(super) fn new(state: &'a ReconcileInput) -> Self {
        let nodes = state.nodes.iter().map(|node| &node.ganeti).collect();
        Self { nodes, size: state.candidate_pool_size, promoted: 0 }
    }

    /// Removes `name`, and returns whether Ganeti must promote another node for it. Without `auto_promote` Ganeti would
    /// reject the change (`lib/cmdlib/node.py`, `LUNodeSetParams`), and with it Ganeti locks every node.
    pub(super) fn leave(&mut self, name: &NodeName) -> bool {
        let was_candidate = self.nodes.iter().any(|node| node.name == *name && node.master_candidate);
        self.nodes.retain(|node| node.name != *name);
        let candidates = self.nodes.iter().filter(|node| node.master_candidate).count() + self.promoted;
        let eligible = self.nodes.iter().filter(|node| node.master_capable && !node.offline && !node.drained).count();
        let needed = was_candidate && candidates < eligible.min(self.size);
        self.promoted += usize::from(needed);
        needed
    }
}
