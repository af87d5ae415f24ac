//! The reasons why a node is left as it is, as text for the log and for `gnt-ha status`.

use std::collections::BTreeSet;
use std::fmt;

use super::proof::ProofSource;
use crate::core::breaker::OpenState;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::pause::Pause;

/// The reason why a change of a node's record is blocked. The text has the command that unblocks it, for reasons that
/// have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockReason {
    /// Pacemaker has no quorum on this host.
    NoQuorum,
    /// Pacemaker is in maintenance mode.
    Maintenance,
    /// The administrator has paused reconciliation.
    Paused(Pause),
    /// This host is master by its own configuration, and Pacemaker does not have the master role on it.
    MasterElsewhere {
        /// The node on which Pacemaker has the role, if any.
        role_on: Option<NodeName>,
    },
    /// The node is Ganeti's master and was itself fenced.
    OwnNode,
    /// Too many nodes were lost at once; `gnt-ha breaker reset` permits the record.
    Breaker {
        /// The nodes that the breaker blocks.
        blocked: BTreeSet<NodeName>,
        /// The nodes that were recorded offline before.
        down: BTreeSet<NodeName>,
        /// How many nodes may be recorded offline at once.
        limit: usize,
    },
    /// The cluster stack of this host started a moment ago.
    StartUp {
        /// The rest of the grace, in milliseconds.
        left_ms: u64,
    },
    /// The node is lost, and Pacemaker has not fenced it.
    NotFenced {
        /// The number of failed attempts in the fence history.
        failed: usize,
    },
    /// The node was fenced, and Pacemaker wants it fenced again.
    Unclean,
    /// The node was fenced a moment ago and is still seen running, by Pacemaker or by its noded.
    StillSeen,
    /// The node was fenced and came back before that was recorded.
    Returned,
    /// The proof is weaker than the settings require.
    Grade {
        /// The grade of the proof.
        grade: Grade,
        /// The weakest grade that is enough.
        least: Grade,
        /// The source of the proof.
        source: ProofSource,
    },
    /// The node was fenced long enough ago to run again without Pacemaker, and its noded was not asked.
    NotAsked {
        /// How long ago the node was fenced, in milliseconds.
        age_ms: u64,
    },
    /// The fencing is too old, or dated in the future.
    WrongAge {
        /// How far the date of the fencing is from now, in milliseconds.
        age_ms: u64,
    },
    /// Ganeti wrote its record of the node, which is online, after the fencing.
    ChangedSince,
}

impl From<&OpenState> for BlockReason {
    fn from(open: &OpenState) -> Self {
        Self::Breaker { blocked: open.blocked.clone(), down: open.down.clone(), limit: open.limit }
    }
}

/// What an administrator does to unblock a record: confirm that the node is off, or fence it again.
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
                f.write_str("Pacemaker runs the master role on no host: the next master records this")
            }
            Self::OwnNode => f.write_str("it is Ganeti's master by its own configuration: no master records itself"),
            Self::Breaker { blocked, down, limit } => {
                f.write_str("the breaker is open")?;
                if !blocked.is_empty() {
                    write!(f, " and blocks {}", Names(blocked))?;
                }
                if !down.is_empty() {
                    write!(f, " beside {}", Names(down))?;
                }
                write!(f, ": at most {limit} at once (gnt-ha breaker reset, or 10 minutes of a whole cluster)")
            }
            Self::StartUp { left_ms } => {
                write!(f, "Pacemaker started on this host a short time ago: waits {} s more", left_ms.div_ceil(1_000))
            }
            Self::NotFenced { failed: 0 } => f.write_str("lost, and not fenced yet: nothing is proven"),
            Self::NotFenced { failed } => {
                write!(f, "lost, and fencing failed ({failed} in the history): nothing is proven; {CONFIRM}")
            }
            Self::Unclean => write!(f, "it was fenced, and is UNCLEAN in Pacemaker again; {CONFIRM}"),
            Self::StillSeen => {
                f.write_str("it was fenced a moment ago and is seen running: waits until it is gone or has come back")
            }
            Self::Returned => {
                f.write_str("it was fenced and runs again before that was recorded: it stays online in Ganeti")
            }
            Self::Grade { grade, least, source } => {
                write!(f, "it is only proven {grade} ({source}), and at least {least} is needed; {CONFIRM}")
            }
            Self::NotAsked { age_ms } => write!(
                f,
                "it was fenced {} s ago, and its noded was not asked whether it runs again; {CONFIRM}",
                age_ms / 1_000
            ),
            Self::WrongAge { age_ms } => write!(
                f,
                "the fencing is dated {} s from now, and it is unknown whether the node was readmitted since; {CONFIRM}",
                age_ms / 1_000
            ),
            Self::ChangedSince => {
                write!(f, "Ganeti's record of it is newer than the fencing, and is online; {CONFIRM}")
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

/// The reason why no change of a node's record is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoActionReason {
    /// Ganeti's flags agree with what is proven of the node.
    AsItShould,
    /// The node is recorded offline already.
    AlreadyOffline,
    /// The node is recorded offline already. The host that fenced it is asked for a receipt that shows its power.
    PowerUnknown(ProofSource),
    /// The node left gracefully and is drained already, by gnt-ha or not.
    AlreadyDrained,
    /// The node is not in the cluster, and not to be drained. The settings exclude that, gnt-ha's drain was undone, or
    /// the node was never seen as a member.
    LeftAlone,
    /// This host is not Ganeti's master: it only remembers.
    NotMaster,
    /// The node is the master: Ganeti itself keeps the flags of its master.
    IsMaster,
    /// Pacemaker has no such node.
    NotInPacemaker,
}

impl fmt::Display for NoActionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PowerUnknown(source) => {
                return write!(f, "it is recorded offline already; its power is asked for ({source})");
            }
            Self::AsItShould => "as it should be",
            Self::AlreadyOffline => "it is recorded offline already",
            Self::AlreadyDrained => "it left gracefully and is drained already",
            Self::LeftAlone => "it is out of the cluster, and is left as it is",
            Self::NotMaster => "the master decides",
            Self::IsMaster => "the master's flags do not change",
            Self::NotInPacemaker => "Pacemaker has no such node",
        })
    }
}
