//! The actions of `ganeti-master-role`, run as one resource or as a promotable clone.

mod give_up;
mod look;
mod queue;
mod take;

use std::time::Duration;

use gnt_ha::core::roles::master_claims::{MASTER_SCORE, promotion_score, standing};
use gnt_ha::core::roles::{OcfCode, OcfResult, RunAs};
use gnt_ha::sys::pacemaker;

use crate::call::Call;
use crate::heard::{self, PEERS};
use crate::markers::Marker;
use crate::site::{Place, Site};

/// The most that one request to luxid may take.
const QUESTION: Duration = Duration::from_secs(2);

/// The most that `crm_resource --refresh` may take.
const REFRESH: Duration = Duration::from_secs(5);

/// The note with the resource that Pacemaker keeps from this node, because this agent reported "not installed".
const BARRED: &str = "master-role.banned";

/// Runs the action of `call` and returns its result. An unknown action is "unimplemented".
#[must_use]
pub fn run(call: &Call, place: &Place) -> OcfResult {
    let promotable = call.is_promotable();
    match call.action.as_str() {
        "monitor" => barring(call, place, look::monitor(call, place)),
        "start" if promotable => start_instance(call, place),
        "start" => barring(call, place, take::take(call, place)),
        "promote" if promotable => take::take(call, place),
        "demote" if promotable => give_up::give_up(call, place),
        "stop" => stop(call, place),
        "notify" | "reload" => OcfResult::plain(OcfCode::Success),
        "validate-all" => match place.site() {
            Ok(_) => OcfResult::plain(OcfCode::Success),
            Err(error) => OcfResult::because(OcfCode::ErrInstalled, error.to_string()),
        },
        // This includes promote and demote of a single resource.
        _ => OcfResult::plain(OcfCode::ErrUnimplemented),
    }
}

/// Writes down that Pacemaker will keep the role from this node after this result.
fn barring(call: &Call, place: &Place, verdict: OcfResult) -> OcfResult {
    if verdict.code == OcfCode::ErrInstalled {
        // Without the note the administrator has to run `crm_resource --cleanup`.
        let _ = place.markers.write_note(BARRED, call.resource());
    }
    verdict
}

/// Makes Pacemaker probe this node again, which is a candidate now and was not one at the last probe. A node that left
/// gracefully is drained, and un-drained only after it is back. Without a new probe no node would take the role from a
/// master that fails.
pub fn unbar(call: &Call, place: &Place) {
    let Some(resource) = place.markers.note(BARRED).filter(|resource| !resource.is_empty()) else { return };
    let Some(node) = call.on_node() else { return };
    if pacemaker::refresh(&resource, &node, call.deadline.at_most(REFRESH)).is_ok() {
        let _ = place.markers.write_note(BARRED, "");
    }
}

/// Starts an instance of the clone. An instance does not serve the role: the role comes with the promotion.
fn start_instance(call: &Call, place: &Place) -> OcfResult {
    if let Err(error) = place.markers.set(Marker::MasterStarted) {
        return OcfResult::because(OcfCode::ErrGeneric, format!("cannot keep the state: {error}"));
    }
    if let Ok(site) = place.site() {
        offer(call, place, &site, true);
    }
    OcfResult::plain(OcfCode::Success)
}

fn stop(call: &Call, place: &Place) -> OcfResult {
    let verdict = give_up::give_up(call, place);
    if verdict.code == OcfCode::Success && call.is_promotable() {
        // A marker that stays only makes a later probe report "unpromoted". A failure here would fence the node.
        let _ = place.markers.clear(Marker::MasterStarted);
        let _ = pacemaker::offer(call.resource(), None, None, call.deadline);
        let _ = place.markers.write_note(&note(call), "");
    }
    verdict
}

/// Publishes how recent this candidate's configuration is, as its promotion score, when the score has changed. `anew`:
/// also when it has not, as Pacemaker loses the score when Pacemaker is restarted.
fn offer(call: &Call, place: &Place, site: &Site, anew: bool) {
    if place.run_as(call) == RunAs::Primitive {
        return;
    }
    let words = site.words(place, call.deadline.at_most(PEERS));
    let standing = standing(&site.here, &words, site.candidates.len(), give_up::served(place));
    let last = place.markers.note(&note(call));
    let own = words.iter().find(|word| word.own).map(|word| word.serial);
    // A confd that hangs reports an older copy than the one on disk. The large file is read only where it matters.
    let is_behind =
        || heard::missed(place, own).is_some() && heard::missed(place, site.serial(&place.data_dir)).is_some();
    let score = promotion_score(site.rank, &standing, &words, offered(call, place))
        .filter(|_| site.tags().any_serial || !is_behind());
    let text = score.map(|score| score.to_string()).unwrap_or_default();
    if !anew && last.as_deref() == Some(&text) {
        return;
    }
    // A change of the configuration may be on its way to this node: a lower score is published only at the second
    // check.
    let older_copy = format!("{}.older", note(call));
    let is_lower =
        matches!((score, offered(call, place)), (Some(score), Some(last)) if score < last && last < MASTER_SCORE);
    if is_lower && !anew && place.markers.note(&older_copy).is_none() {
        let _ = place.markers.write_note(&older_copy, &text);
        return;
    }
    let _ = place.markers.forget_note(&older_copy);
    if pacemaker::offer(call.resource(), None, score, call.deadline).is_ok() {
        let _ = place.markers.write_note(&note(call), &text);
    }
}

/// Returns the promotion score that was published last; `None` if there was none.
fn offered(call: &Call, place: &Place) -> Option<i32> {
    place.markers.note(&note(call))?.parse().ok()
}

/// Returns the name of the note with the score that was published last. A resource's id has no `/` (it is an XML id).
fn note(call: &Call) -> String {
    format!("{}.promotion", call.resource().replace('/', "_"))
}
