//! The actions of `ganeti-node-role`, which runs on every node as a clone with notify.

use std::time::Duration;

use gnt_ha::core::ganeti::tags::Mode;
use gnt_ha::core::pacemaker::notification::{Meaning, meaning};
use gnt_ha::core::roles::{Failure, NodeRole, OcfCode, OcfResult, monitor_node};
use gnt_ha::sys::clock::Deadline;

use crate::call::Call;
use crate::checks;
use crate::health;
use crate::heard;
use crate::markers::Marker;
use crate::master;
use crate::may_fence;
use crate::record::{keep_record, record_now};
use crate::shun_sync;
use crate::site::{Place, Site};

/// The file in Ganeti's data directory that mutes notifications, as with Ganeti's example agent.
const MUTE: &str = "ha_node_role_config";

/// The divisor of a start's time: a failure is waited for during half of it.
const FIX_SHARE: u32 = 2;

/// The pause between two checks whether the failure is gone.
const PAUSE: Duration = Duration::from_millis(500);

/// The most that a killed daemon may take to vanish.
const VANISH: Duration = Duration::from_secs(2);

/// Runs the action of `call` and returns its result. An unknown action is "unimplemented".
#[must_use]
pub fn run(call: &Call, place: &Place) -> OcfResult {
    match call.action.as_str() {
        "start" => start(call, place),
        "stop" => stop(place),
        "monitor" => monitor(call, place),
        "notify" => notify(call, place),
        "reload" => OcfResult::plain(OcfCode::Success),
        "validate-all" => match place.site() {
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
fn start(call: &Call, place: &Place) -> OcfResult {
    health::forget(place);
    // Published at once: in a cluster that has just started, Pacemaker places the device next.
    may_fence::forget(place);
    may_fence::publish(place, call.deadline);
    if place.markers.has(Marker::NodeStopped) {
        fix(place, call.deadline.at_most(call.deadline.left() / FIX_SHARE));
    }
    match place.markers.clear(Marker::NodeStopped) {
        Ok(()) => OcfResult::plain(OcfCode::Success),
        Err(error) => OcfResult::because(OcfCode::ErrGeneric, format!("cannot keep the state: {error}")),
    }
}

/// Restarts the daemons that do not answer, once, and waits until the failures are gone or the time is over. Without
/// the wait Pacemaker would stop, start and find the failure again several times a second.
fn fix(place: &Place, until: Deadline) {
    let mut restarted = false;
    // A host whose Ganeti files cannot be read has no mode: partial mode never fails.
    while let Ok(site) = place.site() {
        let failures = failures(place, &site, until);
        if failures.is_empty() || until.passed() {
            return;
        }
        if !restarted {
            checks::silent_daemons(&failures).into_iter().for_each(|daemon| restart(place, daemon, until));
            restarted = true;
        } else {
            until.sleep(PAUSE);
        }
    }
}

/// Restarts a daemon that has run since the boot. A daemon that has not is still to be started, or shall not run. The
/// next check finds a failure of the restart.
fn restart(place: &Place, daemon: &str, until: Deadline) {
    if !place.daemons.has_run(daemon) {
        return;
    }
    let _ = place.daemons.kill(&[daemon]);
    let vanished = until.at_most(VANISH);
    while place.daemons.process(daemon).is_some() && !vanished.passed() {
        vanished.sleep(Duration::from_millis(20));
    }
    let _ = place.daemons.clear_stale_pidfiles();
    let _ = place.daemons.daemon_util(&["start", daemon], until);
}

/// Stops the role, which has nothing to stop. A failure would have the node fenced, so a marker that cannot be set is
/// no failure.
fn stop(place: &Place) -> OcfResult {
    match place.markers.set(Marker::NodeStopped) {
        Ok(()) => OcfResult::plain(OcfCode::Success),
        Err(error) => OcfResult::because(OcfCode::Success, format!("stopped, but it cannot be kept: {error}")),
    }
}

fn monitor(call: &Call, place: &Place) -> OcfResult {
    let stopped = place.markers.has(Marker::NodeStopped);
    if stopped {
        return monitor_node(stopped, &[]);
    }
    let Ok(site) = place.site() else { return monitor_node(stopped, &[]) };
    let tags = site.tags();
    let is_full = tags.node_mode == Mode::Full;
    let is_asked = is_full || tags.health && !call.is_probe();
    let found = if is_asked { checks::node(place, &site, call.deadline) } else { Vec::new() };
    if call.is_probe() {
        health::forget(place);
        may_fence::forget(place);
    } else {
        may_fence::publish(place, call.deadline);
        health::publish(place, tags.health.then_some(found.as_slice()), call.deadline);
    }
    if site.rank != NodeRole::Other && !call.is_probe() {
        master::unbar(call, place);
        // Where the master role is a single resource, or Pacemaker does not run it, only this monitor runs on each
        // candidate.
        heard::listen(place, &site, call.deadline);
        keep_record(place, call.deadline);
        shun_sync::sync_if_due(place, call.deadline);
    }
    monitor_node(stopped, if is_full { &found } else { &[] })
}

/// Returns the failures of this node in full mode; in partial mode there are none.
fn failures(place: &Place, site: &Site, deadline: Deadline) -> Vec<Failure> {
    let full = site.tags().node_mode == Mode::Full;
    if full { checks::node(place, site, deadline) } else { Vec::new() }
}

/// Starts a reconciliation after a notification that concerns it. Always succeeds: Pacemaker ignores a failure, and the
/// master's next monitor finds what was missed.
fn notify(call: &Call, place: &Place) -> OcfResult {
    if !place.data_dir.join(MUTE).exists() && meaning(&call.notice()) != Meaning::Nothing {
        record_now(place, call.deadline);
    }
    OcfResult::plain(OcfCode::Success)
}
