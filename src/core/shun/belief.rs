//! Decides what counts of another node's statement; touches nothing. Every statement of another node passes through
//! this module before it reaches the shun list, the kernel, a grade or a file.
//!
//! | source | is trusted about |
//! |---|---|
//! | a master candidate | orders to shun and readmit; that a node's lease has ended, which it has seen together with all other nodes, and never that its power is off; what was reported to it of self-fencing; its own receipts of its own fencings, within what the node's devices can prove |
//! | any node | its own kernel with its DRBD disks, its own boot and its own self-fencing, within limits; the identity of its own host, which can prevent a power command and proves nothing |
//!
//! So the answer of a regular node never raises a grade, moves an epoch, names an address or ends a shunning. What a
//! candidate states is limited, too: a damaged file or a fault of one program must not spread to the whole cluster.
//!
//! The channel proves the sender. noded serves a call only if the digest of the client's certificate is in
//! `ssconf_master_candidates_certs` (Ganeti's `lib/server/noded.py`, `SSLVerifyPeer`). A root login by SSH needs a
//! candidate's key. An *answer* is signed by the cluster's certificate, whose key each node has. So a host that has
//! that key and the address of another node can answer in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

mod error;

pub use error::{Disbelief, ListEntryError, PeerAnswerError};

use super::lease_times::LeaseTimes;
use super::list::{Epoch, ShunEntry, ShunList, ShunScope, is_boot_id, plain};
use super::messages::{DatedSelfFenceReport, Denial, PeerReport, SelfFenceReport, VERSION};
use crate::core::evidence::Evidence;
use crate::core::grade::Grade;
use crate::core::host_identity::HostIdentity;
use crate::core::node::NodeName;
use crate::core::power_receipt;
use crate::core::recovery::drbd;

/// The number of steps by which a stated epoch may be ahead of the one that this node remembers of the same node: 500
/// fencings that it has missed, each with its readmission. One statement cannot use up the numbers.
pub const EPOCH_STEPS_MOST: u64 = 1_000;

/// The same limit where this node remembers nothing, or its own first order only: a node that was installed anew may
/// join a cluster of some age.
pub const FIRST_STEPS: u64 = 100_000;

/// The largest epoch that is taken from another node. Between it and [`Epoch::MOST`] there is room for this node's own
/// steps, so that it can always shun and readmit.
pub const RECEIVED_MOST: Epoch = Epoch(1 << 31);

/// The largest number of instances, and of DRBD devices, that a node can report.
const COUNT_MOST: u32 = 100_000;

/// The largest number of candidates that a node's self-fencing may ask.
const CANDIDATES_MOST: usize = 1_024;

/// The largest size of a ruleset id, in bytes.
const RULESET_ID_MOST: usize = 4_096;

/// The longest promise of self-fencing, and the longest age of a statement, in milliseconds.
const AGE_MOST_MS: u64 = 86_400_000;

/// The way by which a statement arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// A call to this node's noded, which serves only master candidates.
    Noded,
    /// A root login on this node by SSH.
    Root,
    /// The answer to a request of this node.
    Answer,
}

/// The cluster as this node's own configuration has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterMembers {
    /// The name of the node that judges; `None` if its own configuration has no node of this host.
    pub here: Option<NodeName>,
    /// All nodes, each with its addresses.
    pub members: BTreeMap<NodeName, BTreeSet<IpAddr>>,
    /// The master candidates, whose answers grant or deny a lease.
    pub candidates: BTreeSet<NodeName>,
    /// The master IP, which is made unreachable only where it belongs to a stopped master.
    pub master_ip: Option<IpAddr>,
}

/// The part of a statement that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Belief {
    /// The entries that may be merged.
    pub accepted: ShunList,
    /// The entries that may not be merged, or not with all addresses, each with the reason.
    pub rejected: BTreeMap<NodeName, ListEntryError>,
}

impl ClusterMembers {
    /// Returns what may be merged into `own` of the shun list `sent` that `sender` has sent.
    ///
    /// # Errors
    /// [`Disbelief`] if nothing of `sender` counts, as for [`ClusterMembers::check_sender`].
    pub fn believe(
        &self,
        sender: &NodeName,
        by: Channel,
        sent: &ShunList,
        own: &ShunList,
    ) -> Result<Belief, Disbelief> {
        self.check_sender(sender, by, own)?;
        let mut belief = Belief::default();
        for (node, entry) in &sent.0 {
            match self.entry(node, entry, own.0.get(node)) {
                Ok((entry, foreign)) => {
                    belief.accepted.0.insert(node.clone(), entry);
                    belief.rejected.extend(foreign.map(|error| (node.clone(), error)));
                }
                Err(error) => drop(belief.rejected.insert(node.clone(), error)),
            }
        }
        Ok(belief)
    }

    /// Checks that statements of `sender` about other nodes count at all.
    ///
    /// # Errors
    /// [`Disbelief::Shunned`] if `sender` is shunned here; [`Disbelief::Stranger`] if it logged in as root and is not
    /// a member; [`Disbelief::NoCandidate`] if it used another channel and is not a master candidate.
    pub fn check_sender(&self, sender: &NodeName, by: Channel, own: &ShunList) -> Result<(), Disbelief> {
        let epoch = own.epoch(sender);
        if epoch.is_shunned() {
            return Err(Disbelief::Shunned(sender.clone(), epoch));
        }
        match by {
            // Root can do anything on this host. A node that returns may know an older list of candidates, so it is not
            // checked.
            Channel::Root if self.members.is_empty() || self.members.contains_key(sender) => Ok(()),
            Channel::Root => Err(Disbelief::Stranger(sender.clone())),
            Channel::Noded | Channel::Answer if self.candidates.contains(sender) => Ok(()),
            Channel::Noded | Channel::Answer => Err(Disbelief::NoCandidate(sender.clone())),
        }
    }

    /// Returns the part of a candidate's entry that may be merged with `own` of the same node, and why an address of it
    /// may not. An address that Ganeti has given up, or never had, does not prevent the shunning of the others, and
    /// never counts as shunned.
    fn entry(
        &self,
        node: &NodeName,
        entry: &ShunEntry,
        own: Option<&ShunEntry>,
    ) -> Result<(ShunEntry, Option<ListEntryError>), ListEntryError> {
        if self.here.as_ref() == Some(node) {
            return Err(ListEntryError::Own);
        }
        let member = self.members.get(node);
        if member.is_none() && own.is_none() {
            return Err(ListEntryError::Stranger);
        }
        is_near(entry.epoch, own.map(|own| own.epoch))?;
        let known = |address: &&IpAddr| {
            member.is_some_and(|all| all.contains(address)) || own.is_some_and(|own| own.addresses.contains(address))
        };
        let is_shunned = entry.epoch.is_shunned();
        let foreign = entry.addresses.iter().find(|address| is_shunned && !known(address)).copied();
        let foreign = foreign.map(ListEntryError::ForeignAddress);
        let addresses: BTreeSet<IpAddr> = entry.addresses.iter().filter(known).copied().collect();
        if let Some(why) = foreign.as_ref().filter(|_| addresses.is_empty()) {
            return Err(why.clone());
        }
        Ok((ShunEntry { addresses, grade: believed(entry), ..entry.clone() }, foreign))
    }

    /// Returns whether `address`, which is to be made unreachable, is the master IP of this cluster.
    #[must_use]
    pub fn is_master_ip(&self, address: IpAddr) -> bool {
        self.master_ip == Some(address)
    }
}

/// Returns the grade of an entry, as far as the statement of another node counts. A node is shunned in the scope `all`
/// when no device has read its power as off, and shunning and self-fencing prove less than `off`. By an entry with the
/// scope `tcp` the list proves no off to any node. There the grade lets the node be readmitted without a question, and
/// a candidate may order a readmission anyway.
fn believed(entry: &ShunEntry) -> Grade {
    match entry.scope {
        ShunScope::All => entry.grade.min(Evidence::LeaseEnded.worth().grade),
        ShunScope::Tcp => entry.grade,
    }
}

/// Checks that a stated epoch can follow the one that is remembered.
///
/// # Errors
/// [`ListEntryError::EpochBeyond`] if the epoch is above [`RECEIVED_MOST`], and [`ListEntryError::EpochAhead`] if it is too many
/// steps ahead ([`EPOCH_STEPS_MOST`], [`FIRST_STEPS`]).
pub fn is_near(stated: Epoch, own: Option<Epoch>) -> Result<(), ListEntryError> {
    let most = match own {
        // The first epoch may be this node's own first order, given before it had received those of the others.
        Some(Epoch(0 | 1)) | None => FIRST_STEPS,
        Some(own) => own.0.saturating_add(EPOCH_STEPS_MOST),
    };
    if stated > RECEIVED_MOST {
        return Err(ListEntryError::EpochBeyond { stated, most: RECEIVED_MOST });
    }
    if stated.0 > most {
        return Err(ListEntryError::EpochAhead { stated, own: own.unwrap_or_default() });
    }
    Ok(())
}

/// The request that an answer belongs to, as far as the answer is checked against it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SentRequest<'a> {
    /// The node that the request was sent to: an answer in another name does not count.
    pub node: &'a NodeName,
    /// Whether it is a master candidate, by the configuration of this node.
    pub is_candidate: bool,
    /// The nodes whose self-fencing was asked about.
    pub about: &'a [NodeName],
    /// The nodes whose receipts were requested.
    pub receipts: &'a [NodeName],
    /// Whether it was asked what it has seen of its DRBD disks.
    pub drbd: bool,
    /// The times of this node's own configuration.
    pub own_lease_times: LeaseTimes,
}

/// Returns what counts of an answer. Of a regular node that is what it reports about itself. Of a candidate it is also
/// its shun list, which [`ClusterMembers::believe`] checks, what was reported to it of others' self-fencing, the serial number of
/// its configuration, and its own receipts where they were requested.
///
/// # Errors
/// [`PeerAnswerError`] if the answer is that of another node or version, or holds what a node cannot report.
pub fn answer(report: PeerReport, asked: SentRequest<'_>) -> Result<PeerReport, PeerAnswerError> {
    if report.version != VERSION {
        return Err(PeerAnswerError::Version(report.version));
    }
    if report.node != *asked.node {
        return Err(PeerAnswerError::OtherNode(report.node));
    }
    if !is_boot_id(&report.boot_id) {
        return Err(PeerAnswerError::BootId(plain(&report.boot_id)));
    }
    if report.ruleset_id.len() > RULESET_ID_MOST || report.ruleset_id.chars().any(char::is_control) {
        return Err(PeerAnswerError::RulesetId);
    }
    let most = |count: Option<u32>| count.is_none_or(|count| count <= COUNT_MOST);
    if !most(report.instances) || !most(report.drbd_primaries) {
        return Err(PeerAnswerError::Counts { most: COUNT_MOST });
    }
    let (one, other) = (report.shunned.len().max(report.not_applied.len()), report.scopes.len());
    if one.max(other) > super::list::ENTRIES_MOST {
        return Err(PeerAnswerError::TooManyNodes);
    }
    let self_fence = match report.self_fence {
        Some(self_fence) if self_fence.boot_id != report.boot_id => {
            return Err(PeerAnswerError::OtherBoot);
        }
        Some(self_fence) => Some(claimed(self_fence, asked.own_lease_times)?),
        None => None,
    };
    let accepted = |(node, dated): (NodeName, DatedSelfFenceReport)| {
        let is_wanted =
            asked.is_candidate && node != *asked.node && asked.about.contains(&node) && dated.age_ms <= AGE_MOST_MS;
        let self_fence = claimed(dated.self_fence.clone(), asked.own_lease_times).ok().filter(|_| is_wanted)?;
        Some((node, DatedSelfFenceReport { self_fence, ..dated }))
    };
    let denied = |(node, denial): &(NodeName, Denial)| {
        let is_wanted = asked.is_candidate && node != asked.node && asked.about.contains(node);
        is_wanted && denial.age_ms <= AGE_MOST_MS && is_boot_id(&denial.boot_id)
    };
    Ok(PeerReport {
        self_fence,
        self_fences: report.self_fences.into_iter().filter_map(accepted).collect(),
        denials: report.denials.into_iter().filter(denied).collect(),
        receipts: power_receipt::believed(report.receipts, if asked.is_candidate { asked.receipts } else { &[] }),
        // Its own kernel's disks, about which any node is trusted.
        drbd: if asked.drbd { drbd::believed(report.drbd) } else { BTreeMap::new() },
        serial: report.serial.filter(|_| asked.is_candidate),
        shun_list: if asked.is_candidate { report.shun_list } else { ShunList::default() },
        not_applied: report.not_applied.into_iter().map(|(node, why)| (node, plain(&why))).collect(),
        not_durable: report.not_durable.map(|why| plain(&why)),
        program: report.program.map(|program| super::messages::Program {
            version: plain(&program.version),
            config: program.config.map(|digest| plain(&digest)),
            digest: program.digest.map(|digest| plain(&digest)),
            remote_key: program.remote_key.map(|key| plain(&key)),
            host: program.host.map(HostIdentity::bounded),
            ..program
        }),
        ..report
    })
}

/// Returns a node's self-fencing as it claims it, within what can be relied on.
fn claimed(self_fence: SelfFenceReport, own: LeaseTimes) -> Result<SelfFenceReport, PeerAnswerError> {
    if !is_boot_id(&self_fence.boot_id) || self_fence.candidates.len() > CANDIDATES_MOST {
        return Err(PeerAnswerError::SelfFence);
    }
    let lease_times = self_fence.lease_times.claimed(own)?;
    let guaranteed_for_ms = self_fence.guaranteed_for_ms.min(AGE_MOST_MS);
    Ok(SelfFenceReport { lease_times, guaranteed_for_ms, driver: plain(&self_fence.driver), ..self_fence })
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Noded => "noded",
            Self::Root => "a root login",
            Self::Answer => "an answer",
        })
    }
}

#[cfg(test)]
mod tests;
