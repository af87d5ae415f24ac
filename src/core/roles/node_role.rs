//! The role of a node in Ganeti.

use std::collections::BTreeSet;

use super::simulate::Simulated;
use crate::core::node::NodeName;

/// The role of this node by its own ssconf, as the master last distributed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeRole {
    /// The node that ssconf names as the master.
    Master,
    /// A master candidate that is not the master.
    Candidate,
    /// Neither, and it can never become the master.
    Other,
}

impl NodeRole {
    /// Returns the role of `here`, by the master and the candidates that ssconf names and what is simulated.
    #[must_use]
    pub fn of(
        here: &NodeName,
        master: Option<&NodeName>,
        candidates: &[NodeName],
        simulated: &BTreeSet<Simulated>,
    ) -> Self {
        let is_here = |name: &NodeName| name.as_str().eq_ignore_ascii_case(here.as_str());
        if simulated.contains(&Simulated::WrongRole) {
            Self::Other
        } else if master.is_some_and(is_here) {
            Self::Master
        } else if candidates.iter().any(is_here) {
            Self::Candidate
        } else {
            Self::Other
        }
    }
}
