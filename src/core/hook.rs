//! The logic of Ganeti's hooks: from the event and the state of this host to the steps. Pure.
//!
//! A hook runs within Ganeti's job, with its locks held. So it waits for no job, and steps that take long are left to a
//! process for which the job does not wait. Sources: Ganeti's `doc/hooks.rst`, `lib/hooksmaster.py`, `lib/mcpu.py`
//! (`_ExecLU`).

use std::collections::{BTreeMap, BTreeSet};

use super::confirm_off::stranger;
use super::ganeti::tags::OfflineByHand;
use super::node::{self, NodeName};
use super::pacemaker::crm_mon::CrmMon;
use super::pacemaker::names::{NoPacemakerName, PacemakerName, called};
use super::quorum::{Quorum, RemainingVotes};
use super::reconcile::{FenceAction, FenceStatus, Membership};

mod step;

pub use step::{HookStep, ParseHookStepError};

/// The kind of a hook, by Ganeti's name for the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `gnt-cluster verify` has checked the nodes.
    ClusterVerify,
    /// An instance is about to be started. Ganeti runs the hook on the master and on the instance's primary and
    /// secondary nodes.
    Instance,
    /// An instance is about to be changed. Ganeti runs the hook on the same nodes.
    InstanceModify,
    /// A job has written the configuration. Ganeti runs the hook on the master only, and ignores the output of the
    /// script.
    ConfigUpdate,
    /// This host has taken the master IP, at every start of luxid. Ganeti has no hook that is nearer to a failover of
    /// the master.
    MasterIpTurnup,
    /// A node was added, or added again.
    NodeAdd,
    /// A node's flags were changed.
    NodeModify,
    /// A node was removed from the cluster.
    NodeRemove,
    /// ganeti-watcher runs, every five minutes.
    Watcher,
}

/// A call of a hook's script: which event of Ganeti, and the variables that count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookEvent {
    /// The kind of the hook.
    pub hook: Hook,
    /// Whether the hook runs before the change, and its failure stops the change.
    pub is_pre: bool,
    /// The node that the change is about.
    pub target: Option<NodeName>,
    /// Whether the node is to be offline, or online; `None` if that does not change.
    pub offline: Option<bool>,
    /// Whether the node gets a flag that an offline node cannot have, or is to be online.
    pub comes_back: bool,
    /// The node on which an instance is to run.
    pub runs_on: Option<NodeName>,
}

impl HookEvent {
    /// Reads the environment of a hook; `None` for a hook that needs no step. The watcher gives its hooks no
    /// environment.
    #[must_use]
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let flag = |name: &str| match variable(name)?.as_str() {
            "True" => Some(true),
            "False" => Some(false),
            _ => None,
        };
        let hook = match variable("GANETI_HOOKS_PATH").as_deref() {
            None => Hook::Watcher,
            Some("cluster-verify") => Hook::ClusterVerify,
            Some("config-update") => Hook::ConfigUpdate,
            Some(
                "instance-add" | "instance-failover" | "instance-migrate" | "instance-move" | "instance-reboot"
                | "instance-start",
            ) => Hook::Instance,
            Some("instance-modify") => Hook::InstanceModify,
            Some("master-ip-turnup") => Hook::MasterIpTurnup,
            Some("node-add") => Hook::NodeAdd,
            Some("node-modify") => Hook::NodeModify,
            Some("node-remove") => Hook::NodeRemove,
            Some(_) => return None,
        };
        let target = variable("GANETI_OP_TARGET").and_then(|name| NodeName::new(&name).ok());
        let offline = flag("GANETI_OFFLINE");
        // For an instance that moves to another node (`lib/cmdlib/instance_migration.py`, `instance.py`) the new node
        // is given beside the old one.
        let names = ["GANETI_NEW_PRIMARY", "GANETI_TARGET_NODE", "GANETI_INSTANCE_PRIMARY"];
        let runs_on = names.into_iter().find_map(|name| variable(name).filter(|node| node != "None"));
        Some(Self {
            hook,
            is_pre: variable("GANETI_HOOKS_PHASE").as_deref() == Some("pre"),
            target,
            offline,
            comes_back: offline == Some(false)
                || flag("GANETI_DRAINED") == Some(true)
                || flag("GANETI_MASTER_CANDIDATE") == Some(true),
            runs_on: runs_on.and_then(|name| NodeName::new(&name).ok()),
        })
    }

    /// Returns whether an instance is to run on this host; true if that is unknown. Ganeti runs the hook on other nodes
    /// as well.
    #[must_use]
    pub fn is_to_run_on(&self, here: &NodeName) -> bool {
        self.runs_on.as_ref().is_none_or(|node| node::same(node, here, []))
    }
}

/// The state of this host and of the cluster, as this host has it.
#[derive(Clone, Debug, PartialEq)]
pub struct HookInput {
    /// The name of this host's node.
    pub here: NodeName,
    /// Whether this host is Ganeti's master.
    pub is_master: bool,
    /// Whether Pacemaker's configuration uses an agent of gnt-ha.
    pub in_use: bool,
    /// Whether this host's shun list has an entry.
    pub shuns: bool,
    /// Whether this host may have others shun a node that Ganeti records offline.
    pub may_shun: bool,
    /// Whether Pacemaker runs on this host.
    pub runs: bool,
    /// The nodes that are recorded offline, if this host has the configuration.
    pub offline: BTreeSet<NodeName>,
    /// All nodes of Ganeti.
    pub nodes: BTreeSet<NodeName>,
    /// The nodes that this host shuns.
    pub shunned: BTreeSet<NodeName>,
    /// The nodes that this host shunned, and that were readmitted since.
    pub readmitted: BTreeSet<NodeName>,
    /// The nodes with gnt-ha's standby, by Pacemaker's names.
    pub standby: BTreeSet<PacemakerName>,
    /// Whether the change is the reconciler's own record of the node.
    pub is_our_record: bool,
    /// The remote nodes to which Pacemaker is to be connected ([`wanted_remotes`]).
    ///
    /// [`wanted_remotes`]: super::pacemaker::resources::Resources::wanted_remotes
    pub wanted: BTreeSet<PacemakerName>,
    /// Pacemaker's state, if it was asked for.
    pub seen: Option<CrmMon>,
    /// The votes in corosync, if it was asked for them.
    pub quorum: Option<Quorum>,
    /// The corosync node id of each full member.
    pub ids: BTreeMap<PacemakerName, u32>,
    /// The cluster's tag for nodes that an administrator records offline.
    pub by_hand: OfflineByHand,
}

/// The steps of a hook, and what is to be printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookPlan {
    /// The steps that run at once.
    pub now: Vec<HookStep>,
    /// The steps that run in a process for which the job does not wait.
    pub later: Vec<HookStep>,
    /// Notes for the administrator, one line each.
    pub remarks: Vec<String>,
}

/// A change of a node that a hook prevents.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookChangeError {
    /// The node is a remote node, and Pacemaker would fence it as soon as the other nodes shun it.
    #[error(
        "{node}: is a Pacemaker remote node{}, and would be fenced as soon as the others shun it; first have its connection stopped: \
         crm_resource --resource {resource} --meta --set-parameter target-role --parameter-value Stopped (and, when it is back, \
         --delete-parameter target-role), or tag the cluster ocf:offline-by-hand:fence",
        if *answered { "" } else { " (Pacemaker did not answer here: try again, or where it runs)" }
    )]
    WouldBeFenced {
        /// The node that Ganeti is about to record offline.
        node: NodeName,
        /// The resource of its connection.
        resource: PacemakerName,
        /// Whether Pacemaker answered on this host.
        answered: bool,
    },
    /// The node comes back while the other nodes shun it.
    #[error("{0}: the other nodes shun it; readmit it first: gnt-ha readmit {0}")]
    Shunned(NodeName),
}

/// Decides the steps of a hook.
///
/// # Errors
/// [`HookChangeError`] if the change must not be made, for a hook that runs before it.
pub fn plan(event: &HookEvent, state: &HookInput) -> Result<HookPlan, HookChangeError> {
    if event.is_pre {
        return may_be_done(event, state).map(|()| HookPlan::default());
    }
    let mut plan = HookPlan::default();
    match event.hook {
        Hook::ClusterVerify if state.is_master && state.in_use => plan.now.push(HookStep::Check),
        Hook::ConfigUpdate | Hook::NodeRemove if state.is_master => plan.now = follow(state),
        Hook::NodeAdd if state.is_master => {
            // The standby first: until it ends, the node appears to have left.
            plan.now.extend(follow(state));
            plan.now.extend(state.shuns.then_some(HookStep::Sync));
        }
        Hook::NodeModify if state.is_master => {
            if event.offline == Some(true) {
                plan = plan_offline(event, state);
            }
            // The steps for this node first: the fence device may take its time.
            plan.now.extend(follow(state));
        }
        // The master role waits for this hook.
        Hook::MasterIpTurnup if state.in_use && state.runs => {
            plan.later.push(HookStep::Reconcile);
            plan.later.extend(state.shuns.then_some(HookStep::Sync));
        }
        Hook::Watcher => {
            if state.shuns || state.in_use {
                plan.now.extend([HookStep::ApplyRules, HookStep::Sync]);
            }
            plan.now.extend(follow(state).into_iter().filter(|_| state.is_master));
        }
        _ => {}
    }
    Ok(plan)
}

/// Checks whether a change may be made. Ganeti first asks a node that comes back for its version. So it calls this hook
/// for a shunned node only if the master itself lets the node's packets pass.
fn may_be_done(event: &HookEvent, state: &HookInput) -> Result<(), HookChangeError> {
    let Some(target) = &event.target else { return Ok(()) };
    if event.hook == Hook::NodeModify && event.offline == Some(true) {
        let answered = state.seen.is_some();
        let name = lost_if_shunned(target, state);
        let fenced = |name: &PacemakerName| HookChangeError::WouldBeFenced {
            node: target.clone(),
            resource: name.clone(),
            answered,
        };
        return name.map_or(Ok(()), |name| Err(fenced(name)));
    }
    let is_among = |nodes: &BTreeSet<NodeName>| node::find(target, nodes).is_ok();
    if event.hook == Hook::NodeModify && event.comes_back && is_among(&state.offline) && is_among(&state.shunned) {
        return Err(HookChangeError::Shunned(target.clone()));
    }
    Ok(())
}

/// Returns Pacemaker's name of a remote node that Pacemaker would lose, or could never reach, if all others shun it.
/// Pacemaker would then fence it, although no administrator wants that.
///
/// A node that Pacemaker has fenced with success and is not connected to is not meant: Pacemaker only tries to connect
/// to it again.
fn lost_if_shunned<'a>(target: &NodeName, state: &'a HookInput) -> Option<&'a PacemakerName> {
    let shuns = state.is_master && state.in_use && state.may_shun;
    if !shuns || state.is_our_record || state.by_hand == OfflineByHand::Fence {
        return None;
    }
    let all: Vec<NodeName> = state.nodes.iter().cloned().collect();
    let target = node::find(target, &all).ok()?;
    // Where Pacemaker does not answer, its configuration is read from the file, and no fencing of the node is known.
    let Some(seen) = &state.seen else { return called(target, &state.wanted, &all).ok() };
    let connected = || seen.called(target, &all).ok().filter(|name| seen.remotes.contains(*name));
    if let Some(name) = connected().filter(|name| seen.of(name).is_member()) {
        return Some(name);
    }
    let name = called(target, &state.wanted, &all).ok()?;
    // The latest comes first.
    let last = seen.fences_of(target, &all).into_iter().find(|fence| fence.action != FenceAction::On);
    let is_fenced = last.is_some_and(|fence| fence.status == FenceStatus::Success);
    (!is_fenced || seen.of(name) == Membership::Unclean).then_some(name)
}

/// Returns the steps that follow from Ganeti's nodes alone, whatever the event is.
fn follow(state: &HookInput) -> Vec<HookStep> {
    if !state.runs {
        return Vec::new();
    }
    let all: Vec<NodeName> = state.nodes.iter().cloned().collect();
    let is_back = |name: &&NodeName| !state.offline.contains(*name) && called(name, &state.standby, &all).is_ok();
    let mut steps: Vec<HookStep> = all.iter().filter(is_back).cloned().map(HookStep::ClearStandby).collect();
    steps.extend(state.in_use.then_some(HookStep::UpdateSetup));
    steps
}

/// Returns the steps after a node was recorded offline.
fn plan_offline(event: &HookEvent, state: &HookInput) -> HookPlan {
    let mut plan = HookPlan::default();
    let found = event.target.as_ref().and_then(|target| node::find(target, &state.offline).ok());
    // Ganeti does not record its master offline.
    let Some(target) = found.filter(|target| **target != state.here && state.in_use) else { return plan };
    // A node that is shunned already, as after a fencing, is kept shunned by other steps. Asking all nodes again would
    // delay Ganeti's job while a second dead node does not answer.
    let is_shunned = node::find(target, &state.shunned).is_ok();
    // The reconciler's own record after a readmission by the administrator: a node that is shunned again could not be
    // added again.
    let is_let_in = state.is_our_record && node::find(target, &state.readmitted).is_ok();
    plan.now.extend((state.may_shun && !is_shunned && !is_let_in).then(|| HookStep::Shun(target.clone())));
    if state.by_hand == OfflineByHand::Leave || state.is_our_record {
        return plan;
    }
    let Some(seen) = &state.seen else {
        plan.remarks.push(format!(
            "{target}: whether Pacemaker has it running is unknown here; if it has: crm_attribute --node NAME --name \
             standby --update on, with the name that crm_mon --one-shot shows"
        ));
        return plan;
    };
    let all: Vec<NodeName> = state.nodes.iter().cloned().collect();
    let name = match seen.called(target, &all) {
        Ok(name) => name,
        Err(why @ NoPacemakerName::Unknown { .. }) => {
            let nodes = seen.nodes.iter().map(|(name, _)| name);
            // Many clusters have nodes that are not in Pacemaker.
            plan.remarks
                .extend(stranger(target, nodes, &all).map(|other| {
                    format!("{target}: not put on standby in Pacemaker: {why}; {other} may be that node")
                }));
            return plan;
        }
        Err(why) => {
            plan.remarks.push(format!("{target}: not put on standby in Pacemaker: {why}"));
            return plan;
        }
    };
    let member = seen.of(name);
    if !member.is_member() {
        return plan;
    }
    let left = state.quorum.as_ref().zip(state.ids.get(name)).map(|(quorum, id)| quorum.without(&[*id]));
    let against = if state.by_hand == OfflineByHand::Fence { fencing_objection(name, seen, left) } else { None };
    match (state.by_hand, against) {
        (OfflineByHand::Fence, None) => plan.later.push(HookStep::Fence(target.clone())),
        (_, against) => {
            plan.remarks.extend(against.map(|why| format!("{target}: is not fenced, but on standby: {why}")));
            if member != Membership::Standby {
                plan.now.push(HookStep::Standby(target.clone()));
            }
        }
    }
    plan
}

/// Returns why a running node must not be fenced, if there is a reason: others would suffer. A node on standby keeps
/// its vote, a fenced node has none. `left`: the votes that would be left in corosync, if they are known.
#[must_use]
pub fn fencing_objection(target: &PacemakerName, seen: &CrmMon, left: Option<RemainingVotes>) -> Option<String> {
    if !seen.quorum {
        return Some("Pacemaker has no quorum here".to_owned());
    }
    if seen.maintenance {
        return Some("Pacemaker is in maintenance mode".to_owned());
    }
    // A remote node has no vote, and its loss takes none.
    if seen.remotes.contains(target) {
        return None;
    }
    if let Some(left) = left {
        return left.objection();
    }
    let voters = || seen.nodes.iter().filter(|(name, _)| !seen.remotes.contains(name));
    let total = voters().count();
    let left = voters().filter(|(name, member)| member.is_member() && name != target).count();
    // More than half of the nodes have quorum without any other.
    (left * 2 <= total).then(|| format!("{left} of {total} nodes would be left, and corosync's votes are unknown"))
}

#[cfg(test)]
mod tests;
