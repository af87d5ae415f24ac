//! The actions of `ganeti-master-role`, run as one resource or as a promotable clone.

mod job_queue;
mod monitor;
mod stop;
mod takeover;

use std::time::Duration;

use gnt_ha::core::roles::master_claims::{MASTER_SCORE, promotion_score, standing};
use gnt_ha::core::roles::{OcfCode, OcfResult, RunAs};
use gnt_ha::sys::pacemaker;

use crate::call::AgentCall;
use crate::ganeti_view::GanetiView;
use crate::markers::Marker;
use crate::newer_config::{self, PEER_LIMIT};
use crate::paths::AgentPaths;

/// The most that one request to luxid may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(2);

/// The most that `crm_resource --refresh` may take.
const REFRESH_LIMIT: Duration = Duration::from_secs(5);

/// The note with the resource that Pacemaker has banned from this node, because this agent reported "not installed".
const BANNED: &str = "master-role.banned";

/// Runs the action of `call` and returns its result. An unknown action is "unimplemented".
#[must_use]
pub fn run(call: &AgentCall, paths: &AgentPaths) -> OcfResult {
    let promotable = call.is_promotable();
    match call.action.as_str() {
        "monitor" => note_ban(call, paths, monitor::monitor(call, paths)),
        "start" if promotable => start_instance(call, paths),
        "start" => note_ban(call, paths, takeover::take(call, paths)),
        "promote" if promotable => takeover::take(call, paths),
        "demote" if promotable => stop::stop_role(call, paths),
        "stop" => stop(call, paths),
        "notify" | "reload" => OcfResult::plain(OcfCode::Success),
        "validate-all" => match paths.ganeti_view() {
            Ok(_) => OcfResult::plain(OcfCode::Success),
            Err(error) => OcfResult::because(OcfCode::ErrInstalled, error.to_string()),
        },
        // This includes promote and demote of a single resource.
        _ => OcfResult::plain(OcfCode::ErrUnimplemented),
    }
}

/// Notes that Pacemaker bans the role from this node after this result.
fn note_ban(call: &AgentCall, paths: &AgentPaths, result: OcfResult) -> OcfResult {
    if result.code == OcfCode::ErrInstalled {
        // Without the note the administrator has to run `crm_resource --cleanup`.
        let _ = paths.markers.write_note(BANNED, call.resource());
    }
    result
}

/// Makes Pacemaker probe this node again, which is a candidate now and was not one at the last probe. A node that left
/// gracefully is drained, and un-drained only after it is back. Without a new probe no node would take the role from a
/// master that fails.
pub fn unban(call: &AgentCall, paths: &AgentPaths) {
    let Some(resource) = paths.markers.note(BANNED).filter(|resource| !resource.is_empty()) else { return };
    let Some(node) = call.on_node() else { return };
    if pacemaker::refresh(&resource, &node, call.deadline.at_most(REFRESH_LIMIT)).is_ok() {
        let _ = paths.markers.write_note(BANNED, "");
    }
}

/// Starts an instance of the clone. An instance does not serve the role: the role comes with the promotion.
fn start_instance(call: &AgentCall, paths: &AgentPaths) -> OcfResult {
    if let Err(error) = paths.markers.set(Marker::MasterStarted) {
        return OcfResult::because(OcfCode::ErrGeneric, format!("cannot write the state: {error}"));
    }
    if let Ok(ganeti) = paths.ganeti_view() {
        offer(call, paths, &ganeti, true);
    }
    OcfResult::plain(OcfCode::Success)
}

fn stop(call: &AgentCall, paths: &AgentPaths) -> OcfResult {
    let result = stop::stop_role(call, paths);
    if result.code == OcfCode::Success && call.is_promotable() {
        // A marker that stays only makes a later probe report "unpromoted". A failure here would fence the node.
        let _ = paths.markers.clear(Marker::MasterStarted);
        let _ = pacemaker::offer(call.resource(), None, None, call.deadline);
        let _ = paths.markers.write_note(&note(call), "");
    }
    result
}

/// Publishes how recent this candidate's configuration is, as its promotion score, when the score has changed. `anew`:
/// also when it has not, as Pacemaker loses the score when Pacemaker is restarted.
fn offer(call: &AgentCall, paths: &AgentPaths, ganeti: &GanetiView, anew: bool) {
    if paths.run_as(call) == RunAs::Primitive {
        return;
    }
    let claims = ganeti.master_claims(paths, call.deadline.at_most(PEER_LIMIT));
    let standing = standing(&ganeti.here, &claims, ganeti.candidates.len(), stop::served(paths));
    let last = paths.markers.note(&note(call));
    let own = claims.iter().find(|claim| claim.own).map(|claim| claim.serial);
    // A confd that hangs reports an older copy than the one on disk. The large file is read only where it matters.
    let is_behind = || {
        newer_config::if_newer(paths, own).is_some()
            && newer_config::if_newer(paths, ganeti.serial(&paths.data_dir)).is_some()
    };
    let score = promotion_score(ganeti.rank, &standing, &claims, offered(call, paths))
        .filter(|_| ganeti.tags().any_serial || !is_behind());
    let text = score.map(|score| score.to_string()).unwrap_or_default();
    if !anew && last.as_deref() == Some(&text) {
        return;
    }
    // A change of the configuration may be on its way to this node: a lower score is published only at the second
    // check.
    let older_copy = format!("{}.older", note(call));
    let is_lower =
        matches!((score, offered(call, paths)), (Some(score), Some(last)) if score < last && last < MASTER_SCORE);
    if is_lower && !anew && paths.markers.note(&older_copy).is_none() {
        let _ = paths.markers.write_note(&older_copy, &text);
        return;
    }
    let _ = paths.markers.forget_note(&older_copy);
    if pacemaker::offer(call.resource(), None, score, call.deadline).is_ok() {
        let _ = paths.markers.write_note(&note(call), &text);
    }
}

/// Returns the promotion score that was published last; `None` if there was none.
fn offered(call: &AgentCall, paths: &AgentPaths) -> Option<i32> {
    paths.markers.note(&note(call))?.parse().ok()
}

/// Returns the name of the note with the score that was published last. A resource's id has no `/` (it is an XML id).
fn note(call: &AgentCall) -> String {
    format!("{}.promotion", call.resource().replace('/', "_"))
}
