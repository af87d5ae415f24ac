//! Why a node is left as it is, in words for the log and for `gnt-ha status`.

use std::collections::BTreeSet;
use std::fmt;

use super::proof::ProofSource;
use crate::core::breaker::OpenState;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::pause::Pause;

/// Something would have been done, and is not. Said loudly, with what lets it go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockReason {
    /// Pacemaker has no quorum here.
    NoQuorum,
    /// Pacemaker's maintenance mode.
    Maintenance,
    /// The administrator's pause.
    Paused(Pause),
    /// Pacemaker does not have the master role on this host, which takes itself for the master.
    MasterElsewhere {
        /// Where it has it, if anywhere.
        role_on: Option<NodeName>,
    },
    /// This host, Ganeti's master, was itself fenced.
    OwnNode,
    /// The breaker holds.
    Breaker {
        /// Held back.
        held: BTreeSet<NodeName>,
        /// Down already.
        down: BTreeSet<NodeName>,
        /// How many may be.
        limit: usize,
    },
    /// The cluster stack of this host started a moment ago.
    StartUp {
        /// What is left of the grace, in milliseconds.
        left_ms: u64,
    },
    /// Pacemaker has not fenced it.
    NotFenced {
        /// The attempts that failed, as far as the history tells.
        failed: usize,
    },
    /// It was fenced, and Pacemaker wants it fenced again.
    Unclean,
    /// It was fenced a moment ago and is still seen running: by Pacemaker or by its noded.
    StillSeen,
    /// It was fenced and came back before that was recorded.
    Returned,
    /// The proof is weaker than what is asked for.
    Grade {
        /// Its grade.
        grade: Grade,
        /// The least.
        least: Grade,
        /// Whose word it is.
        word: ProofSource,
    },
    /// It was fenced long enough ago to run again without Pacemaker, and its noded was not asked.
    NotAsked {
        /// How long ago it was fenced, in milliseconds.
        age_ms: u64,
    },
    /// The fencing is too old, or dated in the future.
    WrongAge {
        /// How far from now, in milliseconds.
        age_ms: u64,
    },
    /// Ganeti's record of the node was written after the fencing, and says online.
    ChangedSince,
}

impl From<&OpenState> for BlockReason {
    fn from(latch: &OpenState) -> Self {
        Self::Breaker { held: latch.held.clone(), down: latch.down.clone(), limit: latch.limit }
    }
}

/// What lets a refused record go on by a human's word.
const CONFIRM: &str = "once it is certain that it is off: gnt-ha confirm-off NODE --reason TEXT, or fence it again";

impl fmt::Display for BlockReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoQuorum => f.write_str("Pacemaker has no quorum here"),
            Self::Maintenance => f.write_str("Pacemaker is in maintenance mode"),
            Self::Paused(pause) => write!(f, "paused by {}: {} (gnt-ha resume)", pause.by, pause.reason),
            Self::MasterElsewhere { role_on: Some(host) } => {
                write!(f, "Pacemaker runs the master role on {host}, not on this host")
            }
            Self::MasterElsewhere { role_on: None } => {
                f.write_str("Pacemaker has the master role nowhere: whoever gets it sees to this")
            }
            Self::OwnNode => f.write_str("it is Ganeti's master by its own configuration: no master records itself"),
            Self::Breaker { held, down, limit } => {
                f.write_str("the breaker holds")?;
                if !held.is_empty() {
                    write!(f, " back {}", Names(held))?;
                }
                if !down.is_empty() {
                    write!(f, " beside {}", Names(down))?;
                }
                write!(f, ": at most {limit} at once (gnt-ha breaker reset, or 10 minutes of a whole cluster)")
            }
            Self::StartUp { left_ms } => {
                write!(f, "this host's cluster stack has only started: waits {} s more", left_ms.div_ceil(1_000))
            }
            Self::NotFenced { failed: 0 } => f.write_str("lost, and not fenced yet: nothing is proven"),
            Self::NotFenced { failed } => {
                write!(f, "lost, and fencing failed ({failed} in the history): nothing is proven; {CONFIRM}")
            }
            Self::Unclean => write!(f, "it was fenced, and Pacemaker holds it unclean again; {CONFIRM}"),
            Self::StillSeen => f.write_str("it was fenced and is still seen running: waits for it to be gone"),
            Self::Returned => {
                f.write_str("it was fenced and runs again before that was recorded: it stays online in Ganeti")
            }
            Self::Grade { grade, least, word } => {
                write!(f, "it is only proven {grade} ({word}), and at least {least} is asked for; {CONFIRM}")
            }
            Self::NotAsked { age_ms } => write!(
                f,
                "it was fenced {} s ago, and its noded was not asked whether it runs again; {CONFIRM}",
                age_ms / 1_000
            ),
            Self::WrongAge { age_ms } => write!(
                f,
                "the fencing is dated {} s from now, and nobody knows whether the node was readmitted since; {CONFIRM}",
                age_ms / 1_000
            ),
            Self::ChangedSince => {
                write!(f, "Ganeti's record of it is newer than the fencing, and says online; {CONFIRM}")
            }
        }
    }
}

struct Names<'a>(&'a BTreeSet<NodeName>);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            write!(f, "{}{name}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Why there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoActionReason {
    /// As it should be.
    AsItShould,
    /// Recorded offline already.
    AlreadyOffline,
    /// Left gracefully and drained already, whoever drained it.
    AlreadyDrained,
    /// Not in the cluster, and not to be drained: by the settings, because somebody undid our drain, or because it was
    /// never seen to leave.
    LeftAlone,
    /// This host is not Ganeti's master: it only remembers.
    NotMaster,
    /// The master has left gracefully: its flags are Ganeti's own.
    IsMaster,
    /// Pacemaker does not know it.
    NotInPacemaker,
}

impl fmt::Display for NoActionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsItShould => "as it should be",
            Self::AlreadyOffline => "it is recorded offline already",
            Self::AlreadyDrained => "it left gracefully and is drained already",
            Self::LeftAlone => "it is out of the cluster, and is left as it is",
            Self::NotMaster => "the master has to see to it",
            Self::IsMaster => "the master's flags do not change",
            Self::NotInPacemaker => "Pacemaker does not know it",
        })
    }
}
