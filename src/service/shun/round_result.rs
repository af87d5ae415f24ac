//! The result of one round: what the other nodes answered, and what the answers show.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::core::ganeti::network::ClusterNetwork;
use crate::core::node::NodeName;
use crate::core::shun::evaluation::{MissingConfirmation, Round};
use crate::core::shun::last_state::KeptReports;
use crate::core::shun::list::Epoch;
use crate::core::shun::memory::{self, MemoryError};
use crate::core::shun::messages::PeerReport;
use crate::sys::ganeti::peer_channel::{PeerAnswers, PeerError};

/// The answers of one round, and what they prove of the target.
pub struct RoundResult {
    /// The answer of each node.
    pub answers: PeerAnswers,
    /// The epoch that the round checked.
    pub epoch: Epoch,
    /// The round, if every node shuns the target; otherwise the nodes that do not, each with the reason.
    pub round: Result<Round, Vec<MissingConfirmation>>,
    /// What is known of the target's self-fencing, at the end of the round.
    pub self_fence: KeptReports,
    /// Ganeti's configuration with which the round was evaluated.
    pub network: ClusterNetwork,
}

impl RoundResult {
    /// Checks that what this host remembers of a shunned node still holds by these answers.
    ///
    /// # Errors
    /// [`MemoryError`] if it may not hold.
    pub fn still_holds(&self, node: &NodeName, epoch: Epoch) -> Result<(), MemoryError> {
        memory::still_holds(epoch, &answered(&self.network, &self.answers, node), &electorate(&self.network, node))
    }

    /// Checks that so many candidates have `node` in `epoch`, or in a later one, that no older memory prevails. A
    /// candidate that loses the entry at its next boot does not count: the older entry on its disk would hold then.
    ///
    /// # Errors
    /// [`MemoryError`] if too few candidates have it.
    pub fn is_known_to_enough(&self, node: &NodeName, epoch: Epoch) -> Result<(), MemoryError> {
        let is_durable =
            |answer: &Result<PeerReport, PeerError>| answer.as_ref().is_ok_and(|report| report.not_durable.is_none());
        let durable = self.answers.iter().filter(|(_, answer)| is_durable(answer));
        let durable = durable.map(|(name, answer)| (name.clone(), answer.clone())).collect();
        let informed = answered(&self.network, &durable, node)
            .into_iter()
            .filter(|(_, theirs)| *theirs >= epoch)
            .map(|(from, _)| from)
            .collect();
        memory::is_known_to_enough(&informed, &electorate(&self.network, node))
    }

    /// Returns the nodes that shun the target only until their next boot, because their disk could not be written; as
    /// text for a receipt, empty if there is no such node.
    #[must_use]
    pub fn until_boot(&self) -> String {
        let weak = |(node, answer): (&NodeName, &Result<PeerReport, PeerError>)| {
            Some(format!("{node} ({})", answer.as_ref().ok()?.not_durable.as_ref()?))
        };
        let weak: Vec<String> = self.answers.iter().filter_map(weak).collect();
        if weak.is_empty() { String::new() } else { format!("; until its next boot only: {}", weak.join(", ")) }
    }
}

/// Returns the epoch that each answering node has for `node`.
pub(super) fn answered(network: &ClusterNetwork, answers: &PeerAnswers, node: &NodeName) -> Vec<(IpAddr, Epoch)> {
    let one = |(name, answer): (&NodeName, &Result<PeerReport, PeerError>)| {
        Some((network.members.get(name)?.primary, answer.as_ref().ok()?.shun_list.epoch(node)))
    };
    answers.iter().filter_map(one).collect()
}

/// Returns the candidates besides `node` itself: the nodes that remember whether it is shunned.
pub(super) fn electorate(network: &ClusterNetwork, node: &NodeName) -> BTreeSet<IpAddr> {
    let mut candidates = network.candidates();
    network.members.get(node).map(|member| candidates.remove(&member.primary));
    candidates
}

/// Returns the greatest serial number of Ganeti's configuration that a master candidate has.
pub(super) fn newest_serial(network: &ClusterNetwork, answers: &PeerAnswers) -> Option<u64> {
    let is_candidate = |node: &NodeName| network.members.get(node).is_some_and(|member| member.candidate);
    let of = |(node, answer): (&NodeName, &Result<PeerReport, PeerError>)| {
        answer.as_ref().ok().filter(|_| is_candidate(node))?.serial
    };
    answers.iter().filter_map(of).max()
}
