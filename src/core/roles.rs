//! The logic of Ganeti's roles as OCF agents: from this node's role and the state of its daemons to an OCF result.
//! Pure.
//!
//! The exit codes are OCF's (`ra/1.1/resource-agent-api.md`); Pacemaker's `lib/pengine/unpack.c` shows what the
//! scheduler makes of them. A monitor that finds an *unexpected* state has the resource recovered. Code 5 bans the
//! resource from the node. Any code but 0 from `stop` has the node fenced.

pub mod attribute;
mod failure;
pub mod gone;
pub mod health;
pub mod master_claims;
mod node_role;
pub mod simulate;

use super::node::NodeName;
use super::roles::master_claims::{MasterService, MasterStanding, NewerConfig};
pub use failure::Failure;
pub use node_role::NodeRole;

/// The exit codes of an OCF resource agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OcfCode {
    /// The action is done; for a monitor: running, or unpromoted.
    Success,
    /// A failure that another attempt may fix.
    ErrGeneric,
    /// The parameters make no sense on this node.
    ErrArgs,
    /// The agent has no such action.
    ErrUnimplemented,
    /// Something that the resource needs is not on this node.
    ErrInstalled,
    /// The parameters make no sense on any node.
    ErrConfigured,
    /// The resource is not running.
    NotRunning,
    /// The resource is running, and promoted.
    RunningPromoted,
    /// The resource is promoted, and has failed.
    FailedPromoted,
}

impl OcfCode {
    /// Returns the exit code as a number.
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

/// The result of an action of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcfResult {
    /// The exit code, by which Pacemaker decides about the resource.
    pub code: OcfCode,
    /// The reason, if it is not a plain success: Pacemaker shows it with the failure.
    pub reason: Option<String>,
}

impl OcfResult {
    /// Returns a result that needs no reason: Pacemaker shows only the exit code.
    #[must_use]
    pub const fn plain(code: OcfCode) -> Self {
        Self { code, reason: None }
    }

    /// Returns a result with a reason, which Pacemaker shows with the exit code.
    #[must_use]
    pub fn because(code: OcfCode, reason: impl Into<String>) -> Self {
        Self { code, reason: Some(reason.into()) }
    }
}

/// How Pacemaker runs `ganeti-master-role`, which decides what its `start` and `stop` mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunAs {
    /// As one resource: the node on which it is started is the master.
    Primitive,
    /// As a clone on every node: the node with the promoted instance is the master.
    Promotable {
        /// Whether this node's instance was started since the host booted.
        started: bool,
    },
}

/// One line for Pacemaker of all failures.
#[must_use]
pub fn join_failures(failures: &[Failure]) -> String {
    let all: Vec<String> = failures.iter().map(|failure| format!("{}: {}", failure.check, failure.found)).collect();
    all.join("; ")
}

/// The input of a monitor of `ganeti-master-role`.
#[derive(Clone, Debug)]
pub struct MasterView {
    /// The role of this node, by its own files.
    pub rank: NodeRole,
    /// How the claims of the other candidates compare with this node's claim to be master.
    pub run_as: RunAs,
    /// The way in which Pacemaker runs the role.
    pub standing: MasterStanding,
    /// Whether, at a probe, luxid does not listen and no other candidate has answered.
    pub alone: bool,
    /// The master claims that were not counted, as text: those of nodes that this node shuns.
    pub ignored: Option<String>,
    /// Whether the role was stopped here on purpose since the host booted.
    pub stopped: bool,
    /// When the role was served here; now means that luxid listens.
    pub served: MasterService,
    /// Whether a daemon of the role runs here, or its IP is here. Checked only if full mode found a failure.
    pub left: bool,
    /// The failures that full mode found; `None` in partial mode.
    pub failures: Option<Vec<Failure>>,
}

/// Returns the result of a monitor of `ganeti-master-role`.
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
    if let Some(new_master) = view.standing.new_master() {
        return OcfResult::because(
            not_here,
            format!("this node's configuration names it the master, its peers name {new_master}"),
        );
    }
    // The reason contains what neither ends the role nor keeps it away.
    let doubts: Vec<&str> = view.standing.doubt().into_iter().chain(view.ignored.as_deref()).collect();
    let reason = (!doubts.is_empty()).then(|| doubts.join("; "));
    let is_doubted = view.standing.doubt().is_some() && view.served == MasterService::Never;
    if view.alone || is_doubted || view.stopped && view.served != MasterService::Now {
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
        Some(failures) if view.served == MasterService::Now || view.left => {
            let code = match view.run_as {
                RunAs::Primitive => OcfCode::ErrGeneric,
                RunAs::Promotable { .. } => OcfCode::FailedPromoted,
            };
            OcfResult::because(code, join_failures(failures))
        }
        // Nothing of the role runs: that is "not running", which needs no stop that could fail.
        Some(failures) => OcfResult { reason: Some(join_failures(failures)), ..idle(view.run_as) },
    }
}

/// Returns the result for a role that is not here, as it should be.
#[must_use]
pub const fn idle(run_as: RunAs) -> OcfResult {
    OcfResult::plain(match run_as {
        RunAs::Primitive | RunAs::Promotable { started: false } => OcfCode::NotRunning,
        RunAs::Promotable { started: true } => OcfCode::Success,
    })
}

/// Returns the result for a node on which the role can never be. A primitive is banned from it. The instance of a clone
/// waits for ever, which does no harm.
fn elsewhere(run_as: RunAs) -> OcfResult {
    match run_as {
        RunAs::Primitive => OcfResult::because(OcfCode::ErrInstalled, "this node is not a master candidate"),
        RunAs::Promotable { .. } => idle(run_as),
    }
}

/// The way in which the role comes to this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// The role is here by Ganeti's files: the daemons are started if they do not serve.
    StartDaemons {
        /// The proof that it is safe not to ask the other nodes; `None` if they are asked.
        no_voting: Option<String>,
    },
    /// `gnt-cluster master-failover` is run.
    Failover {
        /// The proof that it is safe not to ask the other nodes; `None` if they are asked.
        no_voting: Option<String>,
    },
    /// This node cannot take the role, for this reason.
    Blocked(OcfResult),
    /// This node cannot take the role yet; the obstacle may disappear by itself.
    NotYet(OcfResult),
}

/// The state before the role is taken.
#[derive(Clone, Debug)]
pub struct TakeoverView {
    /// The role of this node, by its own files.
    pub rank: NodeRole,
    /// How the claims of the other candidates compare with this node's claim to be master.
    pub standing: MasterStanding,
    /// Whether the master IP answers, and is not on this host.
    pub served_elsewhere: bool,
    /// The serial numbers of this node and of a reachable candidate with a newer configuration, if there is one
    /// ([`newer_copy`](super::roles::master_claims::newer_copy)).
    pub newer_copy: Option<(u64, u64)>,
    /// This node's serial number and the newer configuration that blocks the role, if there is one
    /// ([`update_newer_config`](super::roles::master_claims::update_newer_config)).
    pub newer: Option<(u64, NewerConfig)>,
    /// Whether a newer configuration elsewhere is ignored (tag `ocf:failover:any-serial`).
    pub any_serial: bool,
    /// The number of nodes of the cluster, offline ones included: Ganeti counts them.
    pub nodes: usize,
    /// The number of nodes that can be expected to vote: those that are not offline and whose noded accepts
    /// connections, and this one.
    pub voters: usize,
    /// The proof that no other node holds the role: each node that [`gone::must_be_gone`] names is gone.
    pub gone: Option<String>,
    /// The first of those nodes for which there is no proof.
    pub unproven: Option<NodeName>,
}

/// Decides how the role comes to this node.
#[must_use]
pub fn take_over(view: &TakeoverView) -> Takeover {
    let block = |code, reason: String| Takeover::Blocked(OcfResult::because(code, reason));
    if view.rank == NodeRole::Other {
        return block(OcfCode::ErrInstalled, "this node is not a master candidate".to_owned());
    }
    if let Some(new_master) = view.standing.new_master() {
        let reason = format!(
            "this node's configuration names it the master, its peers name {new_master}: Ganeti's files here are out of date \
             (on the master: gnt-cluster redist-conf)"
        );
        return block(OcfCode::ErrGeneric, reason);
    }
    if let Some(dispute) = view.standing.dispute().filter(|_| !view.any_serial) {
        let reason = format!(
            "two configurations have one serial number and different masters: {dispute} (on the right master: gnt-cluster \
             redist-conf; a cluster with the tag ocf:failover:any-serial does not ask)"
        );
        return block(OcfCode::ErrGeneric, reason);
    }
    if let Some((own, newer)) = view.newer.as_ref().filter(|_| !view.any_serial) {
        let NewerConfig { serial, master, .. } = newer;
        let reason = format!(
            "the configuration here has the serial {own}, {master} had {serial}, which would be lost (bring {master} \
             back; or, if that cannot be, remove /var/lib/gnt-ha/newer-config.json here)"
        );
        return block(OcfCode::ErrGeneric, reason);
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
        return block(OcfCode::ErrGeneric, reason);
    }
    // Both the command and luxid need more than half of all nodes (`lib/bootstrap.py`, `src/Ganeti/Daemon/Utils.hs`).
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

/// Returns the result of a monitor of `ganeti-node-role`. `stopped`: the role was stopped since the host booted.
/// `failures`: those of full mode.
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
