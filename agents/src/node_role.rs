//! The actions of `ganeti-node-role`, which runs on every node as a clone with notify.

use std::time::Duration;

use gnt_ha::core::ganeti::tags::Mode;
use gnt_ha::core::pacemaker::notification::{Meaning, meaning};
use gnt_ha::core::roles::{Failure, NodeRole, OcfCode, OcfResult, monitor_node};
use gnt_ha::service::shun::drbd_seen;
use gnt_ha::sys::clock::Deadline;

use crate::call::AgentCall;
use crate::checks;
use crate::ganeti_view::GanetiView;
use crate::health;
use crate::markers::Marker;
use crate::master_role;
use crate::may_fence;
use crate::newer_config;
use crate::paths::AgentPaths;
use crate::reconcile::{reconcile_if_due, reconcile_now};
use crate::shun_sync;

/// The file in Ganeti's data directory that mutes notifications, as with Ganeti's example agent.
const MUTE: &str = "ha_node_role_config";

/// The divisor of a start's time: a failure is waited for during half of it.
const FIX_SHARE: u32 = 2;

/// The pause between two checks whether the failure is gone.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The most that a killed daemon may take to vanish.
const KILL_LIMIT: Duration = Duration::from_secs(2);

/// Runs the action of `call` and returns its result. An unknown action is "unimplemented".
#[must_use]
pub fn run(call: &AgentCall, paths: &AgentPaths) -> OcfResult {
    match call.action.as_str() {
        "start" => start(call, paths),
        "stop" => stop(paths),
        "monitor" => monitor(call, paths),
        "notify" => notify(call, paths),
        "reload" => OcfResult::plain(OcfCode::Success),
        "validate-all" => match paths.ganeti_view() {
            Ok(_) => OcfResult::plain(OcfCode::Success),
            Err(error) => OcfResult::because(OcfCode::ErrInstalled, error.to_string()),
        },
        _ => OcfResult::plain(OcfCode::ErrUnimplemented),
    }
}

/// Starts the role. A role that was stopped since the host booted may have failed, in full mode: then the failure is
/// fixed first.
///
/// It succeeds even if the failure remains. A start that fails takes the role from this node until the administrator
/// cleans up, also when the failure is long gone. The next monitor reports the failure as well.
fn start(call: &AgentCall, paths: &AgentPaths) -> OcfResult {
    health::forget(paths);
    // Published at once: in a cluster that has just started, Pacemaker places the device next.
    may_fence::forget(paths);
    may_fence::publish(paths, call.deadline);
    if paths.markers.has(Marker::NodeStopped) {
        fix(paths, call.deadline.at_most(call.deadline.left() / FIX_SHARE));
    }
    match paths.markers.clear(Marker::NodeStopped) {
        Ok(()) => OcfResult::plain(OcfCode::Success),
        Err(error) => OcfResult::because(OcfCode::ErrGeneric, format!("cannot write the state: {error}")),
    }
}

/// Restarts the daemons that do not answer, once, and waits until the failures are gone or the time is over. Without
/// the wait Pacemaker would stop, start and find the failure again several times a second.
fn fix(paths: &AgentPaths, until: Deadline) {
    let mut restarted = false;
    // A host whose Ganeti files cannot be read has no mode: partial mode never fails.
    while let Ok(ganeti) = paths.ganeti_view() {
        let failures = failures(paths, &ganeti, until);
        if failures.is_empty() || until.passed() {
            return;
        }
        if !restarted {
            checks::silent_daemons(&failures).into_iter().for_each(|daemon| restart(paths, daemon, until));
            restarted = true;
        } else {
            until.sleep(POLL_INTERVAL);
        }
    }
}

/// Restarts a daemon that has run since the boot. A daemon that has not is still to be started, or shall not run. The
/// next check finds a failure of the restart.
fn restart(paths: &AgentPaths, daemon: &str, until: Deadline) {
    if !paths.daemons.has_run(daemon) {
        return;
    }
    let _ = paths.daemons.kill(&[daemon]);
    let vanished = until.at_most(KILL_LIMIT);
    while paths.daemons.process(daemon).is_some() && !vanished.passed() {
        vanished.sleep(Duration::from_millis(20));
    }
    let _ = paths.daemons.clear_stale_pidfiles();
    let _ = paths.daemons.daemon_util(&["start", daemon], until);
}

/// Stops the role, which has nothing to stop. A failure would have the node fenced, so a marker that cannot be set is
/// no failure.
fn stop(paths: &AgentPaths) -> OcfResult {
    match paths.markers.set(Marker::NodeStopped) {
        Ok(()) => OcfResult::plain(OcfCode::Success),
        Err(error) => {
            OcfResult::because(OcfCode::Success, format!("stopped, but the marker cannot be written: {error}"))
        }
    }
}

fn monitor(call: &AgentCall, paths: &AgentPaths) -> OcfResult {
    let stopped = paths.markers.has(Marker::NodeStopped);
    if stopped {
        return monitor_node(stopped, &[]);
    }
    let Ok(ganeti) = paths.ganeti_view() else { return monitor_node(stopped, &[]) };
    let tags = ganeti.tags();
    let is_full = tags.node_mode == Mode::Full;
    let is_asked = is_full || tags.health && !call.is_probe();
    let found = if is_asked { checks::node(paths, &ganeti, call.deadline) } else { Vec::new() };
    if call.is_probe() {
        health::forget(paths);
        may_fence::forget(paths);
    } else {
        may_fence::publish(paths, call.deadline);
        health::publish(paths, tags.health.then_some(found.as_slice()), call.deadline);
        // What is seen of DRBD disks is needed by recovery alone.
        if tags.recover {
            drbd_seen::note(&paths.state_dir);
        }
    }
    if ganeti.rank != NodeRole::Other && !call.is_probe() {
        master_role::unban(call, paths);
        // Where the master role is a single resource, or Pacemaker does not run it, only this monitor runs on each
        // candidate.
        newer_config::update(paths, &ganeti, call.deadline);
        reconcile_if_due(paths, call.deadline);
        shun_sync::sync_if_due(paths, call.deadline);
    }
    monitor_node(stopped, if is_full { &found } else { &[] })
}

/// Returns the failures of this node in full mode; none in partial mode.
fn failures(paths: &AgentPaths, ganeti: &GanetiView, deadline: Deadline) -> Vec<Failure> {
    let full = ganeti.tags().node_mode == Mode::Full;
    if full { checks::node(paths, ganeti, deadline) } else { Vec::new() }
}

/// Starts a reconciliation after a notification that concerns it. Always succeeds: Pacemaker ignores a failure, and the
/// master's next monitor finds what was missed.
fn notify(call: &AgentCall, paths: &AgentPaths) -> OcfResult {
    if !paths.data_dir.join(MUTE).exists() && meaning(&call.notification()) != Meaning::Nothing {
        reconcile_now(paths, call.deadline);
    }
    OcfResult::plain(OcfCode::Success)
}
