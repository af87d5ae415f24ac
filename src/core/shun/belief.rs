//! Who is believed about what: every statement of another node passes here before it reaches the shun list, the kernel, a grade
//! or a file.
//!
//! | speaker | is believed about |
//! |---|---|
//! | a master candidate | orders to shun and readmit; that the lease of a node has ended, which it has seen with all others, and never that its power is off; what it was told of self-fencing; its own receipts of its own fencings, within what the node's devices can give |
//! | any node | its own kernel, its own boot, its own self-fencing, within limits |
//!
//! So a regular node's answer never raises a grade, moves an epoch, names an address or ends a shun. What a candidate says is
//! limited, too: a damaged file or a fault of a program must not become the cluster's truth.
//!
//! Who a speaker is, is proven by the channel. noded serves a call only if the digest of the client's certificate is in
//! `ssconf_master_candidates_certs` (Ganeti's `lib/server/noded.py`, `SSLVerifyPeer`); a root login by SSH has a candidate's key.
//! An *answer* is signed by the cluster's certificate, whose key each node has: who has that key and the address of another
//! node can answer in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use super::lease_times::LeaseTimes;
use super::list::{Epoch, ShunEntry, ShunList, ShunScope, is_boot_id, plain};
use super::messages::{DatedSelfFenceReport, Denial, PeerReport, SelfFenceReport, VERSION};
use crate::core::evidence::Evidence;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::power_receipt;

/// How many steps a statement may be ahead of what this node remembers of the same node: 500 fencings that it has missed, each
/// with its readmission. One statement can not use up the numbers.
pub const STEPS: u64 = 1_000;

/// The same where this node remembers nothing, or its own first order only: one that was installed anew joins a cluster of
/// some age.
pub const FIRST_STEPS: u64 = 100_000;

/// The largest epoch that is taken from another node. Between this one and [`Epoch::MOST`] there is room for this node's own
/// steps, so that it can always shun and readmit.
pub const HEARD_MOST: Epoch = Epoch(1 << 31);

/// The most instances, and DRBD devices, that a node can run.
const COUNT_MOST: u32 = 100_000;

/// The most candidates that a node's self-fencing may ask.
const CANDIDATES_MOST: usize = 1_024;

/// The most bytes of a ruleset id.
const SEAL_MOST: usize = 4_096;

/// The longest time that a node may promise to keep its discipline, or claim an age of, in milliseconds.
const AGE_MOST_MS: u64 = 86_400_000;

/// How a statement came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// A call to this node's noded, which takes calls of master candidates only.
    Noded,
    /// A root login on this node.
    Root,
    /// The answer to a question of this node.
    Answer,
}

/// What this node's own configuration says of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roll {
    /// This node.
    pub here: Option<NodeName>,
    /// All nodes, with their addresses.
    pub members: BTreeMap<NodeName, BTreeSet<IpAddr>>,
    /// The master candidates.
    pub candidates: BTreeSet<NodeName>,
    /// The cluster's master IP.
    pub master_ip: Option<IpAddr>,
}

/// Why nothing that somebody says is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disbelief {
    /// It is not one of those who may order.
    #[error(
        "{0} is not a master candidate in this node's configuration (ssconf_master_candidates): only a candidate is obeyed"
    )]
    NoCandidate(NodeName),
    /// It is not a node.
    #[error("{0} is not a node of this cluster in this node's configuration (ssconf_node_list)")]
    Stranger(NodeName),
    /// It is shunned.
    #[error("{0} is shunned here, in epoch {1}: what it says does not count")]
    Shunned(NodeName, Epoch),
}

/// What is taken of a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Belief {
    /// The entries that may be merged.
    pub accepted: ShunList,
    /// The entries that may not, or not with all addresses, each with the reason.
    pub rejected: BTreeMap<NodeName, String>,
}

impl Roll {
    /// What may be merged into `own` of the shun list `said` that `speaker` has sent.
    ///
    /// # Errors
    /// [`Disbelief`]: nothing of it.
    pub fn believe(
        &self,
        speaker: &NodeName,
        by: Channel,
        said: &ShunList,
        own: &ShunList,
    ) -> Result<Belief, Disbelief> {
        self.hear(speaker, by, own)?;
        let mut belief = Belief::default();
        for (node, entry) in &said.0 {
            match self.entry(node, entry, own.0.get(node)) {
                Ok((entry, foreign)) => {
                    belief.accepted.0.insert(node.clone(), entry);
                    belief.rejected.extend(foreign.map(|why| (node.clone(), why)));
                }
                Err(why) => drop(belief.rejected.insert(node.clone(), why)),
            }
        }
        Ok(belief)
    }

    /// Whether `speaker` has a voice about other nodes at all.
    ///
    /// # Errors
    /// [`Disbelief`].
    pub fn hear(&self, speaker: &NodeName, by: Channel, own: &ShunList) -> Result<(), Disbelief> {
        let epoch = own.epoch(speaker);
        if epoch.is_shunned() {
            return Err(Disbelief::Shunned(speaker.clone(), epoch));
        }
        match by {
            // Whoever logs in as root can do here what he likes; a node that returns may know older candidates.
            Channel::Root if self.members.is_empty() || self.members.contains_key(speaker) => Ok(()),
            Channel::Root => Err(Disbelief::Stranger(speaker.clone())),
            Channel::Noded | Channel::Answer if self.candidates.contains(speaker) => Ok(()),
            Channel::Noded | Channel::Answer => Err(Disbelief::NoCandidate(speaker.clone())),
        }
    }

    /// One entry of a candidate's, as far as it may be merged with `own` of the same node, and why an address of it may not: one
    /// that Ganeti has given up, or never had, keeps nobody from shunning the others, and is never said to be shunned.
    fn entry(
        &self,
        node: &NodeName,
        entry: &ShunEntry,
        own: Option<&ShunEntry>,
    ) -> Result<(ShunEntry, Option<String>), String> {
        if self.here.as_ref() == Some(node) {
            return Err("it is this node itself".to_owned());
        }
        let member = self.members.get(node);
        if member.is_none() && own.is_none() {
            return Err("it is not a node of this cluster, and this node remembers nothing of it".to_owned());
        }
        is_near(entry.epoch, own.map(|own| own.epoch))?;
        let known = |address: &&IpAddr| {
            member.is_some_and(|all| all.contains(address)) || own.is_some_and(|own| own.addresses.contains(address))
        };
        let is_shunned = entry.epoch.is_shunned();
        let foreign = entry.addresses.iter().find(|address| is_shunned && !known(address)).map(|foreign| {
            format!("{foreign} is not an address of it in this node's configuration (ssconf_node_primary_ips)")
        });
        let addresses: BTreeSet<IpAddr> = entry.addresses.iter().filter(known).copied().collect();
        if let Some(why) = foreign.as_ref().filter(|_| addresses.is_empty()) {
            return Err(why.clone());
        }
        Ok((ShunEntry { addresses, grade: believed(entry), ..entry.clone() }, foreign))
    }

    /// Whether the master IP that is to be taken for unreachable is this cluster's.
    #[must_use]
    pub fn is_master_ip(&self, address: IpAddr) -> bool {
        self.master_ip == Some(address)
    }
}

/// The grade of an entry, as far as another node's word goes. Everything is refused of a node whose power nobody saw off, and what
/// shunning and self-fencing prove is less than `off`. With TCP alone the list proves no off to anybody; the grade lets the node
/// in again without a question then, and a candidate may order that anyway.
fn believed(entry: &ShunEntry) -> Grade {
    match entry.reach {
        ShunScope::Everything => entry.grade.min(Evidence::LeaseEnded.worth().grade),
        ShunScope::Tcp => entry.grade,
    }
}

/// Whether an epoch that was stated can follow the one that is remembered.
///
/// # Errors
/// Why not.
pub fn is_near(stated: Epoch, own: Option<Epoch>) -> Result<(), String> {
    let most = match own {
        // The first epoch may be this node's own first order, given before it had learnt of the others.
        Some(Epoch(0 | 1)) | None => FIRST_STEPS,
        Some(own) => own.0.saturating_add(STEPS),
    };
    if stated > HEARD_MOST {
        return Err(format!("epoch {stated} is beyond {HEARD_MOST}, the largest that is taken from another node"));
    }
    if stated.0 > most {
        let own = own.unwrap_or_default();
        return Err(format!(
            "epoch {stated} is too far ahead of {own}, which this node remembers: if it is true, readmit the node here, too \
             (gnt-ha readmit), or remove its entry from shun-list.json while it is not shunned"
        ));
    }
    Ok(())
}

/// How an answer is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked<'a> {
    /// Who was asked.
    pub node: &'a NodeName,
    /// It is a master candidate, by the configuration of this node.
    pub is_candidate: bool,
    /// The nodes whose self-fencing was asked about.
    pub about: &'a [NodeName],
    /// The nodes whose receipts were asked for.
    pub receipts: &'a [NodeName],
    /// The times that this node's own configuration has.
    pub own_terms: LeaseTimes,
}

/// What is believed of an answer: a regular node's about itself, and a candidate's beside that with its shun list, which
/// [`Roll::believe`] judges, with what it was told of others' self-fencing, and with its own receipts where those were asked for.
///
/// # Errors
/// Why nothing of it: it is another node's, another version's, or outside of what a node can say.
pub fn answer(report: PeerReport, asked: Asked<'_>) -> Result<PeerReport, String> {
    if report.version != VERSION {
        return Err(format!(
            "answers in version {} of the protocol, not {VERSION}: install the same gnt-ha there",
            report.version
        ));
    }
    if report.node != *asked.node {
        return Err(format!("answers as {}", report.node));
    }
    if !is_boot_id(&report.boot_id) {
        return Err(format!("answers with an invalid boot id: {:?}", plain(&report.boot_id)));
    }
    if report.ruleset_id.len() > SEAL_MOST || report.ruleset_id.chars().any(char::is_control) {
        return Err("answers with an invalid ruleset id".to_owned());
    }
    let most = |count: Option<u32>| count.is_none_or(|count| count <= COUNT_MOST);
    if !most(report.instances) || !most(report.drbd_primaries) {
        return Err(format!("answers that more than {COUNT_MOST} instances run there"));
    }
    let (one, other) = (report.refuses.len().max(report.not_applied.len()), report.scopes.len());
    if one.max(other) > super::list::ENTRIES_MOST {
        return Err("answers with too many nodes".to_owned());
    }
    let self_fence = match report.self_fence {
        Some(self_fence) if self_fence.boot_id != report.boot_id => {
            return Err("answers with the self-fencing of another boot".to_owned());
        }
        Some(self_fence) => Some(claimed(self_fence, asked.own_terms)?),
        None => None,
    };
    let told = |(node, told): (NodeName, DatedSelfFenceReport)| {
        let is_wanted =
            asked.is_candidate && node != *asked.node && asked.about.contains(&node) && told.age_ms <= AGE_MOST_MS;
        let self_fence = claimed(told.self_fence.clone(), asked.own_terms).ok().filter(|_| is_wanted)?;
        Some((node, DatedSelfFenceReport { self_fence, ..told }))
    };
    let denied = |(node, denial): &(NodeName, Denial)| {
        let is_wanted = asked.is_candidate && node != asked.node && asked.about.contains(node);
        is_wanted && denial.age_ms <= AGE_MOST_MS && is_boot_id(&denial.boot_id)
    };
    Ok(PeerReport {
        self_fence,
        self_fences: report.self_fences.into_iter().filter_map(told).collect(),
        denials: report.denials.into_iter().filter(denied).collect(),
        receipts: power_receipt::believed(report.receipts, if asked.is_candidate { asked.receipts } else { &[] }),
        serial: report.serial.filter(|_| asked.is_candidate),
        register: if asked.is_candidate { report.register } else { ShunList::default() },
        not_applied: report.not_applied.into_iter().map(|(node, why)| (node, plain(&why))).collect(),
        not_durable: report.not_durable.map(|why| plain(&why)),
        program: report.program.map(|program| super::messages::Program {
            version: plain(&program.version),
            config: program.config.map(|digest| plain(&digest)),
            digest: program.digest.map(|digest| plain(&digest)),
            remote_key: program.remote_key.map(|told| plain(&told)),
            ..program
        }),
        ..report
    })
}

/// A node's self-fencing as it claims it, within what can be relied on.
fn claimed(self_fence: SelfFenceReport, own: LeaseTimes) -> Result<SelfFenceReport, String> {
    if !is_boot_id(&self_fence.boot_id) || self_fence.candidates.len() > CANDIDATES_MOST {
        return Err("answers with self-fencing that cannot be".to_owned());
    }
    let terms =
        self_fence.terms.claimed(own).map_err(|why| format!("answers with self-fencing that cannot be: {why}"))?;
    let guaranteed_for_ms = self_fence.guaranteed_for_ms.min(AGE_MOST_MS);
    Ok(SelfFenceReport { terms, guaranteed_for_ms, driver: plain(&self_fence.driver), ..self_fence })
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
mod hostile;
#[cfg(test)]
mod tests;
