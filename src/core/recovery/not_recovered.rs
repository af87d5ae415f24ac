//! The reasons why an instance is not started elsewhere, as text for the log, `gnt-ha status` and `gnt-ha check`.

use std::fmt;

use super::allocator::AllocatorError;
use super::freshness::NotFresh;
use super::harep::HarepRepair;
use super::permission::NotPermitted;
use super::state::Suspicion;
use super::template::DiskTemplate;
use super::unreadable::BadInstance;
use crate::core::breaker::OpenState;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::pause::Pause;
use crate::core::text::one_line;

/// The greatest length of a job's error in a message, in characters.
const ERROR_LIMIT: usize = 200;

/// The reason why an instance that is to run is not started elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRecovered {
    /// The cluster has no tag that switches recovery on.
    Off,
    /// This host is not the master.
    NotMaster,
    /// Pacemaker has no quorum on this host.
    NoQuorum,
    /// Pacemaker is in maintenance mode.
    Maintenance,
    /// The administrator has paused gnt-ha.
    Paused(Pause),
    /// Too many nodes were lost at once: their records are blocked, and so is each start.
    NodeBreaker(OpenState),
    /// More instances are to start at once than the limit permits.
    InstanceBreaker {
        /// How many instances it blocks.
        blocked: usize,
        /// How many may be started at once.
        limit: usize,
    },
    /// The cluster stack of this host started a moment ago.
    StartUp {
        /// The rest of the grace, in milliseconds.
        left_ms: u64,
    },
    /// No proof shows that the node, which is recorded offline, can do no more harm.
    NoProof,
    /// The node may have been put online after the proof, and recorded offline again, not by gnt-ha.
    OnlineSince,
    /// The proof is too weak for this template.
    Grade {
        /// The grade of the proof.
        grade: Grade,
        /// The weakest grade that is enough.
        least: Grade,
    },
    /// Pacemaker wants the host fenced, although its end was proven before.
    HostSuspect(Suspicion),
    /// The dead host runs again, and it is unknown that the instance does not run there: it is shunned, or does not
    /// answer.
    HostRunsAgain,
    /// The instance runs on this node.
    Runs(NodeName),
    /// The instance cannot be read in Ganeti's configuration.
    Unreadable(BadInstance),
    /// The tags of the administrator do not permit it.
    NotPermitted(NotPermitted),
    /// A repair of harep has the instance.
    Harep(HarepRepair),
    /// The disks of this template are on the dead node alone.
    NotMovable(DiskTemplate),
    /// The template is unknown to this program.
    UnknownTemplate(DiskTemplate),
    /// A job of another program or person has the instance.
    OtherJob {
        /// The number of the job.
        job: u64,
        /// Its operation, as Ganeti names it.
        operation: String,
    },
    /// A start was submitted, and luxid has not confirmed it, and may still accept it.
    Unconfirmed,
    /// The instance was migrated, moved or started elsewhere, or that had begun, and these nodes have not reported what
    /// they run.
    Migrated {
        /// The number of the job that did it.
        job: u64,
        /// The nodes that have not reported.
        silent: Vec<NodeName>,
    },
    /// A start by gnt-ha has moved the instance to this node, which does not report whether it runs it.
    MovedToSilent(NodeName),
    /// The DRBD secondary is not proven to have the newest data.
    NotFresh(NotFresh),
    /// The instance has no secondary node, or several.
    Secondaries(usize),
    /// Nothing may be started on the node that would take the instance.
    Unfit {
        /// The node on which the instance would be started.
        node: NodeName,
        /// What prevents a start on that node.
        why: NodeObjection,
    },
    /// The allocator finds no room.
    NoRoom(String),
    /// The allocator cannot be used.
    NotAllocated(AllocatorError),
    /// The instance was started as often as is tried, and failed.
    Failed {
        /// How often it was started in this incident.
        attempts: usize,
        /// The number of the last job.
        job: u64,
        /// The error of the last job.
        error: String,
        /// Whether its primary node is offline: then only a failover starts it.
        host_is_offline: bool,
    },
    /// The last start was refused before it began.
    Refused {
        /// The number of the job.
        job: u64,
        /// Why the job did not begin, as Ganeti has it.
        error: String,
        /// The time until the next start, in milliseconds.
        left_ms: u64,
    },
}

/// The reason why nothing may be started on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeObjection {
    /// Ganeti has no such node.
    NoSuchNode,
    /// The node is recorded offline, or is about to be.
    Offline,
    /// The node is recorded as drained, so Ganeti places no instance on it.
    Drained,
    /// The node may not run instances (`vm_capable`).
    NotVmCapable,
    /// The node may die or be fenced soon, for this reason.
    Suspect(Suspicion),
    /// The start on this node has failed before.
    FailedThere,
}

impl NotRecovered {
    /// Returns whether the instance stays down until the administrator acts. Otherwise the reason passes by itself, or
    /// the instance runs.
    #[must_use]
    pub const fn needs_administrator(&self) -> bool {
        match self {
            Self::NotMaster
            | Self::NoQuorum
            | Self::StartUp { .. }
            | Self::Runs(_)
            | Self::OtherJob { .. }
            | Self::Unconfirmed
            | Self::Migrated { .. }
            | Self::MovedToSilent(_)
            | Self::Refused { .. }
            | Self::HostSuspect(_)
            | Self::Harep(HarepRepair::Pending { .. }) => false,
            Self::Off
            | Self::Maintenance
            | Self::Paused(_)
            | Self::NodeBreaker(_)
            | Self::InstanceBreaker { .. }
            | Self::NoProof
            | Self::OnlineSince
            | Self::Grade { .. }
            | Self::HostRunsAgain
            | Self::Unreadable(_)
            | Self::NotPermitted(_)
            | Self::Harep(_)
            | Self::NotMovable(_)
            | Self::UnknownTemplate(_)
            | Self::NotFresh(_)
            | Self::Secondaries(_)
            | Self::Unfit { .. }
            | Self::NoRoom(_)
            | Self::NotAllocated(_)
            | Self::Failed { .. } => true,
        }
    }
}

impl NotRecovered {
    /// Returns whether the reason may be gone at the next monitor.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        !self.needs_administrator() || matches!(self, Self::NotAllocated(_) | Self::HostRunsAgain)
    }

    /// Returns whether the reason may last for hours although nothing is to be done: a node does not answer, for example.
    #[must_use]
    pub const fn is_slow(&self) -> bool {
        matches!(
            self,
            Self::Runs(_)
                | Self::HostRunsAgain
                | Self::HostSuspect(_)
                | Self::OtherJob { .. }
                | Self::Harep(_)
                | Self::NotAllocated(_)
                | Self::Migrated { .. }
                | Self::MovedToSilent(_)
        )
    }
}

impl fmt::Display for NotRecovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("recovery is off (gnt-ha setup --recover)"),
            Self::NotMaster => f.write_str("the master starts it"),
            Self::NoQuorum => f.write_str("Pacemaker has no quorum here"),
            Self::Maintenance => f.write_str("Pacemaker is in maintenance mode"),
            Self::Paused(pause) => write!(f, "paused by {}: {} (gnt-ha resume)", pause.by, pause.reason),
            Self::NodeBreaker(open) => write!(
                f,
                "the breaker is open: more than {} nodes were lost at once (gnt-ha breaker reset)",
                open.limit
            ),
            Self::InstanceBreaker { blocked, limit } => write!(
                f,
                "the breaker is open: {blocked} instances to start at once, the limit is {limit} (gnt-ha breaker reset)"
            ),
            Self::StartUp { left_ms } => {
                write!(f, "this host's cluster stack has just started: waits {} s more", left_ms.div_ceil(1_000))
            }
            Self::NoProof => f.write_str(
                "its host is recorded offline without a proof (once it is certain that it is off: gnt-ha confirm-off NODE \
                 --reason TEXT)",
            ),
            Self::OnlineSince => f.write_str(
                "its host may have been online again after it was fenced, and its record offline is not gnt-ha's (once it is \
                 certain that it is off: gnt-ha confirm-off NODE --reason TEXT)",
            ),
            Self::Grade { grade, least } => {
                write!(f, "its host is only proven {grade}, and {least} is needed for its disks")
            }
            Self::HostSuspect(why) => write!(f, "its host may run: {}", NodeObjection::Suspect(*why)),
            Self::HostRunsAgain => {
                f.write_str("its host runs again and may run it (readmit the host: gnt-ha readmit NODE)")
            }
            Self::Runs(node) => write!(
                f,
                "it runs on {node} already: do not fail it over (if Ganeti records another primary node: gnt-instance modify \
                 --new-primary={node} INSTANCE)"
            ),
            Self::Unreadable(why) => write!(f, "gnt-ha cannot read it in Ganeti's configuration: {why}"),
            Self::NotPermitted(why) => why.fmt(f),
            Self::Harep(repair) => repair.fmt(f),
            Self::NotMovable(template) => {
                write!(f, "not movable: its disks (template {template}) are on its host alone")
            }
            Self::UnknownTemplate(template) => write!(f, "gnt-ha does not support its disk template {template}"),
            Self::OtherJob { job, operation } => write!(f, "job {job} ({operation}) has the instance: waits for that job"),
            Self::Unconfirmed => {
                f.write_str("its start is submitted, and luxid has not confirmed it: waits until the queue shows it")
            }
            Self::Migrated { job, silent } => {
                write!(f, "job {job} may have moved it to a node that has not reported what it runs:")?;
                silent.iter().try_for_each(|node| write!(f, " {node}"))
            }
            Self::MovedToSilent(node) => write!(f, "it was moved to {node}, which does not report what it runs"),
            Self::NotFresh(why) => {
                write!(f, "{why} (to start it with these data: gnt-instance failover --ignore-consistency INSTANCE)")
            }
            Self::Secondaries(count) => write!(f, "it has {count} secondary nodes, and 1 is needed"),
            Self::Unfit { node, why } => write!(f, "{node} would take it, and {why}"),
            Self::NoRoom(why) => write!(f, "no other host has room: {}", one_line(why, ERROR_LIMIT)),
            Self::NotAllocated(error) => error.fmt(f),
            Self::Failed { attempts, job, error, host_is_offline } => {
                let command = if *host_is_offline { "failover" } else { "startup" };
                let error = one_line(error, ERROR_LIMIT);
                write!(
                    f,
                    "{attempts} starts failed, the last one (job {job}): {error} (gnt-instance {command} INSTANCE)"
                )
            }
            Self::Refused { job, error, left_ms } => {
                let (error, left_s) = (one_line(error, ERROR_LIMIT), left_ms.div_ceil(1_000));
                write!(f, "job {job} did not begin to start it, tries again in {left_s} s: {error}")
            }
        }
    }
}

impl fmt::Display for NodeObjection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchNode => "Ganeti has no such node",
            Self::Offline => "that node is recorded offline",
            Self::Drained => "that node is drained",
            Self::NotVmCapable => "that node may not run instances (vm_capable)",
            Self::Suspect(Suspicion::Lost) => "that node is lost",
            Self::Suspect(Suspicion::Unclean) => "that node is unclean",
            Self::Suspect(Suspicion::Shunned) => "that node is shunned",
            Self::Suspect(Suspicion::FencingPending) => "a fencing of that node is pending",
            Self::FailedThere => "the start on that node failed before",
        })
    }
}
