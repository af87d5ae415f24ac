//! Decides what the answers of the survivors prove of a shunned node; touches nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::last_state::LastStateError;
use super::lease::{blocks, majority};
use super::list::{Epoch, ShunScope};
use super::messages::{DatedSelfFenceReport, SelfFenceReport};
use crate::core::node::NodeName;

/// The driver name of softdog, which is part of the kernel that it should reset.
pub const SOFTDOG: &str = "Software Watchdog";

/// The state of a peer towards the node that is shunned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerState {
    /// The peer shuns every address of the node, read back from its kernel.
    Shuns {
        /// The epoch in which it shuns the node.
        epoch: Epoch,
        /// The ruleset id of its rules.
        ruleset_id: String,
        /// The scope in which it shuns the node.
        scope: ShunScope,
    },
    /// The peer is proven off itself; the text states how.
    ProvenOff(String),
    /// The peer gives the node nothing: neither is a master candidate, and they share no DRBD disk. Whether it shuns
    /// the node does not matter.
    ServesNothing,
    /// The peer does not confirm that it shuns the node; the text states why.
    Unconfirmed(String),
}

/// A node beside the one that is shunned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// The name of the peer in Ganeti's configuration.
    pub node: NodeName,
    /// The primary address of the peer in Ganeti, to which requests are sent.
    pub address: IpAddr,
    /// Its state towards the node that is shunned.
    pub state: PeerState,
    /// The nodes that shun this peer itself.
    pub shunned_by: BTreeSet<NodeName>,
}

/// A peer that did not confirm, so that the round proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingConfirmation {
    /// The peer's name, or that of the shunned node if the round as a whole is at fault.
    pub node: NodeName,
    /// The reason, to be printed after the name.
    pub why: String,
}

impl fmt::Display for MissingConfirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.node, self.why)
    }
}

/// A round in which no confirmation was missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// When the first question was sent, by this host's clock since boot. A stored round without this field is not
    /// read.
    pub asked: Duration,
    /// When the last answer arrived, by this host's clock since boot.
    pub at: Duration,
    /// The id of this host's boot, to which both times belong.
    pub boot_id: String,
    /// The epoch in which all of them shun the node.
    pub epoch: Epoch,
    /// The ruleset id of each peer that shuns the node.
    pub ruleset_ids: BTreeMap<NodeName, String>,
    /// The addresses of the peers that shun the node in the scope `all`: a candidate with the scope `tcp` still answers
    /// its questions.
    pub shunning: BTreeSet<IpAddr>,
    /// The peers that did not confirm and count as lost together with the node: nothing is proven of them.
    #[serde(default)]
    pub lost: BTreeSet<NodeName>,
}

/// What two rounds together prove of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProofResult {
    /// Every survivor shuns the node, and it may still run (grade `isolated`).
    Isolated {
        /// The reason why it is not `bounded`, and what to do about it.
        why_not_bounded: String,
    },
    /// The node will have reset itself at a later time, by the clock of the rounds.
    Waiting {
        /// The end of the wait, by this host's clock since boot.
        until: Duration,
    },
    /// The node has reset itself (grade `bounded`).
    Bounded,
}

/// Evaluates one round: every peer has to shun the node, in the scope `scope` at least, unless the peer is proven off
/// or gives the node nothing.
///
/// A peer that does not confirm may be lost together with the node. It counts as lost if every peer that confirms shuns
/// it, too: then the lost nodes can reach each other, and no survivor.
///
/// # Errors
/// The peers whose confirmation is missing, and the node itself if it is readmitted or no peer is left that could shun
/// it.
///
/// # Examples
/// ```
/// use std::collections::BTreeSet;
/// use std::time::Duration;
///
/// use gnt_ha::core::node::NodeName;
/// use gnt_ha::core::shun::evaluation::{Peer, PeerState, evaluate_round};
/// use gnt_ha::core::shun::list::{Epoch, ShunScope};
///
/// let (n3, epoch, second) = (NodeName::new("n3.lab")?, Epoch(1), Duration::from_secs(1));
/// let peer = |node, address: u8, state| {
///     let address = [192, 0, 2, address].into();
///     Peer { node, address, state, shunned_by: BTreeSet::new() }
/// };
/// let shuns = PeerState::Shuns { epoch, ruleset_id: "7".into(), scope: ShunScope::All };
/// let silent = PeerState::Unconfirmed("does not answer".into());
/// let peers = [peer(NodeName::new("n1.lab")?, 1, shuns), peer(NodeName::new("n2.lab")?, 2, silent)];
///
/// // A quorum is not enough: n2 may still serve n3.
/// let missing = evaluate_round(&n3, (epoch, ShunScope::All), &peers, second, second, "boot").unwrap_err();
/// assert_eq!(missing[0].to_string(), "n2.lab does not answer");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn evaluate_round(
    target: &NodeName,
    (epoch, scope): (Epoch, ShunScope),
    peers: &[Peer],
    asked: Duration,
    at: Duration,
    boot_id: &str,
) -> Result<Round, Vec<MissingConfirmation>> {
    let confirming: BTreeSet<&NodeName> =
        peers.iter().filter(|peer| matches!(peer.state, PeerState::Shuns { .. })).map(|peer| &peer.node).collect();
    let mut round = Round {
        asked,
        at,
        boot_id: boot_id.to_owned(),
        epoch,
        ruleset_ids: BTreeMap::new(),
        shunning: BTreeSet::new(),
        lost: BTreeSet::new(),
    };
    let mut missing = Vec::new();
    for peer in peers {
        let is_lost_too = !confirming.is_empty() && confirming.iter().all(|node| peer.shunned_by.contains(*node));
        match &peer.state {
            PeerState::Shuns { epoch: theirs, .. } if *theirs != epoch => {
                missing.push(MissingConfirmation {
                    node: peer.node.clone(),
                    why: format!("is in epoch {theirs}, not {epoch}"),
                });
            }
            PeerState::Shuns { scope: theirs, .. } if *theirs < scope => {
                missing.push(MissingConfirmation {
                    node: peer.node.clone(),
                    why: "shuns it with scope tcp only".to_owned(),
                });
            }
            PeerState::Shuns { ruleset_id, scope: theirs, .. } => {
                round.ruleset_ids.insert(peer.node.clone(), ruleset_id.clone());
                if *theirs == ShunScope::All {
                    round.shunning.insert(peer.address);
                }
            }
            PeerState::ProvenOff(_) | PeerState::ServesNothing => {}
            PeerState::Unconfirmed(_) if is_lost_too => {
                round.lost.insert(peer.node.clone());
            }
            PeerState::Unconfirmed(why) => {
                missing.push(MissingConfirmation { node: peer.node.clone(), why: why.clone() })
            }
        }
    }
    if !epoch.is_shunned() {
        missing.push(MissingConfirmation { node: target.clone(), why: format!("is readmitted, in epoch {epoch}") });
    }
    if confirming.is_empty() && missing.is_empty() {
        missing
            .push(MissingConfirmation { node: target.clone(), why: "no node is left that could shun it".to_owned() });
    }
    if missing.is_empty() { Ok(round) } else { Err(missing) }
}

/// The input of the proof beside the rounds.
#[derive(Clone, Copy, Debug)]
pub struct ProofInput<'a> {
    /// The primary address of the node that is shunned.
    pub target: IpAddr,
    /// All addresses of the node that are shunned.
    pub addresses: &'a BTreeSet<IpAddr>,
    /// The master candidates, by the asker's configuration.
    pub candidates: &'a BTreeSet<IpAddr>,
    /// Every other list of candidates that self-fencing may go by since it reported its own.
    pub lists: &'a [BTreeSet<IpAddr>],
    /// Ganeti's master, by the asker's configuration.
    pub master: Option<&'a NodeName>,
    /// The report of the node's self-fencing, with its age at the end of the first round; or why none counts.
    pub self_fence: Result<&'a DatedSelfFenceReport, LastStateError>,
    /// The boot that is shunned, where it is known.
    pub boot_id: Option<&'a str>,
    /// The weaker watchdogs that count all the same.
    pub accepted: AcceptedWatchdogs,
}

/// Watchdogs that count for `bounded` only because the configuration accepts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptedWatchdogs {
    /// Whether softdog counts: the kernel that it watches also runs it.
    pub softdog: bool,
    /// Whether the watchdog of a virtual machine counts.
    pub virtual_host: bool,
}

/// Returns why self-fencing with this watchdog proves nothing; `None` if it may.
#[must_use]
pub fn watchdog_objection(self_fence: &SelfFenceReport, accepted: AcceptedWatchdogs) -> Option<String> {
    if !self_fence.nowayout {
        return Some(format!("its watchdog ({}) can be closed: load its driver with nowayout=1", self_fence.driver));
    }
    if self_fence.driver == SOFTDOG && !accepted.softdog {
        return Some("its watchdog is softdog, which dies with the kernel that it should reset".to_owned());
    }
    match self_fence.is_virtual {
        _ if accepted.virtual_host => None,
        Some(false) => None,
        Some(true) => Some(
            "its host is a virtual machine: while that is paused its watchdog does not run, and it goes on afterwards \
             (accept_virtual = true takes it nevertheless)"
                .to_owned(),
        ),
        None => {
            Some("it does not report whether its host is a virtual machine: install the same version there".to_owned())
        }
    }
}

/// The shortest time between two rounds, while something else than time is waited for.
const ROUND_INTERVAL: Duration = Duration::from_secs(1);

/// Evaluates the first and the last round, which may be the same.
///
/// The wait counts from the first. Both rounds must have the same epoch: epochs only grow, so no host has readmitted
/// the node in between. Both must have the same ruleset ids: the kernel numbers rules anew when they are made again.
#[must_use]
pub fn evaluate_proof(first: &Round, last: &Round, known: ProofInput<'_>) -> ProofResult {
    let isolated = |why: String| ProofResult::Isolated { why_not_bounded: why };
    let DatedSelfFenceReport { self_fence, age_ms, .. } = match known.self_fence {
        Ok(report) => report,
        Err(error) => return isolated(error.to_string()),
    };
    if let Some(why) = watchdog_objection(self_fence, known.accepted) {
        return isolated(why);
    }
    if known.boot_id != Some(self_fence.boot_id.as_str()) {
        return isolated("its self-fencing was reported in another boot than the one that is shunned".to_owned());
    }
    match self_fence.asks_from {
        Some(from) if known.addresses.contains(&from) => {}
        Some(from) => {
            return isolated(format!(
                "its self-fencing asks from {from}, which is not shunned: restart gnt-ha-self-fence there"
            ));
        }
        None => {
            return isolated(
                "its self-fencing does not report from which address it asks: install the same version there"
                    .to_owned(),
            );
        }
    }
    if !self_fence.lease_times.is_kept(*age_ms, self_fence.guaranteed_for_ms) {
        return isolated(format!(
            "its self-fencing was reported {} s ago, and may have been disarmed since",
            age_ms / 1_000
        ));
    }
    let reported: BTreeSet<IpAddr> = self_fence.candidates.iter().copied().collect();
    let lists = [("its self-fencing asks", &reported), ("are configured", known.candidates)];
    let lists = lists.into_iter().chain(known.lists.iter().map(|list| ("were configured until lately", list)));
    // Only a candidate that shuns the node in both rounds has shunned it all the time.
    let shunning: BTreeSet<IpAddr> = first.shunning.intersection(&last.shunning).copied().collect();
    for (whose, candidates) in lists {
        if !blocks(candidates, &shunning) {
            let own = if candidates.contains(&known.target) { ", itself one of them" } else { "" };
            return isolated(format!(
                "{} of the {} candidates that {whose} shun it, and {} could still grant it a lease{own}: it needs {} of them",
                candidates.intersection(&shunning).count(),
                candidates.len(),
                candidates.difference(&shunning).count(),
                majority(candidates.len())
            ));
        }
    }
    if must_restart_wait(first, last) {
        return ProofResult::Waiting { until: last.at + self_fence.lease_times.wait_time() };
    }
    let until = first.at + self_fence.lease_times.wait_time();
    // The node's next boot asks for no lease before it is armed, and nothing ends it. A master that is lost with the
    // node, and runs on, could start instances there.
    if known.master.is_some_and(|master| last.lost.contains(master)) {
        return ProofResult::Waiting { until: until.max(last.at + ROUND_INTERVAL) };
    }
    // A master that has ended since may have started instances before. Once the promise is over, the next boot serves
    // without self-fencing.
    let since = u64::try_from(last.at.saturating_sub(first.at).as_millis()).unwrap_or(u64::MAX);
    let is_promised = self_fence.lease_times.is_promised(age_ms.saturating_add(since), self_fence.guaranteed_for_ms);
    if known.master.is_some_and(|master| first.lost.contains(master)) && !is_promised {
        return isolated(
            "Ganeti's master was lost together with it, and not proven to have stopped in time: it may have started instances \
             on the next boot"
                .to_owned(),
        );
    }
    // An answer may be much older than the last one of its round. Only a question that was sent after the wait proves
    // its end.
    if last.asked >= until { ProofResult::Bounded } else { ProofResult::Waiting { until } }
}

/// Returns the round that the wait counts from: `kept`, or `last` if a condition of `kept` did not hold all the time.
#[must_use]
pub fn first_of<'a>(kept: Option<&'a Round>, last: &'a Round) -> &'a Round {
    kept.filter(|kept| !must_restart_wait(kept, last)).unwrap_or(last)
}

/// Returns whether the wait must begin again, because a condition of the first round did not hold all the time.
#[must_use]
pub fn must_restart_wait(first: &Round, last: &Round) -> bool {
    let changed =
        |(node, ruleset_id): (&NodeName, &String)| last.ruleset_ids.get(node).is_some_and(|now| now != ruleset_id);
    // The clock of the rounds belongs to one boot, and all peers have shunned the node in one epoch.
    first.boot_id != last.boot_id
        || first.epoch != last.epoch
        || first.at > last.at
        || first.ruleset_ids.iter().any(changed)
        || !first.shunning.is_subset(&last.shunning)
}

#[cfg(test)]
mod tests;
