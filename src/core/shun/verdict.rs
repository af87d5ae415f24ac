//! What the survivors' answers prove of the node that they were told to refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::lease::{blocks, majority};
use super::list::{Epoch, ShunScope};
use super::messages::{DatedSelfFenceReport, SelfFenceReport};
use crate::core::node::NodeName;

/// The driver word of a watchdog that dies with the kernel that it should reset.
pub const SOFTDOG: &str = "Software Watchdog";

/// How a peer stands to the node that is shunned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerState {
    /// It refuses every address of it, read back from its kernel.
    Refuses {
        /// In this epoch.
        epoch: Epoch,
        /// By rules with this identity.
        ruleset_id: String,
        /// This much of it.
        reach: ShunScope,
    },
    /// It is proven off itself, and how.
    ProvenOff(String),
    /// It serves no channel of the node, and refuses it or not as it may.
    ServesNothing,
    /// It does not say so.
    Unconfirmed(String),
}

/// A node beside the one that is shunned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Its name.
    pub node: NodeName,
    /// Its primary address.
    pub address: IpAddr,
    /// How it stands.
    pub stand: PeerState,
    /// Who refuses it itself.
    pub refused_by: BTreeSet<NodeName>,
}

/// A node that did not confirm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub node: NodeName,
    /// Why.
    pub why: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.node, self.why)
    }
}

/// A look at all peers at once in which nobody was missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// When the first question was sent, by this host's clock since boot. A look of before this was in it is not read.
    pub asked: Duration,
    /// When the last answer was in, by this host's clock since boot.
    pub at: Duration,
    /// That boot.
    pub boot_id: String,
    /// The epoch in which all of them refuse.
    pub epoch: Epoch,
    /// The rules of each that refuses.
    pub ruleset_ids: BTreeMap<NodeName, String>,
    /// The addresses of those that refuse everything: a candidate that refuses TCP alone still answers its questions.
    pub refusing: BTreeSet<IpAddr>,
    /// Those that did not confirm and count as lost with the node: nothing is proven of them.
    #[serde(default)]
    pub lost: BTreeSet<NodeName>,
}

/// What is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProofVerdict {
    /// Every survivor refuses it; it may still run.
    Isolated {
        /// Why not more, and what to do about it.
        why_not_bounded: String,
    },
    /// It will have stopped itself by then, on the clock of the looks.
    Waiting {
        /// Until then.
        until: Duration,
    },
    /// It has stopped itself.
    Bounded,
}

/// Judges one look: everyone who could serve the node has to refuse it, as far as `reach` says at least.
///
/// A peer that cannot say so may be lost together with the node: then it counts if everyone who confirms refuses it as
/// well, so that the lost ones can reach each other and no survivor.
///
/// # Errors
/// Who is missing, and why.
pub fn look(
    target: &NodeName,
    (epoch, reach): (Epoch, ShunScope),
    peers: &[Peer],
    asked: Duration,
    at: Duration,
    boot_id: &str,
) -> Result<Round, Vec<Missing>> {
    let confirming: BTreeSet<&NodeName> =
        peers.iter().filter(|peer| matches!(peer.stand, PeerState::Refuses { .. })).map(|peer| &peer.node).collect();
    let mut look = Round {
        asked,
        at,
        boot_id: boot_id.to_owned(),
        epoch,
        ruleset_ids: BTreeMap::new(),
        refusing: BTreeSet::new(),
        lost: BTreeSet::new(),
    };
    let mut missing = Vec::new();
    for peer in peers {
        let is_lost_too = !confirming.is_empty() && confirming.iter().all(|node| peer.refused_by.contains(*node));
        match &peer.stand {
            PeerState::Refuses { epoch: theirs, .. } if *theirs != epoch => {
                missing.push(Missing { node: peer.node.clone(), why: format!("is in epoch {theirs}, not {epoch}") });
            }
            PeerState::Refuses { reach: theirs, .. } if *theirs < reach => {
                missing.push(Missing { node: peer.node.clone(), why: "refuses TCP only".to_owned() });
            }
            PeerState::Refuses { ruleset_id, reach: theirs, .. } => {
                look.ruleset_ids.insert(peer.node.clone(), ruleset_id.clone());
                if *theirs == ShunScope::Everything {
                    look.refusing.insert(peer.address);
                }
            }
            PeerState::ProvenOff(_) | PeerState::ServesNothing => {}
            PeerState::Unconfirmed(_) if is_lost_too => {
                look.lost.insert(peer.node.clone());
            }
            PeerState::Unconfirmed(why) => missing.push(Missing { node: peer.node.clone(), why: why.clone() }),
        }
    }
    if !epoch.is_shunned() {
        missing.push(Missing { node: target.clone(), why: format!("is readmitted, in epoch {epoch}") });
    }
    if confirming.is_empty() && missing.is_empty() {
        missing.push(Missing { node: target.clone(), why: "has nobody left who could refuse it".to_owned() });
    }
    if missing.is_empty() { Ok(look) } else { Err(missing) }
}

/// What the asker knows beside the looks.
#[derive(Clone, Copy, Debug)]
pub struct ProofInput<'a> {
    /// The address of the node that is shunned.
    pub target: IpAddr,
    /// All of its addresses that are refused.
    pub addresses: &'a BTreeSet<IpAddr>,
    /// The master candidates, by the configuration of whoever asks.
    pub candidates: &'a BTreeSet<IpAddr>,
    /// Every other list of candidates that it may go by since it attested its own.
    pub lists: &'a [BTreeSet<IpAddr>],
    /// Ganeti's master, by the configuration of whoever asks.
    pub master: Option<&'a NodeName>,
    /// What the node's self-fencing has attested, with its age at the end of the first look; or why nothing counts.
    pub self_fence: Result<&'a DatedSelfFenceReport, &'a str>,
    /// The boot that is shunned, where it is known.
    pub boot_id: Option<&'a str>,
    /// What counts though it is weaker.
    pub accepted: Accepted,
}

/// Watchdogs that count for `bounded` only because the configuration says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// A softdog counts.
    pub softdog: bool,
    /// The watchdog of a virtual machine counts.
    pub virtual_host: bool,
}

/// Why self-fencing with this watchdog proves nothing; none if it may.
#[must_use]
pub fn watchdog_objection(self_fence: &SelfFenceReport, accepted: Accepted) -> Option<String> {
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
            Some("it does not say whether its host is a virtual machine: install the same version there".to_owned())
        }
    }
}

/// Between two looks at least, while something other than time is waited for.
const AGAIN: Duration = Duration::from_secs(1);

/// Judges two looks, the first one and the last one; they may be the same.
///
/// The wait counts from the first. The epochs of both must be the same: they only grow, so nobody readmitted the node in
/// between; and so must the rules be: the kernel numbers them anew when they are made again.
#[must_use]
pub fn evaluate_proof(first: &Round, last: &Round, known: ProofInput<'_>) -> ProofVerdict {
    let isolated = |why: String| ProofVerdict::Isolated { why_not_bounded: why };
    let DatedSelfFenceReport { self_fence, age_ms, .. } = match known.self_fence {
        Ok(attestation) => attestation,
        Err(why) => return isolated(why.to_owned()),
    };
    if let Some(why) = watchdog_objection(self_fence, known.accepted) {
        return isolated(why);
    }
    if known.boot_id != Some(self_fence.boot_id.as_str()) {
        return isolated("its self-fencing was attested in another boot than the one that is shunned".to_owned());
    }
    match self_fence.asks_from {
        Some(from) if known.addresses.contains(&from) => {}
        Some(from) => {
            return isolated(format!(
                "its self-fencing asks from {from}, which is not refused: restart gnt-ha-self-fence there"
            ));
        }
        None => {
            return isolated(
                "its self-fencing does not say from which address it asks: install the same version there".to_owned(),
            );
        }
    }
    if !self_fence.terms.is_kept(*age_ms, self_fence.guaranteed_for_ms) {
        return isolated(format!(
            "its self-fencing was attested {} s ago, and may have been disarmed since",
            age_ms / 1_000
        ));
    }
    let attested: BTreeSet<IpAddr> = self_fence.candidates.iter().copied().collect();
    let lists = [("its self-fencing asks", &attested), ("are configured", known.candidates)];
    let lists = lists.into_iter().chain(known.lists.iter().map(|list| ("were configured until lately", list)));
    // Only who refuses in both looks has refused all the time.
    let refusing: BTreeSet<IpAddr> = first.refusing.intersection(&last.refusing).copied().collect();
    for (whose, candidates) in lists {
        if !blocks(candidates, &refusing) {
            let own = if candidates.contains(&known.target) { ", itself one of them" } else { "" };
            return isolated(format!(
                "{} of the {} candidates that {whose} refuse it, and {} could still let it run{own}: it asks for {} of them",
                candidates.intersection(&refusing).count(),
                candidates.len(),
                candidates.difference(&refusing).count(),
                majority(candidates.len())
            ));
        }
    }
    if must_restart_wait(first, last) {
        return ProofVerdict::Waiting { until: last.at + self_fence.terms.bound() };
    }
    let until = first.at + self_fence.terms.bound();
    // The node's next boot asks for no lease before it is armed, and nothing ends it: a master that is lost with the node,
    // and runs on, could start instances there.
    if known.master.is_some_and(|master| last.lost.contains(master)) {
        return ProofVerdict::Waiting { until: until.max(last.at + AGAIN) };
    }
    // One that has ended since may have done so before: when the promise is over the next boot serves without self-fencing.
    let since = u64::try_from(last.at.saturating_sub(first.at).as_millis()).unwrap_or(u64::MAX);
    let is_promised = self_fence.terms.is_promised(age_ms.saturating_add(since), self_fence.guaranteed_for_ms);
    if known.master.is_some_and(|master| first.lost.contains(master)) && !is_promised {
        return isolated(
            "Ganeti's master was lost together with it, and not proven to have stopped in time: it may have started instances \
             on the next boot"
                .to_owned(),
        );
    }
    // An answer may be much older than the last one of its look: only a question of after the wait sees its end.
    if last.asked >= until { ProofVerdict::Bounded } else { ProofVerdict::Waiting { until } }
}

/// The look that the wait counts from: the one that is kept, or `last` where what that showed did not hold all the time.
#[must_use]
pub fn first_of<'a>(kept: Option<&'a Round>, last: &'a Round) -> &'a Round {
    kept.filter(|kept| !must_restart_wait(kept, last)).unwrap_or(last)
}

/// Whether the first of two looks has to be forgotten: what it showed did not hold all the time.
#[must_use]
pub fn must_restart_wait(first: &Round, last: &Round) -> bool {
    let changed =
        |(node, ruleset_id): (&NodeName, &String)| last.ruleset_ids.get(node).is_some_and(|now| now != ruleset_id);
    // The clock of the looks is of one boot, and the epoch in which all refused is one.
    first.boot_id != last.boot_id
        || first.epoch != last.epoch
        || first.at > last.at
        || first.ruleset_ids.iter().any(changed)
        || !first.refusing.is_subset(&last.refusing)
}

#[cfg(test)]
mod tests;
