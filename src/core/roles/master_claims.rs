//! What the master candidates say: who is master, and how recent their configuration is.
//!
//! Their confd answers signed questions, also on a node that has been away for long. So a word may be old, and a node
//! that came back with the files of then goes on to name itself. Two rules:
//!
//! - A word counts with its serial number: the newest configuration decides, and an older one never overrules it.
//! - The word of a node that this node shuns never counts.
//!
//! Serial numbers compare within one cluster only. They do: the answers are signed with the cluster's key, and a node that
//! was restored from a backup has an older serial number.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::node_role::NodeRole;
use crate::core::node::NodeName;

/// What a master candidate's confd says of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterClaim {
    /// It is this node's own.
    pub own: bool,
    /// The candidate that says so: its name, or its address where Ganeti's files here have no name for that.
    pub from: String,
    /// Who is master, in the configuration that it has.
    pub master: String,
    /// That configuration's serial number (`serial_no` of `config.data`).
    pub serial: u64,
    /// This node shuns the candidate.
    pub shunned: bool,
}

impl MasterClaim {
    fn names(&self, here: &NodeName) -> bool {
        self.master.eq_ignore_ascii_case(here.as_str())
    }

    /// That is the node that says so.
    fn is_of_itself(&self) -> bool {
        self.master.eq_ignore_ascii_case(&self.from)
    }
}

/// The words of the other candidates that count: of those that this node does not shun.
fn peers(words: &[MasterClaim]) -> impl Iterator<Item = &MasterClaim> {
    words.iter().filter(|word| !word.own && !word.shunned)
}

fn own_serial(words: &[MasterClaim]) -> Option<u64> {
    words.iter().find(|word| word.own).map(|word| word.serial)
}

/// Whether no other candidate has said anything that counts.
#[must_use]
pub fn is_alone(words: &[MasterClaim]) -> bool {
    peers(words).next().is_none()
}

/// When this host served the master role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// It serves it: luxid, which asked all nodes when it started, listens here.
    Now,
    /// Since the host booted, and it was not stopped on purpose.
    ThisBoot,
    /// Not since the host booted.
    Never,
}

/// How a node that takes itself for the master stands with the words of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing that counts is against it.
    Undisputed,
    /// A newer configuration has it as the master, too: this node's copy is old (restored from a backup).
    Behind,
    /// A newer configuration names this other master.
    Outdated(String),
    /// Configurations with one serial number name different masters, and no majority of them decides: who names whom.
    Disputed(String),
    /// The role was not served here since the boot, and nobody who counts confirms it: most of the others name another master
    /// in older configurations, or none of them answers. It may take the role, but nothing of the role is here.
    Unconfirmed(String),
}

impl Standing {
    /// The other master, of a newer configuration.
    #[must_use]
    pub fn successor(&self) -> Option<&str> {
        match self {
            Self::Outdated(master) => Some(master),
            Self::Undisputed | Self::Behind | Self::Disputed(_) | Self::Unconfirmed(_) => None,
        }
    }

    /// The two configurations of one serial number.
    #[must_use]
    pub fn dispute(&self) -> Option<&str> {
        match self {
            Self::Disputed(what) => Some(what),
            Self::Undisputed | Self::Behind | Self::Outdated(_) | Self::Unconfirmed(_) => None,
        }
    }

    /// What speaks against this node, and does not overrule it.
    #[must_use]
    pub fn doubt(&self) -> Option<&str> {
        match self {
            Self::Disputed(what) | Self::Unconfirmed(what) => Some(what),
            Self::Undisputed | Self::Behind | Self::Outdated(_) => None,
        }
    }
}

/// How this node, which takes itself for the master, stands with `words`; `candidates` are all master candidates, with it.
///
/// Where the role is not served, the newest configuration decides: of all nodes that ask the same words, one and the same
/// may take the role, whoever else is silent.
///
/// Where it is served, luxid asked all nodes when it started. More of the others must know a newer configuration than name
/// this node, and somebody besides the node that they name: what a master wrote in its last seconds, cut off, may count
/// further than its successor has got, and once it is back it names itself with the newest serial of all.
#[must_use]
pub fn standing(here: &NodeName, words: &[MasterClaim], candidates: usize, served: Served) -> Standing {
    if served == Served::Now {
        return standing_of_a_server(here, words);
    }
    let Some(newest) = peers(words).map(|word| word.serial).chain(own_serial(words)).max() else {
        return if served == Served::Never { confirmation(here, words, candidates) } else { Standing::Undisputed };
    };
    let mut names: BTreeMap<String, Vec<&MasterClaim>> = BTreeMap::new();
    for word in peers(words).chain(words.iter().filter(|word| word.own)).filter(|word| word.serial == newest) {
        names.entry(word.master.to_ascii_lowercase()).or_default().push(word);
    }
    let all: usize = names.values().map(Vec::len).sum();
    let Some((_, deciding)) = names.iter().find(|(_, words)| 2 * words.len() > all) else {
        return Standing::Disputed(who_names_whom(names.values().filter_map(|words| words.first().copied())));
    };
    let is_here = deciding.iter().any(|word| word.names(here));
    match deciding.first() {
        Some(word) if !is_here => Standing::Outdated(word.master.clone()),
        _ if own_serial(words) != Some(newest) => Standing::Behind,
        _ if served == Served::Never => confirmation(here, words, candidates),
        _ => Standing::Undisputed,
    }
}

fn standing_of_a_server(here: &NodeName, words: &[MasterClaim]) -> Standing {
    // Without its own serial nothing is known to be newer.
    let Some(own) = own_serial(words) else { return Standing::Undisputed };
    let against = newer_against(here, words, own);
    let named_by_others: BTreeSet<String> =
        against.iter().filter(|word| !word.is_of_itself()).map(|word| word.master.to_ascii_lowercase()).collect();
    let newest = against
        .iter()
        .filter(|word| named_by_others.contains(&word.master.to_ascii_lowercase()))
        .max_by_key(|word| word.serial);
    if let Some(newest) = newest.filter(|_| against.len() > confirming(here, words)) {
        return Standing::Outdated(newest.master.clone());
    }
    let same: Vec<&MasterClaim> = words.iter().filter(|word| word.own).take(1).collect();
    let others = peers(words).filter(|word| word.serial == own && !word.names(here)).take(1);
    let disputed: Vec<&MasterClaim> = same.into_iter().chain(others).collect();
    if disputed.len() > 1 { Standing::Disputed(who_names_whom(disputed.into_iter())) } else { Standing::Undisputed }
}

/// A host that booted with the newest configuration of all may be a master that was cut off, and wrote on while another
/// took the role; one that hears nobody may be shunned, or have an old shun list. It does not say that it is promoted before
/// it serves.
fn confirmation(here: &NodeName, words: &[MasterClaim], candidates: usize) -> Standing {
    let (confirming, all) = (confirming(here, words), peers(words).count());
    let against = peers(words).filter(|word| !word.names(here));
    if all == 0 && candidates > 1 {
        Standing::Unconfirmed("no other candidate answers that this node does not shun".to_owned())
    } else if 2 * (all - confirming) > all {
        Standing::Unconfirmed(who_names_whom(against.take(1).chain(words.iter().filter(|word| word.own))))
    } else {
        Standing::Undisputed
    }
}

fn confirming(here: &NodeName, words: &[MasterClaim]) -> usize {
    peers(words).filter(|word| word.names(here)).count()
}

fn newer_against<'a>(here: &NodeName, words: &'a [MasterClaim], own: u64) -> Vec<&'a MasterClaim> {
    peers(words).filter(|word| word.serial > own && !word.names(here)).collect()
}

fn who_names_whom<'a>(words: impl Iterator<Item = &'a MasterClaim>) -> String {
    let each = words.map(|word| {
        let from = if word.own { "this node" } else { word.from.as_str() };
        format!("{from} names {} (serial {})", word.master, word.serial)
    });
    each.collect::<Vec<_>>().join(", ")
}

/// What full mode finds where newer configurations than this master's name another, and no node besides that one knows: more
/// than half of those that count. An older configuration is no disagreement, whoever else is silent.
#[must_use]
pub fn disagreement(here: &NodeName, words: &[MasterClaim]) -> Option<Failure> {
    let own = own_serial(words)?;
    let against = newer_against(here, words, own);
    let newest = against.iter().max_by_key(|word| word.serial)?;
    let all = against.len() + confirming(here, words);
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

/// The words that were not counted though they are not older than the own, for people: of nodes that this node shuns.
#[must_use]
pub fn ignored(here: &NodeName, words: &[MasterClaim]) -> Option<String> {
    let own = own_serial(words).unwrap_or(0);
    let shunned = words.iter().filter(|word| word.shunned && !word.own && !word.names(here) && word.serial >= own);
    let shunned: Vec<&MasterClaim> = shunned.collect();
    let who: Vec<&str> = shunned.iter().map(|word| word.from.as_str()).collect();
    let names = || who_names_whom(shunned.iter().copied());
    (!who.is_empty()).then(|| format!("{}: shunned here, ignored: {}", who.join(", "), names()))
}

/// The least score of a master, and what a node is offered with that has just become it.
pub const MASTER_SCORE: i32 = 10_000;

/// The score with which a candidate offers itself for promotion, by how recent its configuration is; none if it
/// cannot become master. `offered` is what it offered itself with last.
///
/// A master that is [outdated](Standing::Outdated) has files of the past: it cannot take the role before Ganeti has told it
/// anew. One whose standing is in doubt offers itself after every master that serves. Of two that take themselves for the
/// master, until the first of them has looked, the later one has the higher score.
///
/// Equal copies have equal scores, and a master keeps its own, so that a change of Ganeti's configuration does not have
/// Pacemaker compute anew.
#[must_use]
pub fn promotion_score(
    rank: NodeRole,
    standing: &Standing,
    words: &[MasterClaim],
    offered: Option<i32>,
) -> Option<i32> {
    // All scores stay below Pacemaker's infinity, a million.
    const SERIALS: u64 = 900_000;
    let kept = offered.filter(|score| *score >= MASTER_SCORE);
    let as_master = || {
        let serial = own_serial(words).map_or(0, |serial| serial % SERIALS);
        MASTER_SCORE + i32::try_from(serial).unwrap_or(0)
    };
    match rank {
        NodeRole::Other => None,
        NodeRole::Candidate => Some(score_of_a_copy(words)),
        NodeRole::Master => match standing {
            Standing::Outdated(_) => None,
            Standing::Undisputed => kept.or_else(|| Some(as_master())),
            Standing::Disputed(_) => kept.or(Some(1)),
            Standing::Behind | Standing::Unconfirmed(_) => Some(score_of_a_copy(words)),
        },
    }
}

fn score_of_a_copy(words: &[MasterClaim]) -> i32 {
    const NEWEST: i32 = 1_000;
    let own = own_serial(words);
    let newest = peers(words).map(|word| word.serial).chain(own).max().unwrap_or(u64::MAX);
    // A candidate whose own confd is silent has a copy of unknown age: better than no master, after all others.
    let behind = own.and_then(|own| i32::try_from(newest - own).ok()).unwrap_or(i32::MAX);
    NEWEST.saturating_sub(behind).max(1)
}

/// A candidate that has a newer configuration than this node, whose serial is `own`: what it knows and we do not would
/// be lost. Ganeti's failover does not compare (issue 1242).
#[must_use]
pub fn newer_copy(own: Option<u64>, words: &[MasterClaim]) -> Option<(u64, u64)> {
    let newest = peers(words).map(|word| word.serial).max()?;
    // An own copy of unknown age is as good as none.
    let own = own.unwrap_or(0);
    (newest > own).then_some((own, newest))
}

/// A newer configuration than this node's that was heard of, kept for the time when nobody is left who has it.
///
/// Ganeti tells an offline node nothing: it comes back, is fenced with or joins Pacemaker again, and its files say what
/// was true then. When the last node dies that knew better, this is all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewerConfig {
    /// Its serial number.
    pub serial: u64,
    /// The master in it.
    pub master: String,
    /// At a later look this node still had not got it. A moment behind is nobody's loss: a configuration is on its way.
    pub missed: bool,
}

impl NewerConfig {
    /// Whether it keeps the role from this node, whose configuration has the serial `own`.
    #[must_use]
    pub const fn is_missed(&self, own: u64) -> bool {
        self.missed && self.serial > own
    }
}

/// How far a serial number may be ahead of the own one for one candidate to be believed by the memory: no configuration changes
/// that often while a node is away for months. Each node has the key that signs words, and what is remembered outlives the lie.
pub const AHEAD_MOST: u64 = 1_000_000;

/// The word that is not remembered: more than [`AHEAD_MOST`] ahead of the serial `own`, and no other candidate is.
#[must_use]
pub fn unlikely(own: u64, words: &[MasterClaim]) -> Option<&MasterClaim> {
    let mut far = peers(words).filter(|word| word.serial > own.saturating_add(AHEAD_MOST));
    far.next().filter(|_| far.next().is_none())
}

/// What is to be kept of `words` by a node that does not serve the role, whose configuration has the serial `own`.
#[must_use]
pub fn update_newer_config(before: Option<NewerConfig>, own: u64, words: &[MasterClaim]) -> Option<NewerConfig> {
    let known = before.filter(|before| before.serial > own);
    let unlikely = unlikely(own, words);
    let counted = peers(words).filter(|word| word.serial > own && Some(*word) != unlikely);
    let newest = counted.max_by_key(|word| word.serial);
    let missed = known.is_some();
    match (known, newest) {
        (Some(known), Some(newest)) if newest.serial <= known.serial => Some(NewerConfig { missed, ..known }),
        (Some(known), None) => Some(known),
        (_, Some(newest)) => Some(NewerConfig { serial: newest.serial, master: newest.master.clone(), missed }),
        (None, None) => None,
    }
}

#[cfg(test)]
#[path = "master_claims_tests.rs"]
mod tests;
