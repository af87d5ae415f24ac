//! What Ganeti's roles mean to Pacemaker: who this node is and what works here go in, an OCF result comes out.
//!
//! Facts: the exit codes are OCF's (`ra/1.1/resource-agent-api.md`); what the scheduler makes of them is
//! Pacemaker's `lib/pengine/unpack.c`. A monitor that finds an *unexpected* state has the resource recovered; 5 bans
//! it from the node; anything but 0 from `stop` has the node fenced.

pub mod attribute;
mod failure;
pub mod gone;
pub mod health;
pub mod master_claims;
mod node_role;
pub mod simulate;

use super::node::NodeName;
use super::roles::master_claims::{NewerConfig, Served, Standing};
pub use failure::Failure;
pub use node_role::NodeRole;

/// The exit codes of an OCF resource agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OcfCode {
    /// Done; for a monitor: running, or unpromoted.
    Success,
    /// A failure that another attempt may fix.
    ErrGeneric,
    /// The parameters make no sense on this node.
    ErrArgs,
    /// There is no such action.
    ErrUnimplemented,
    /// Something that the resource needs is not on this node.
    ErrInstalled,
    /// The parameters make no sense anywhere.
    ErrConfigured,
    /// Not running.
    NotRunning,
    /// Running, and promoted.
    RunningPromoted,
    /// Promoted, and failed.
    FailedPromoted,
}

impl OcfCode {
    /// The number, as Pacemaker sees it.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::ErrGeneric => 1,
            Self::ErrArgs => 2,
            Self::ErrUnimplemented => 3,
            Self::ErrInstalled => 5,
            Self::ErrConfigured => 6,
            Self::NotRunning => 7,
            Self::RunningPromoted => 8,
            Self::FailedPromoted => 9,
        }
    }
}

/// What an action comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcfResult {
    /// The exit code.
    pub code: OcfCode,
    /// Why, if it is no plain success: Pacemaker shows it beside the failure.
    pub reason: Option<String>,
}

impl OcfResult {
    /// Without a reason.
    #[must_use]
    pub const fn plain(code: OcfCode) -> Self {
        Self { code, reason: None }
    }

    /// With a reason.
    #[must_use]
    pub fn because(code: OcfCode, reason: impl Into<String>) -> Self {
        Self { code, reason: Some(reason.into()) }
    }
}

/// How Pacemaker runs `ganeti-master-role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunAs {
    /// One resource: where it is started is the master.
    Primitive,
    /// A clone on every node: the promoted instance is the master.
    Promotable {
        /// This node's instance was started since the host booted.
        started: bool,
    },
}

/// One line for Pacemaker of all failures.
#[must_use]
pub fn join_failures(failures: &[Failure]) -> String {
    let all: Vec<String> = failures.iter().map(|failure| format!("{}: {}", failure.check, failure.found)).collect();
    all.join("; ")
}

/// What a monitor of `ganeti-master-role` sees.
#[derive(Clone, Debug)]
pub struct MasterView {
    /// Who this node takes itself for.
    pub rank: NodeRole,
    /// How Pacemaker runs the role.
    pub run_as: RunAs,
    /// How this node stands with the other candidates, where it takes itself for the master.
    pub standing: Standing,
    /// At a first look, luxid does not listen and no other candidate has answered.
    pub alone: bool,
    /// What was not counted: the word of a node that this node shuns.
    pub ignored: Option<String>,
    /// The role was stopped here on purpose since the host booted.
    pub stopped: bool,
    /// When the role was served here; now: luxid listens.
    pub served: Served,
    /// A daemon of the role runs here, or its IP is here. Only looked at where full mode found a failure.
    pub left: bool,
    /// What full mode found; `None` in partial mode.
    pub failures: Option<Vec<Failure>>,
}

/// What a monitor of `ganeti-master-role` answers.
#[must_use]
pub fn monitor_master(view: &MasterView) -> OcfResult {
    match view.rank {
        NodeRole::Other => elsewhere(view.run_as),
        NodeRole::Candidate => idle(view.run_as),
        NodeRole::Master => monitor_believed_master(view),
    }
}

fn monitor_believed_master(view: &MasterView) -> OcfResult {
    let OcfResult { code: not_here, .. } = idle(view.run_as);
    if let Some(successor) = view.standing.successor() {
        return OcfResult::because(
            not_here,
            format!("this node takes itself for the master, its peers know {successor}"),
        );
    }
    // What neither ends a role nor keeps it away is said.
    let doubts: Vec<&str> = view.standing.doubt().into_iter().chain(view.ignored.as_deref()).collect();
    let reason = (!doubts.is_empty()).then(|| doubts.join("; "));
    let is_doubted = view.standing.doubt().is_some() && view.served == Served::Never;
    if view.alone || is_doubted || view.stopped && view.served != Served::Now {
        return OcfResult { reason, ..idle(view.run_as) };
    }
    match view.failures.as_deref() {
        None | Some([]) => {
            let code = match view.run_as {
                RunAs::Primitive => OcfCode::Success,
                RunAs::Promotable { .. } => OcfCode::RunningPromoted,
            };
            OcfResult { code, reason }
        }
        Some(failures) if view.served == Served::Now || view.left => {
            let code = match view.run_as {
                RunAs::Primitive => OcfCode::ErrGeneric,
                RunAs::Promotable { .. } => OcfCode::FailedPromoted,
            };
            OcfResult::because(code, join_failures(failures))
        }
        // Nothing of it runs: that is "not running", which needs no stop that could fail.
        Some(failures) => OcfResult { reason: Some(join_failures(failures)), ..idle(view.run_as) },
    }
}

/// The role is not here, and that is well.
#[must_use]
pub const fn idle(run_as: RunAs) -> OcfResult {
    OcfResult::plain(match run_as {
        RunAs::Primitive | RunAs::Promotable { started: false } => OcfCode::NotRunning,
        RunAs::Promotable { started: true } => OcfCode::Success,
    })
}

/// The role can never be here. A primitive is banned; a clone's instance waits for ever and harms nobody.
fn elsewhere(run_as: RunAs) -> OcfResult {
    match run_as {
        RunAs::Primitive => OcfResult::because(OcfCode::ErrInstalled, "this node is no master candidate"),
        RunAs::Promotable { .. } => idle(run_as),
    }
}

/// How the role comes to this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// It is here by Ganeti's files: the daemons are started if they do not serve.
    StartDaemons {
        /// Without asking the other nodes, and what proves that this is safe.
        no_voting: Option<String>,
    },
    /// `gnt-cluster master-failover`.
    Failover {
        /// Without asking the other nodes, and what proves that this is safe.
        no_voting: Option<String>,
    },
    /// It cannot, and why.
    Refused(OcfResult),
    /// It cannot yet: what is in the way may go away by itself.
    NotYet(OcfResult),
}

/// What is known before the role is taken.
#[derive(Clone, Debug)]
pub struct TakeoverView {
    /// Who this node takes itself for.
    pub rank: NodeRole,
    /// How this node stands with the other candidates, where it takes itself for the master.
    pub standing: Standing,
    /// The master IP answers, and it is not on this host.
    pub served_elsewhere: bool,
    /// A candidate that can be reached has a newer configuration: own serial, its serial
    /// ([`newer_copy`](super::roles::master_claims::newer_copy)).
    pub newer_copy: Option<(u64, u64)>,
    /// This node has missed a newer configuration: own serial, and what was heard ([`hear`](super::roles::master_claims::update_newer_config)).
    pub missed: Option<(u64, NewerConfig)>,
    /// A newer configuration elsewhere is no hindrance (tag).
    pub any_serial: bool,
    /// How many nodes the cluster has, those offline too: Ganeti counts them.
    pub nodes: usize,
    /// How many can be expected to vote: nodes that are not offline and whose noded takes connections, with this one.
    pub voters: usize,
    /// What proves that nobody else holds the role: that each node is gone that [`gone::must_be_gone`] names.
    pub gone: Option<String>,
    /// The first of those of which nothing proves it.
    pub unproven: Option<NodeName>,
}

/// Decides how the role comes here.
#[must_use]
pub fn take_over(view: &TakeoverView) -> Takeover {
    let refuse = |code, reason: String| Takeover::Refused(OcfResult::because(code, reason));
    if view.rank == NodeRole::Other {
        return refuse(OcfCode::ErrInstalled, "this node is no master candidate".to_owned());
    }
    if let Some(successor) = view.standing.successor() {
        let reason = format!(
            "this node takes itself for the master, its peers know {successor}: Ganeti's files here are out of date \
             (on the master: gnt-cluster redist-conf)"
        );
        return refuse(OcfCode::ErrGeneric, reason);
    }
    if let Some(dispute) = view.standing.dispute().filter(|_| !view.any_serial) {
        let reason = format!(
            "two configurations have one serial number and different masters: {dispute} (on the right master: gnt-cluster \
             redist-conf; a cluster with the tag ocf:failover:any-serial does not ask)"
        );
        return refuse(OcfCode::ErrGeneric, reason);
    }
    if let Some((own, heard)) = view.missed.as_ref().filter(|_| !view.any_serial) {
        let NewerConfig { serial, master, .. } = heard;
        let reason = format!(
            "the configuration here has the serial {own}, {master} had {serial}, which would be lost (bring {master} \
             back; or, if that cannot be, remove /var/lib/gnt-ha/newer-config.json here)"
        );
        return refuse(OcfCode::ErrGeneric, reason);
    }
    if view.served_elsewhere {
        let reason = "the master IP answers and is not on this host: the role is held elsewhere".to_owned();
        return Takeover::NotYet(OcfResult::because(OcfCode::ErrGeneric, reason));
    }
    if let Some((own, newest)) = view.newer_copy.filter(|_| !view.any_serial) {
        let reason = format!(
            "another candidate has a newer configuration (serial {newest}, here {own}), which would be lost (let it \
             take the role; a cluster with the tag ocf:failover:any-serial does not ask)"
        );
        return refuse(OcfCode::ErrGeneric, reason);
    }
    // Both the command and luxid want more than half of all nodes (lib/bootstrap.py, src/Ganeti/Daemon/Utils.hs).
    let no_voting = if 2 * view.voters > view.nodes {
        None
    } else if let Some(proof) = &view.gone {
        Some(proof.clone())
    } else {
        let unproven = view.unproven.as_ref().map_or("the old master", NodeName::as_str);
        let reason = format!(
            "{} of {} nodes can vote, Ganeti wants more than half, and nothing proves that {unproven} is gone (bring \
             nodes back, or confirm here that it is off: gnt-ha confirm-off {unproven} --reason TEXT)",
            view.voters, view.nodes
        );
        return Takeover::NotYet(OcfResult::because(OcfCode::ErrGeneric, reason));
    };
    match view.rank {
        NodeRole::Master => Takeover::StartDaemons { no_voting },
        NodeRole::Candidate | NodeRole::Other => Takeover::Failover { no_voting },
    }
}

/// What a monitor of `ganeti-node-role` answers: `stopped` since the host booted, the failures of full mode.
#[must_use]
pub fn monitor_node(stopped: bool, failures: &[Failure]) -> OcfResult {
    if stopped {
        return OcfResult::plain(OcfCode::NotRunning);
    }
    if failures.is_empty() {
        OcfResult::plain(OcfCode::Success)
    } else {
        OcfResult::because(OcfCode::ErrGeneric, join_failures(failures))
    }
}

#[cfg(test)]
mod tests;
