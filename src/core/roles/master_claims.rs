//! The claims of the master candidates: which node is master, and how recent their configuration is. Pure.
//!
//! A candidate's confd answers signed questions, also on a node that has been away for long. So a claim may be old, and
//! a node that came back with its files of then goes on to name itself. Two rules:
//!
//! - A claim counts with its serial number: the newest configuration decides, and an older one never overrules it.
//! - The claim of a node that this node shuns never counts.
//!
//! Serial numbers compare within one cluster only. That holds here: the answers are signed with the cluster's key, and
//! a node that was restored from a backup has an older serial number.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::node_role::NodeRole;
use crate::core::node::NodeName;

/// The master and serial number that a master candidate's confd reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterClaim {
    /// Whether it is this node's own claim.
    pub own: bool,
    /// The name of the candidate; its address if Ganeti's files on this node have no name for that.
    pub from: String,
    /// The master in the candidate's configuration.
    pub master: String,
    /// The serial number of that configuration (`serial_no` of `config.data`).
    pub serial: u64,
    /// Whether this node shuns the candidate.
    pub shunned: bool,
}

impl MasterClaim {
    fn names(&self, here: &NodeName) -> bool {
        self.master.eq_ignore_ascii_case(here.as_str())
    }

    /// Returns whether the candidate names itself.
    fn is_of_itself(&self) -> bool {
        self.master.eq_ignore_ascii_case(&self.from)
    }
}

/// Returns the claims of the other candidates that count: of those that this node does not shun.
fn peers(claims: &[MasterClaim]) -> impl Iterator<Item = &MasterClaim> {
    claims.iter().filter(|claim| !claim.own && !claim.shunned)
}

fn own_serial(claims: &[MasterClaim]) -> Option<u64> {
    claims.iter().find(|claim| claim.own).map(|claim| claim.serial)
}

/// Returns whether no other candidate has made a claim that counts.
#[must_use]
pub fn is_alone(claims: &[MasterClaim]) -> bool {
    peers(claims).next().is_none()
}

/// When this host served the master role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterService {
    /// The host serves it: luxid, which asked all nodes when it started, listens here.
    Now,
    /// The host served it since it booted, and the role was not stopped on purpose.
    ThisBoot,
    /// The host has not served it since it booted.
    Never,
}

/// How the claims of the other candidates compare with this node's claim to be master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterStanding {
    /// No claim that counts is against this node.
    Undisputed,
    /// A newer configuration names this node, too: its copy is old (restored from a backup).
    Behind,
    /// A newer configuration names this other master.
    Outdated(String),
    /// Configurations with one serial number name different masters, and no majority of them decides. The text shows
    /// which candidate names which master.
    Disputed(String),
    /// The role was not served here since the boot, and no claim that counts confirms it. Most of the others name
    /// another master in older configurations, or none of them answers. This node may take the role, but nothing of the
    /// role is here.
    Unconfirmed(String),
}

impl MasterStanding {
    /// Returns the other master of a newer configuration.
    #[must_use]
    pub fn new_master(&self) -> Option<&str> {
        match self {
            Self::Outdated(master) => Some(master),
            Self::Undisputed | Self::Behind | Self::Disputed(_) | Self::Unconfirmed(_) => None,
        }
    }

    /// Returns the two configurations with one serial number, as text.
    #[must_use]
    pub fn dispute(&self) -> Option<&str> {
        match self {
            Self::Disputed(what) => Some(what),
            Self::Undisputed | Self::Behind | Self::Outdated(_) | Self::Unconfirmed(_) => None,
        }
    }

    /// Returns what is against this node and does not overrule it.
    #[must_use]
    pub fn doubt(&self) -> Option<&str> {
        match self {
            Self::Disputed(what) | Self::Unconfirmed(what) => Some(what),
            Self::Undisputed | Self::Behind | Self::Outdated(_) => None,
        }
    }
}

/// Returns how `claims` compare with the claim of this node, which is master by its own files. `candidates`
/// is the number of all master candidates, this node included.
///
/// If the role is not served here, the newest configuration decides. Of all nodes that receive the same claims, one and
/// the same may take the role, whichever nodes are silent.
///
/// If the role is served here, luxid asked all nodes when it started. This node is then overruled only if more of the
/// others have a newer configuration than name this node. One of them must also be another node than the master that
/// they name. A master that is cut off may have written in its last seconds, and its serial number may be above its
/// new master's. Once it is back, it names itself with the newest serial number of all.
#[must_use]
pub fn standing(here: &NodeName, claims: &[MasterClaim], candidates: usize, served: MasterService) -> MasterStanding {
    if served == MasterService::Now {
        return standing_of_a_server(here, claims);
    }
    let Some(newest) = peers(claims).map(|claim| claim.serial).chain(own_serial(claims)).max() else {
        return if served == MasterService::Never {
            confirmation(here, claims, candidates)
        } else {
            MasterStanding::Undisputed
        };
    };
    let mut names: BTreeMap<String, Vec<&MasterClaim>> = BTreeMap::new();
    for claim in peers(claims).chain(claims.iter().filter(|claim| claim.own)).filter(|claim| claim.serial == newest) {
        names.entry(claim.master.to_ascii_lowercase()).or_default().push(claim);
    }
    let all: usize = names.values().map(Vec::len).sum();
    let Some((_, deciding)) = names.iter().find(|(_, claims)| 2 * claims.len() > all) else {
        return MasterStanding::Disputed(who_names_whom(names.values().filter_map(|claims| claims.first().copied())));
    };
    let is_here = deciding.iter().any(|claim| claim.names(here));
    match deciding.first() {
        Some(claim) if !is_here => MasterStanding::Outdated(claim.master.clone()),
        _ if own_serial(claims) != Some(newest) => MasterStanding::Behind,
        _ if served == MasterService::Never => confirmation(here, claims, candidates),
        _ => MasterStanding::Undisputed,
    }
}

fn standing_of_a_server(here: &NodeName, claims: &[MasterClaim]) -> MasterStanding {
    // Without this node's own serial number no configuration is known to be newer.
    let Some(own) = own_serial(claims) else { return MasterStanding::Undisputed };
    let against = newer_against(here, claims, own);
    let named_by_others: BTreeSet<String> =
        against.iter().filter(|claim| !claim.is_of_itself()).map(|claim| claim.master.to_ascii_lowercase()).collect();
    let newest = against
        .iter()
        .filter(|claim| named_by_others.contains(&claim.master.to_ascii_lowercase()))
        .max_by_key(|claim| claim.serial);
    if let Some(newest) = newest.filter(|_| against.len() > confirming(here, claims)) {
        return MasterStanding::Outdated(newest.master.clone());
    }
    let same: Vec<&MasterClaim> = claims.iter().filter(|claim| claim.own).take(1).collect();
    let others = peers(claims).filter(|claim| claim.serial == own && !claim.names(here)).take(1);
    let disputed: Vec<&MasterClaim> = same.into_iter().chain(others).collect();
    if disputed.len() > 1 {
        MasterStanding::Disputed(who_names_whom(disputed.into_iter()))
    } else {
        MasterStanding::Undisputed
    }
}

/// Checks whether a claim of another candidate confirms this node, which has not served since its boot.
///
/// A host that booted with the newest configuration of all may be a master that was cut off, and wrote on while another
/// took the role. A host that receives no answer may be shunned, or have an old shun list. Such a host does not report
/// that it is promoted before it serves.
fn confirmation(here: &NodeName, claims: &[MasterClaim], candidates: usize) -> MasterStanding {
    let (confirming, all) = (confirming(here, claims), peers(claims).count());
    let against = peers(claims).filter(|claim| !claim.names(here));
    if all == 0 && candidates > 1 {
        MasterStanding::Unconfirmed("no other candidate answers that this node does not shun".to_owned())
    } else if 2 * (all - confirming) > all {
        MasterStanding::Unconfirmed(who_names_whom(against.take(1).chain(claims.iter().filter(|claim| claim.own))))
    } else {
        MasterStanding::Undisputed
    }
}

fn confirming(here: &NodeName, claims: &[MasterClaim]) -> usize {
    peers(claims).filter(|claim| claim.names(here)).count()
}

fn newer_against<'a>(here: &NodeName, claims: &'a [MasterClaim], own: u64) -> Vec<&'a MasterClaim> {
    peers(claims).filter(|claim| claim.serial > own && !claim.names(here)).collect()
}

fn who_names_whom<'a>(claims: impl Iterator<Item = &'a MasterClaim>) -> String {
    let each = claims.map(|claim| {
        let from = if claim.own { "this node" } else { claim.from.as_str() };
        format!("{from} names {} (serial {})", claim.master, claim.serial)
    });
    each.collect::<Vec<_>>().join(", ")
}

/// Returns the failure of full mode if newer configurations than this master's name another master. They must be more
/// than half of those that count; claims that name this node are the others. An older configuration is not a
/// disagreement, whichever nodes are silent.
#[must_use]
pub fn disagreement(here: &NodeName, claims: &[MasterClaim]) -> Option<Failure> {
    let own = own_serial(claims)?;
    let against = newer_against(here, claims, own);
    let newest = against.iter().max_by_key(|claim| claim.serial)?;
    let all = against.len() + confirming(here, claims);
    (2 * against.len() > all).then(|| Failure {
        check: "peers",
        found: format!(
            "{} of {all} candidates name {} in a newer configuration (serial {}, here {own})",
            against.len(),
            newest.master,
            newest.serial
        ),
    })
}

/// Returns, as text, the claims of shunned nodes that were not counted although they are not older than this node's.
#[must_use]
pub fn ignored(here: &NodeName, claims: &[MasterClaim]) -> Option<String> {
    let own = own_serial(claims).unwrap_or(0);
    let shunned =
        claims.iter().filter(|claim| claim.shunned && !claim.own && !claim.names(here) && claim.serial >= own);
    let shunned: Vec<&MasterClaim> = shunned.collect();
    let who: Vec<&str> = shunned.iter().map(|claim| claim.from.as_str()).collect();
    let names = || who_names_whom(shunned.iter().copied());
    (!who.is_empty()).then(|| format!("{}: shunned here, ignored: {}", who.join(", "), names()))
}

/// The lowest score of a master. A node that has just become master is promoted with it.
pub const MASTER_SCORE: i32 = 10_000;

/// Returns the score with which this node offers itself for promotion, by how recent its configuration is; `None` if it
/// cannot become master. `offered` is the score that it published last.
///
/// A master that is [outdated](MasterStanding::Outdated) has old files: it cannot take the role before Ganeti has sent it new
/// ones. A master whose standing is in doubt comes after every master that serves. If two nodes take themselves for the
/// master, the later one has the higher score, until the first one has run its monitor.
///
/// Equal copies have equal scores, and a master keeps its own. So a change of Ganeti's configuration does not cause a
/// new transition in Pacemaker.
#[must_use]
pub fn promotion_score(
    rank: NodeRole,
    standing: &MasterStanding,
    claims: &[MasterClaim],
    offered: Option<i32>,
) -> Option<i32> {
    // All scores stay below Pacemaker's infinity, a million.
    const SERIALS: u64 = 900_000;
    let kept = offered.filter(|score| *score >= MASTER_SCORE);
    let as_master = || {
        let serial = own_serial(claims).map_or(0, |serial| serial % SERIALS);
        MASTER_SCORE + i32::try_from(serial).unwrap_or(0)
    };
    match rank {
        NodeRole::Other => None,
        NodeRole::Candidate => Some(score_of_a_copy(claims)),
        NodeRole::Master => match standing {
            MasterStanding::Outdated(_) => None,
            MasterStanding::Undisputed => kept.or_else(|| Some(as_master())),
            MasterStanding::Disputed(_) => kept.or(Some(1)),
            MasterStanding::Behind | MasterStanding::Unconfirmed(_) => Some(score_of_a_copy(claims)),
        },
    }
}

fn score_of_a_copy(claims: &[MasterClaim]) -> i32 {
    const NEWEST: i32 = 1_000;
    let own = own_serial(claims);
    let newest = peers(claims).map(|claim| claim.serial).chain(own).max().unwrap_or(u64::MAX);
    // A candidate whose own confd is silent has a copy of unknown age: better than no master, after all others.
    let behind = own.and_then(|own| i32::try_from(newest - own).ok()).unwrap_or(i32::MAX);
    NEWEST.saturating_sub(behind).max(1)
}

/// Returns this node's serial number and that of a candidate with a newer configuration, if there is one. What only
/// that candidate has would be lost. Ganeti's failover does not compare (issue 1242).
#[must_use]
pub fn newer_copy(own: Option<u64>, claims: &[MasterClaim]) -> Option<(u64, u64)> {
    let newest = peers(claims).map(|claim| claim.serial).max()?;
    // A copy of unknown age counts as the oldest.
    let own = own.unwrap_or(0);
    (newest > own).then_some((own, newest))
}

/// A newer configuration than this node's, seen at another candidate. It is kept for the time when no node is left that
/// has it.
///
/// Ganeti sends nothing to an offline node. Such a node comes back, or joins Pacemaker again, with files of an earlier
/// time. When the last node dies that had the newer configuration, this record is all that is left of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewerConfig {
    /// The serial number of the newer configuration.
    pub serial: u64,
    /// The master that it names.
    pub master: String,
    /// Whether this node still did not have it at a later check. A short delay is not a loss: the configuration is on
    /// its way.
    pub confirmed: bool,
}

impl NewerConfig {
    /// Returns whether the newer configuration keeps the role from this node, whose configuration has the serial number
    /// `own`.
    #[must_use]
    pub const fn blocks_role(&self, own: u64) -> bool {
        self.confirmed && self.serial > own
    }
}

/// How far above this node's a serial number may be for the claim of a single candidate to be remembered. No
/// configuration changes that often while a node is away for months. Each node has the key that signs claims, and the
/// record outlasts a false claim.
pub const AHEAD_MOST: u64 = 1_000_000;

/// Returns the claim that is not remembered: more than [`AHEAD_MOST`] above the serial number `own`, and the only one
/// of that kind.
#[must_use]
pub fn unlikely_claim(own: u64, claims: &[MasterClaim]) -> Option<&MasterClaim> {
    let mut far = peers(claims).filter(|claim| claim.serial > own.saturating_add(AHEAD_MOST));
    far.next().filter(|_| far.next().is_none())
}

/// Returns the record to keep after `claims`, for a node that does not serve the role and whose configuration
/// has the serial number `own`.
#[must_use]
pub fn update_newer_config(before: Option<NewerConfig>, own: u64, claims: &[MasterClaim]) -> Option<NewerConfig> {
    let known = before.filter(|before| before.serial > own);
    let unlikely = unlikely_claim(own, claims);
    let counted = peers(claims).filter(|claim| claim.serial > own && Some(*claim) != unlikely);
    let newest = counted.max_by_key(|claim| claim.serial);
    let confirmed = known.is_some();
    match (known, newest) {
        (Some(known), Some(newest)) if newest.serial <= known.serial => Some(NewerConfig { confirmed, ..known }),
        (Some(known), None) => Some(known),
        (_, Some(newest)) => Some(NewerConfig { serial: newest.serial, master: newest.master.clone(), confirmed }),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests;
