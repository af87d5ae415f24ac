//! The monitor of the master role: finds out whether this host is the serving master, and reports it to Pacemaker.

use std::time::Duration;

use gnt_ha::core::ganeti::tags::Mode;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::pacemaker::names::PacemakerName;
use gnt_ha::core::reconcile::Membership;
use gnt_ha::core::roles::master_claims::{MASTER_SCORE, MasterService, MasterStanding, ignored, is_alone, standing};
use gnt_ha::core::roles::{MasterView, NodeRole, OcfCode, OcfResult, RunAs, idle, monitor_master};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::ganeti::daemon_util;
use gnt_ha::sys::pacemaker;

use super::{job_queue, offer, offered, stop};
use crate::call::AgentCall;
use crate::checks;
use crate::ganeti_view::{GanetiView, GanetiViewError};
use crate::markers::Marker;
use crate::newer_config::{self, PEER_LIMIT};
use crate::paths::AgentPaths;
use crate::reconcile::reconcile_if_due;

/// The most that Pacemaker's tools may take within a monitor.
const TOOLS_LIMIT: Duration = Duration::from_secs(5);

/// The most that a probe waits for the peers, on a host that is master by its own files and does not serve. It may have
/// just booted, with old files. Without an answer of a peer the probe would report a second master to Pacemaker, which
/// would stop both.
const PROBE_PEER_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn monitor(call: &AgentCall, paths: &AgentPaths) -> OcfResult {
    let run_as = paths.run_as(call);
    let ganeti = match paths.ganeti_view() {
        Ok(ganeti) => ganeti,
        Err(error) => return unknown(call, paths, run_as, &error),
    };
    if run_as != RunAs::Primitive && is_being_taken(call, paths, &ganeti) {
        return idle(run_as);
    }
    let view = view(call, paths, &ganeti, run_as);
    let result = monitor_master(&view);
    if view.standing.new_master().is_some() && (view.served == MasterService::Now || ganeti.has_master_ip()) {
        // This host came back and took up a role that another node has now. The role is taken down before a client uses
        // it.
        let taken_down = stop::take_down(paths, call.deadline);
        if let Err(error) = taken_down {
            return OcfResult::because(OcfCode::ErrGeneric, format!("{error}; {}", result.reason.unwrap_or_default()));
        }
    }
    let had_it = run_as == RunAs::Primitive && !call.is_for_stopped() || was_master(call, paths);
    if had_it
        && !call.is_probe()
        && let Some(master) = moved_to(&view, &ganeti)
    {
        follow(call, run_as, &ganeti, &master);
    }
    if matches!(result.code, OcfCode::Success | OcfCode::RunningPromoted)
        && view.served == MasterService::Now
        && !call.is_probe()
    {
        job_queue::take_jobs(paths, call.deadline);
        stop::remember_master_ip(paths, &ganeti);
    }
    if ganeti.rank != NodeRole::Master {
        job_queue::forget(paths);
    }
    offer(call, paths, &ganeti, call.is_probe());
    if ganeti.rank != NodeRole::Other && !call.is_probe() {
        newer_config::update(paths, &ganeti, call.deadline);
        reconcile_if_due(paths, call.deadline);
    }
    result
}

fn view(call: &AgentCall, paths: &AgentPaths, ganeti: &GanetiView, run_as: RunAs) -> MasterView {
    if ganeti.rank != NodeRole::Master {
        return MasterView {
            rank: ganeti.rank,
            run_as,
            standing: MasterStanding::Undisputed,
            alone: false,
            ignored: None,
            stopped: false,
            served: MasterService::Never,
            left: false,
            failures: None,
        };
    }
    let served = stop::served(paths);
    let listening = served == MasterService::Now;
    let limit = if call.is_probe() && !listening { PROBE_PEER_TIMEOUT } else { PEER_LIMIT };
    let claims = ganeti.master_claims(paths, call.deadline.at_most(limit));
    let standing = standing(&ganeti.here, &claims, ganeti.candidates.len(), served);
    // A master that returns while its peers do not answer must not be reported as a second running one.
    let alone = call.is_probe() && !listening && is_alone(&claims) && ganeti.candidates.len() > 1;
    let stopped = paths.markers.has(Marker::MasterStopped);
    let asked = standing.new_master().is_none() && (listening || !stopped);
    let full = asked && ganeti.tags().master_mode == Mode::Full;
    let failures = full.then(|| checks::master(paths, ganeti, &claims, call.deadline));
    let failed = failures.as_ref().is_some_and(|failures| !failures.is_empty());
    let left = failed && stop::is_left(paths, ganeti);
    let ignored = ignored(&ganeti.here, &claims);
    MasterView { rank: ganeti.rank, run_as, standing, alone, ignored, stopped, served, left, failures }
}

/// Returns the result where Ganeti's files are absent or cannot be read. Without files the role is not here and cannot
/// come. Files that cannot be read leave it unknown: that is not a reason to ban the node or to call a master
/// unpromoted. But a probe that finds no part of the role must not report a failed one: Pacemaker would stop the master
/// on the other host as well.
fn unknown(call: &AgentCall, paths: &AgentPaths, run_as: RunAs, error: &GanetiViewError) -> OcfResult {
    let code = error.code();
    let should_be_here = || match run_as {
        RunAs::Primitive => true,
        RunAs::Promotable { .. } => was_master(call, paths) && !paths.markers.has(Marker::MasterStopped),
    };
    let may_be_here = || !call.is_probe() && should_be_here() || stop::runs(paths);
    match run_as {
        _ if code == OcfCode::ErrGeneric && !may_be_here() => idle(run_as),
        RunAs::Promotable { .. } if code == OcfCode::ErrGeneric => {
            OcfResult::because(OcfCode::FailedPromoted, error.to_string())
        }
        RunAs::Promotable { .. } => idle(run_as),
        RunAs::Primitive => OcfResult::because(code, error.to_string()),
    }
}

/// Returns the node that holds the role instead of this one: by this node's own files, or by its peers' newer
/// configuration. In a failover the peers' answers change a moment before the files.
fn moved_to(view: &MasterView, ganeti: &GanetiView) -> Option<NodeName> {
    match (view.standing.new_master(), ganeti.rank) {
        (Some(new), _) => NodeName::new(new).ok(),
        (None, NodeRole::Candidate) => ganeti.master.clone(),
        (None, NodeRole::Master | NodeRole::Other) => None,
    }
}

/// Whether Ganeti's own command still runs on this host and makes this candidate the master. Pacemaker is notified when
/// the command is done: until then it would find two masters, and demote one.
fn is_being_taken(call: &AgentCall, paths: &AgentPaths, ganeti: &GanetiView) -> bool {
    ganeti.rank == NodeRole::Master && !call.is_probe() && !was_master(call, paths) && daemon_util::failover_under_way()
}

/// Whether the promotion score that this clone's instance published last is that of a master.
fn was_master(call: &AgentCall, paths: &AgentPaths) -> bool {
    offered(call, paths).is_some_and(|score| score >= MASTER_SCORE)
}

/// Makes Pacemaker follow an administrator who moved the role with Ganeti's own command. It must happen before this
/// monitor reports that the role is not here: Pacemaker would start it here again, or promote any other node.
///
/// A recurring monitor of a single resource runs only where Pacemaker has the role, and another node holds the role
/// only if that node has taken it. So only the administrator can have moved it.
fn follow(call: &AgentCall, run_as: RunAs, ganeti: &GanetiView, master: &NodeName) {
    let deadline = call.deadline.at_most(TOOLS_LIMIT);
    if let Some(name) = members_name(ganeti, master, deadline) {
        // If the score cannot be set, the guard of the next start decides.
        let _ = match run_as {
            RunAs::Primitive => pacemaker::prefer(call.resource(), &name, deadline),
            RunAs::Promotable { .. } => pacemaker::offer(call.resource(), Some(&name), Some(MASTER_SCORE), deadline),
        };
    }
}

/// Returns Pacemaker's name of a node that is online in the cluster.
fn members_name(ganeti: &GanetiView, master: &NodeName, deadline: Deadline) -> Option<PacemakerName> {
    let status = pacemaker::status(deadline).ok()?;
    let name = status.called(master, &ganeti.nodes).ok()?;
    (status.of(name) == Membership::Online).then(|| name.clone())
}
