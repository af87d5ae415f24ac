//! What the master candidates say: who is master, and how recent their configuration is.
//!
//! Their confd answers signed questions, also on a node that has been away for long. So a word may be old, and a node
//! that came back with the files of then goes on to name itself.

use serde::{Deserialize, Serialize};

use crate::core::node::NodeName;
use crate::core::roles::{Failure, Rank};

/// What a master candidate's confd says of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// It is this node's own.
    pub own: bool,
    /// Who is master, in the configuration that it has.
    pub master: String,
    /// That is the node that says so.
    pub of_itself: bool,
    /// That configuration's serial number.
    pub serial: u64,
}

impl Word {
    fn is_against(&self, here: &NodeName) -> bool {
        !self.own && !self.master.eq_ignore_ascii_case(here.as_str())
    }
}

/// More than half of the peers that answer, if that many take somebody else for the master: how many they are, and
/// those.
fn majority_against<'a>(here: &NodeName, words: &'a [Word]) -> Option<(usize, Vec<&'a Word>)> {
    let peers = words.iter().filter(|word| !word.own).count();
    let against: Vec<&Word> = words.iter().filter(|word| word.is_against(here)).collect();
    (2 * against.len() > peers).then_some((peers, against))
}

fn own_serial(words: &[Word]) -> Option<u64> {
    words.iter().find(|word| word.own).map(|word| word.serial)
}

/// Whom the peers take for the master against this node's own belief that it is the master itself.
///
/// A master that was dead for a while comes back with the files of then. The majority of the peers that answer settles
/// it, never one voice: what a master wrote in its last seconds, cut off, may count further than its successor has got,
/// and once it is back it names itself with the newest serial of all.
///
/// Where the role is served, luxid asked all nodes when it started, and a peer's confd may lag behind a fresh failover
/// for a moment: there the majority must also know a newer configuration, from another node than the one that it names.
#[must_use]
pub fn successor(here: &NodeName, words: &[Word], serving: bool) -> Option<String> {
    let (_, against) = majority_against(here, words)?;
    let newest = against.iter().max_by_key(|word| word.serial)?;
    let is_settled = || {
        let is_newer = own_serial(words).is_some_and(|own| newest.serial > own);
        is_newer && against.iter().any(|word| !word.of_itself)
    };
    (!serving || is_settled()).then(|| newest.master.clone())
}

/// What full mode finds where the peers' word is against a master that serves, with no newer configuration to settle
/// it: more than half of those that answer take somebody else for the master.
#[must_use]
pub fn disagreement(here: &NodeName, words: &[Word]) -> Option<Failure> {
    let (peers, against) = majority_against(here, words)?;
    let named = against.first()?;
    Some(Failure {
        check: "peers",
        found: format!("{} of {peers} that answer take {} for the master", against.len(), named.master),
    })
}

/// The least score of a master, and what a node is offered with that has just become it.
pub const MASTER_SCORE: i32 = 10_000;

/// The score with which a candidate offers itself for promotion, by how recent its configuration is; none if it
/// cannot become master. `offered` is what it offered itself with last.
///
/// A master with a [`successor`] has files of the past: it cannot take the role before Ganeti has told it anew. Of two
/// that take themselves for the master, until the first of them has looked, the later one has the higher score.
///
/// Equal copies have equal scores, and a master keeps its own, so that a change of Ganeti's configuration does not have
/// Pacemaker compute anew.
#[must_use]
pub fn promotion_score(rank: Rank, successor: Option<&str>, words: &[Word], offered: Option<i32>) -> Option<i32> {
    const NEWEST: i32 = 1_000;
    // All scores stay below Pacemaker's infinity, a million.
    const SERIALS: u64 = 900_000;
    match rank {
        Rank::Master if successor.is_some() => None,
        Rank::Master => offered.filter(|score| *score >= MASTER_SCORE).or_else(|| {
            let serial = own_serial(words).map_or(0, |serial| serial % SERIALS);
            Some(MASTER_SCORE + i32::try_from(serial).unwrap_or(0))
        }),
        Rank::Other => None,
        Rank::Candidate => {
            let newest = words.iter().map(|word| word.serial).max().unwrap_or(u64::MAX);
            // A candidate whose own confd is silent has a copy of unknown age: better than no master, after all others.
            let behind = own_serial(words).and_then(|own| i32::try_from(newest - own).ok()).unwrap_or(i32::MAX);
            Some(NEWEST.saturating_sub(behind).max(1))
        }
    }
}

/// A candidate that has a newer configuration than this node, whose serial is `own`: what it knows and we do not would
/// be lost. Ganeti's failover does not compare (issue 1242).
#[must_use]
pub fn newer_copy(own: Option<u64>, words: &[Word]) -> Option<(u64, u64)> {
    let newest = words.iter().filter(|word| !word.own).map(|word| word.serial).max()?;
    // An own copy of unknown age is as good as none.
    let own = own.unwrap_or(0);
    (newest > own).then_some((own, newest))
}

/// A newer configuration than this node's that was heard of, kept for the time when nobody is left who has it.
///
/// Ganeti tells an offline node nothing: it comes back, is fenced with or joins Pacemaker again, and its files say what
/// was true then. When the last node dies that knew better, this is all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Its serial number.
    pub serial: u64,
    /// The master in it.
    pub master: String,
    /// At a later look this node still had not got it. A moment behind is nobody's loss: a configuration is on its way.
    pub missed: bool,
}

/// What is to be kept of `words` by a node that does not serve the role, whose configuration has the serial `own`.
#[must_use]
pub fn hear(before: Option<Heard>, own: u64, words: &[Word]) -> Option<Heard> {
    let known = before.filter(|before| before.serial > own);
    let newest = words.iter().filter(|word| !word.own && word.serial > own).max_by_key(|word| word.serial);
    let missed = known.is_some();
    match (known, newest) {
        (Some(known), Some(newest)) if newest.serial <= known.serial => Some(Heard { missed, ..known }),
        (Some(known), None) => Some(known),
        (_, Some(newest)) => Some(Heard { serial: newest.serial, master: newest.master.clone(), missed }),
        (None, None) => None,
    }
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
