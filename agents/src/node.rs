//! `ganeti-node-role`: every node's, as a clone with notify.

use gnt_ha::core::notice::{Meaning, meaning};
use gnt_ha::core::roles::{OcfCode, Rank, Verdict, monitor_node};
use gnt_ha::core::tags::Mode;

use crate::call::Call;
use crate::checks;
use crate::markers::Marker;
use crate::record::{keep_record, record_now};
use crate::site::Place;

/// The file in Ganeti's data folder that mutes notifications, as with Ganeti's example agent.
const MUTE: &str = "ha_node_role_config";

/// Does what is asked.
#[must_use]
pub fn run(call: &Call, place: &Place) -> Verdict {
    match call.action.as_str() {
        "start" => marked(place.markers.clear(Marker::NodeStopped)),
        "stop" => stop(place),
        "monitor" => monitor(call, place),
        "notify" => notify(call, place),
        "reload" => Verdict::plain(OcfCode::Success),
        "validate-all" => match place.site() {
            Ok(_) => Verdict::plain(OcfCode::Success),
            Err(error) => Verdict::because(OcfCode::ErrInstalled, error.to_string()),
        },
        _ => Verdict::plain(OcfCode::ErrUnimplemented),
    }
}

fn marked(done: std::io::Result<()>) -> Verdict {
    match done {
        Ok(()) => Verdict::plain(OcfCode::Success),
        Err(error) => Verdict::because(OcfCode::ErrGeneric, format!("cannot keep the state: {error}")),
    }
}

/// There is nothing to stop, and a failure would have the node fenced: a marker that cannot be set is not worth that.
fn stop(place: &Place) -> Verdict {
    match place.markers.set(Marker::NodeStopped) {
        Ok(()) => Verdict::plain(OcfCode::Success),
        Err(error) => Verdict::because(OcfCode::Success, format!("stopped, but it cannot be kept: {error}")),
    }
}

fn monitor(call: &Call, place: &Place) -> Verdict {
    let stopped = place.markers.has(Marker::NodeStopped);
    if stopped {
        return monitor_node(stopped, &[]);
    }
    // A host whose Ganeti files cannot be read is in no mode: partial mode never fails.
    let Ok(site) = place.site() else { return monitor_node(stopped, &[]) };
    let full = site.tags().node_mode == Mode::Full;
    let failures = if full { checks::node(place, &site, call.deadline) } else { Vec::new() };
    // Where the master role is no resource of Pacemaker's, this is who looks.
    if site.rank != Rank::Other && !call.is_probe() {
        keep_record(place, call.deadline);
    }
    monitor_node(stopped, &failures)
}

/// Always a success: Pacemaker ignores a failure, and the master's next monitor finds what was missed.
fn notify(call: &Call, place: &Place) -> Verdict {
    if !place.data_dir.join(MUTE).exists() && meaning(&call.notice()) != Meaning::Nothing {
        record_now(place, call.deadline);
    }
    Verdict::plain(OcfCode::Success)
}
