//! Starts the reconciler of Ganeti's record; no other file of the agents does.

use std::time::Duration;

use gnt_ha::service::reconciler::run::{ReconcileError, Reconciler};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::log::warn_system;
use gnt_ha::sys::output;
use gnt_ha::sys::pacemaker::PacemakerError;

use crate::site::Place;

/// The most that one reconciliation may take of an agent's time: Pacemaker's tools, a silent noded, luxid.
const LOOK: Duration = Duration::from_secs(8);

/// The part of an agent's time that is reserved for its own answer.
const KEPT: Duration = Duration::from_secs(1);

/// Reconciles at once: the role has just come to this host, or Pacemaker has notified of a fencing.
///
/// As with [`keep_record`], the caller's own success does not depend on the result.
pub fn record_now(place: &Place, deadline: Deadline) {
    tell(recorder(place).run_now(deadline.earlier(KEPT).at_most(LOOK)));
}

/// Reconciles if it is due. Called at monitors, on every node that holds Ganeti's configuration, as the next master has
/// to remember what was before.
pub fn keep_record(place: &Place, deadline: Deadline) {
    tell(recorder(place).run_if_due(deadline.earlier(KEPT).at_most(LOOK)));
}

fn recorder(place: &Place) -> Reconciler {
    let recorder = Reconciler::new(&place.state_dir, &place.data_dir, &place.luxid());
    Reconciler { own_name: place.node_name().cloned(), ..recorder }
}

/// Writes the lines to stderr, which Pacemaker puts into its log, and to the system's log. A blocked change is reported
/// when it is new, not at each monitor.
fn tell(looked: Result<Vec<String>, ReconcileError>) {
    let lines = match looked {
        Ok(lines) => lines,
        // An administrator who runs the agent by hand on a host without Pacemaker asks for no record.
        Err(ReconcileError::Pacemaker(PacemakerError::NotHere)) => Vec::new(),
        Err(error) => vec![format!("nothing is looked at: {error}")],
    };
    for line in lines {
        // The reader of stderr may have closed it; the loop goes on.
        output::print_error(&format!("record: {line}"));
        warn_system("gnt-ha", &format!("record: {line}"));
    }
}
