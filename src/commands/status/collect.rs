//! Collects the input of a status, as far as this host can read it. A source that is missing is replaced by another one
//! where possible.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::super::error::NotInCluster;
use super::super::paths::Paths;
use crate::core::config::{DEFAULT_PATH, DEFAULT_RUN};
use crate::core::ganeti::config::GanetiConfig;
use crate::core::ganeti::oob::is_ours;
use crate::core::ganeti::tags;
use crate::core::grade::Grade;
use crate::core::history::{ActionRecord, join_entries};
use crate::core::node::{self, NodeName};
use crate::core::pacemaker::crm_mon::CrmMon;
use crate::core::power::Power;
use crate::core::reconcile::{BlockReason, Decision, MasterRoleState as RoleAt};
use crate::core::shun::list::ShunList;
use crate::core::status::{
    ClusterStatus, DeviceVote, DisplayedRole, Flags, LastAction, NodeStatus, PowerReading, Protection, RecordChange,
    SelfFenceState, ShunState, StatusLevel, StatusNote, VERSION,
};
use crate::power::query_nodes::{self, Identities, NodeAnswers};
use crate::service::reconciler::run::ReconcileError;
use crate::service::reconciler::view::View;
use crate::service::shun::device::open;
use crate::service::shun::{applier, peer_reports};
use crate::sys::clock::{Deadline, now};
use crate::sys::config_file;
use crate::sys::corosync::{self, COROSYNC_TIMEOUT};
use crate::sys::ganeti::files::{self, GanetiFilesError};
use crate::sys::ganeti::ssconf::{Ssconf, SsconfError};
use crate::sys::pacemaker;
use crate::sys::pacemaker::cib;
use crate::sys::receipt_log::ReceiptLog;
use crate::sys::{identity, simulate};

/// The time limit for everything.
const COLLECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Ganeti's nodes, from the files of this host.
struct Ganeti {
    master: Option<NodeName>,
    nodes: Vec<(NodeName, Flags)>,
    /// The power of each node, if it was asked for.
    power: NodeAnswers<(Power, Grade), String>,
}

/// Collects the status. With `power`, also asks each node's devices or OOB program for the power.
pub(in crate::commands) fn collect(paths: &Paths, power: bool) -> Result<ClusterStatus, NotInCluster> {
    let deadline = Deadline::after(COLLECT_TIMEOUT);
    let view = paths.view();
    let mut notes = Vec::new();
    let (ganeti, pacemaker) = match (ganeti(paths, power, deadline, &mut notes), pacemaker::status(deadline)) {
        (Err(SsconfError::Absent(file)), Err(_)) if !paths.cib.exists() => {
            return Err(NotInCluster { ganeti: file, pacemaker: paths.cib.clone() });
        }
        (ganeti, pacemaker) => (or_note(ganeti, "ganeti", &mut notes), or_note(pacemaker, "pacemaker", &mut notes)),
    };
    let decided = decisions(&view, pacemaker.as_ref(), deadline, &mut notes);
    if let Some(pacemaker) = &pacemaker {
        of_pacemaker(pacemaker, ganeti.as_ref(), &view, &mut notes);
    }
    let pause = or_note(view.pause(), "pause", &mut notes).flatten();
    if let Some(pause) = &pause {
        let alone = cib::read(&paths.cib, &BTreeSet::new()).is_ok_and(|cib| cib.pause.is_none());
        let whom = if alone { "this host alone is " } else { "" };
        notes.push(StatusNote::new(
            StatusLevel::Attention,
            "pause",
            format!("{whom}{}", BlockReason::Paused(pause.clone())),
        ));
    }
    let breaker = or_note(view.memory(), "breaker", &mut notes).and_then(|memory| memory.breaker.open_state().cloned());
    if let Some(open) = &breaker {
        notes.push(StatusNote::new(StatusLevel::Attention, "breaker", BlockReason::from(open).to_string()));
    }
    let recovered = or_note(view.last_recovery(), "recovery", &mut notes).unwrap_or_default();
    notes.extend(recovered.into_iter().map(|line| StatusNote::new(StatusLevel::Attention, "recovery", line)));
    let shun_list = or_note(applier::shun_list(&paths.state_dir), "shun", &mut notes).unwrap_or_default();
    of_this_host(paths, &shun_list, &mut notes);
    let actions =
        ReceiptLog::new(&paths.state_dir).read_last_of_each().map(|contents| join_entries(contents.entries, None));
    let actions = or_note(actions, "receipts", &mut notes).unwrap_or_default();
    let quorum = pacemaker.as_ref().and_then(|_| corosync::quorum(deadline.at_most(COROSYNC_TIMEOUT)).ok());
    let quorum_device = quorum.as_ref().and_then(DeviceVote::of);
    notes.extend(quorum_device.as_ref().map(DeviceVote::note));
    let status = ClusterStatus {
        version: VERSION,
        host: identity::host(),
        level: StatusLevel::Ok,
        master: ganeti.as_ref().and_then(|ganeti| ganeti.master.clone()),
        quorum: pacemaker.as_ref().map(|pacemaker| pacemaker.quorum),
        quorum_device,
        maintenance: pacemaker.as_ref().map(|pacemaker| pacemaker.maintenance),
        pause,
        breaker,
        nodes: lines(ganeti.as_ref(), pacemaker.as_ref(), &actions, &decided),
        notes,
    };
    let status = protected(status, paths, &shun_list, ganeti.map(|ganeti| ganeti.power).unwrap_or_default());
    Ok(status.judged())
}

/// Returns the value, or adds a note with the reason why it is unknown.
fn or_note<T, E: ToString>(found: Result<T, E>, about: &'static str, notes: &mut Vec<StatusNote>) -> Option<T> {
    found.map_err(|error| notes.push(StatusNote::new(StatusLevel::Unknown, about, error.to_string()))).ok()
}

/// Reads Ganeti's nodes. A master candidate has the whole configuration; any other node that is not offline has the
/// ssconf files.
fn ganeti(paths: &Paths, power: bool, deadline: Deadline, notes: &mut Vec<StatusNote>) -> Result<Ganeti, SsconfError> {
    match files::read_config(&paths.data_dir) {
        Ok(config) => {
            let master = config.master().cloned();
            let flags = |node: &crate::core::ganeti::config::Node| Flags {
                role: DisplayedRole::of(master.as_ref() == Some(&node.name), node.master_candidate),
                offline: node.offline,
                drained: Some(node.drained),
                powered: Some(node.powered),
            };
            let nodes = config.nodes().iter().map(|node| (node.name.clone(), flags(node))).collect();
            let power = if power { power_of_all(&config, deadline) } else { NodeAnswers::new() };
            return Ok(Ganeti { master, nodes, power });
        }
        Err(GanetiFilesError::NotCandidate(_)) => {}
        Err(error) => notes.push(StatusNote::new(StatusLevel::Unknown, "ganeti", error.to_string())),
    }
    let ssconf = Ssconf::new(&paths.data_dir);
    let all = ssconf.names("node_list")?;
    let master = ssconf.master()?;
    let (online, candidates) = (ssconf.names("online_nodes")?, ssconf.names("master_candidates")?);
    let flags = |node: &NodeName| Flags {
        role: DisplayedRole::of(master.as_ref() == Some(node), candidates.contains(node)),
        offline: !online.contains(node),
        drained: None,
        powered: None,
    };
    let nodes = all.iter().map(|node| (node.clone(), flags(node))).collect();
    let text = "this host is not a master candidate: only those show each decision and all flags";
    notes.push(StatusNote::new(StatusLevel::Ok, "ganeti", text));
    Ok(Ganeti { master, nodes, power: NodeAnswers::new() })
}

/// Asks for the power of every node, also of one that is recorded offline. Where gnt-ha's configuration cannot be used,
/// each node with `ganeti-oob` has that as its answer.
fn power_of_all(ganeti: &GanetiConfig, deadline: Deadline) -> NodeAnswers<(Power, Grade), String> {
    let nodes = query_nodes::programs(ganeti, true);
    let ours = nodes.iter().filter(|(_, program)| is_ours(program.path())).map(|(node, _)| node.clone());
    let ours: Vec<NodeName> = ours.collect();
    let loaded = if ours.is_empty() { None } else { Some(config_file::load(Path::new(DEFAULT_PATH))) };
    let config = loaded.as_ref().and_then(|loaded| loaded.as_ref().ok());
    let mut power = query_nodes::power_states(nodes, config, Identities::Compared, deadline, open).nodes;
    if let Some(Err(error)) = &loaded {
        power.extend(ours.into_iter().map(|node| (node, Err(error.to_string()))));
    }
    power
}

/// Returns the decisions that `gnt-ha reconcile --dry-run` shows. Adds a note for a failure only if no other note
/// reports it.
fn decisions(
    view: &View,
    pacemaker: Option<&CrmMon>,
    deadline: Deadline,
    notes: &mut Vec<StatusNote>,
) -> BTreeMap<NodeName, Decision> {
    match view.plan(pacemaker, deadline) {
        Ok(plan) => return plan.decisions.into_iter().map(|entry| (entry.node, entry.decision)).collect(),
        Err(ReconcileError::Ganeti(_)) => {}
        Err(ReconcileError::Pacemaker(_)) if pacemaker.is_none() => {}
        // The note about the pause reports this error.
        Err(ReconcileError::Cib(_)) => {}
        Err(error) => {
            notes.push(StatusNote::new(StatusLevel::Unknown, "record", format!("nothing is decided: {error}")))
        }
    }
    BTreeMap::new()
}

fn of_pacemaker(pacemaker: &CrmMon, ganeti: Option<&Ganeti>, view: &View, notes: &mut Vec<StatusNote>) {
    if !pacemaker.quorum {
        notes.push(StatusNote::new(StatusLevel::Attention, "quorum", BlockReason::NoQuorum.to_string()));
    }
    if pacemaker.maintenance {
        notes.push(StatusNote::new(StatusLevel::Attention, "maintenance", BlockReason::Maintenance.to_string()));
    }
    let master = ganeti.and_then(|ganeti| ganeti.master.as_ref());
    let all = || ganeti.iter().flat_map(|ganeti| &ganeti.nodes).map(|(name, _)| name);
    let elsewhere = match (&pacemaker.master_role, master) {
        (RoleAt::Inactive, _) => Some("Pacemaker runs the master role on no host".to_owned()),
        (RoleAt::ActiveOn(host), Some(master)) if !node::means(host, master, all()) => {
            Some(format!("Pacemaker runs the master role on {host}, and by the files here Ganeti's master is {master}"))
        }
        _ => None,
    };
    notes.extend(elsewhere.map(|text| StatusNote::new(StatusLevel::Attention, "role", text)));
    let age_ms = pacemaker::started_ms().map(|started_ms| now().wall_ms.saturating_sub(started_ms));
    let left_ms = view.settings().start_up_grace_ms.saturating_sub(age_ms.unwrap_or_default());
    if left_ms > 0 {
        let text = format!(
            "Pacemaker started on this host a short time ago: for {} s more, only nodes that were fenced since then are recorded",
            left_ms.div_ceil(1_000)
        );
        notes.push(StatusNote::new(StatusLevel::Ok, "start-up", text));
    }
}

/// Adds notes about simulated conditions, shunned nodes, and files and tags without effect.
fn of_this_host(paths: &Paths, shun_list: &ShunList, notes: &mut Vec<StatusNote>) {
    let dir = paths.state_dir.join(simulate::DIR);
    for condition in simulate::present(&dir) {
        let file = dir.join(condition.file());
        let text = format!("simulated on this host: {} (rm {})", condition.meaning(), file.display());
        notes.push(StatusNote::new(StatusLevel::Attention, "simulated", text));
    }
    for name in simulate::unknown(&dir) {
        let text = format!("{:?} in {} simulates nothing: is it misspelt?", name, dir.display());
        notes.push(StatusNote::new(StatusLevel::Attention, "simulated", text));
    }
    notes.extend(shun_list.shunned().map(|(node, entry)| {
        // The state is correct for a node that is recorded offline; an administrator has to end it.
        let text = format!(
            "this host shuns {node} ({}), asked by {}; when it has booted: gnt-ha readmit {node}",
            entry.grade, entry.by
        );
        StatusNote::new(StatusLevel::Ok, "shun", text)
    }));
    // Another note reports a host without Ganeti.
    let cluster_tags = Ssconf::new(&paths.data_dir).cluster_tags().unwrap_or_default();
    for tag in tags::unknown(cluster_tags.iter().map(String::as_str)) {
        let text = format!("the cluster tag {tag} means nothing: is it misspelt? (gnt-cluster remove-tags {tag})");
        notes.push(StatusNote::new(StatusLevel::Attention, "tag", text));
    }
}

/// Returns Ganeti's nodes, and those that only Pacemaker has.
fn lines(
    ganeti: Option<&Ganeti>,
    pacemaker: Option<&CrmMon>,
    actions: &[ActionRecord],
    decided: &BTreeMap<NodeName, Decision>,
) -> Vec<NodeStatus> {
    let nodes = ganeti.map(|ganeti| ganeti.nodes.as_slice()).unwrap_or_default();
    let all: Vec<NodeName> = nodes.iter().map(|(name, _)| name.clone()).collect();
    let of_ganeti = nodes.iter().map(|(name, flags)| (name, Some(*flags)));
    let members = pacemaker.map(|pacemaker| pacemaker.nodes.as_slice()).unwrap_or_default();
    let others = members
        .iter()
        .map(|(name, _)| name.name())
        .filter(|name| node::find(name, nodes.iter().map(|(name, _)| name)).is_err());
    of_ganeti
        .chain(others.map(|name| (name, None)))
        .map(|(name, flags)| {
            let last = actions.iter().rev().find(|action| node::means(&action.intent.node, name, &all));
            let member = pacemaker.map(|pacemaker| pacemaker.membership(name, &all));
            NodeStatus::new(
                name.clone(),
                member,
                flags,
                last.map(LastAction::of),
                decided.get(name).map(RecordChange::of),
            )
        })
        .collect()
}

/// Adds what the shun list, the nodes' own reports and their OOB programs show.
fn protected(
    mut status: ClusterStatus,
    paths: &Paths,
    shun_list: &ShunList,
    mut power: NodeAnswers<(Power, Grade), String>,
) -> ClusterStatus {
    let peers = peer_reports::peers(&paths.state_dir);
    let own = identity::node_among(status.nodes.iter().map(|line| &line.node));
    let own_self_fence = peer_reports::own_self_fence(Path::new(DEFAULT_RUN));
    let self_fence = |node: &NodeName| {
        if own.as_ref() == Some(node) {
            return own_self_fence.as_ref().map(|_| SelfFenceState::Armed);
        }
        let report = peers.get(node)?;
        let age_ms = peer_reports::age_ms(report);
        let kept = peer_reports::self_fence_report(report)
            .map(|dated| dated.self_fence.lease_times.is_kept(dated.age_ms, dated.self_fence.guaranteed_for_ms));
        Some(age_ms.map_or(SelfFenceState::Unknown, |age_ms| SelfFenceState::of(age_ms, kept)))
    };
    let lines = std::mem::take(&mut status.nodes);
    for line in lines {
        let entry = node::find(&line.node, shun_list.0.keys()).ok().and_then(|name| shun_list.0.get(name));
        let seen = power.remove(&line.node).map(|answer| match answer {
            Ok((power, _)) => PowerReading::Power(power),
            Err(why) => PowerReading::Unknown(why),
        });
        if let Some(PowerReading::Unknown(why)) = &seen {
            // A host that is recorded offline may have no power supply at all.
            let is_offline = line.ganeti.is_some_and(|flags| flags.offline);
            let level = if is_offline { StatusLevel::Ok } else { StatusLevel::Unknown };
            status.notes.push(StatusNote::new(level, "power", format!("{}: its power is unknown: {why}", line.node)));
        }
        let grade = line.proven_grade(entry);
        let protection = Protection {
            power_reading: seen,
            shun: entry.map(ShunState::of),
            self_fence: self_fence(&line.node),
            grade,
        };
        status.nodes.push(line.protected(protection));
    }
    status
}

#[cfg(test)]
mod tests;
