//! The record in Ganeti of what became of its nodes, started from here and from nowhere else in the agents.

use std::time::Duration;

use gnt_ha::service::reconciler::run::{ReconcileError, Reconciler};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::log::warn_system;
use gnt_ha::sys::output;
use gnt_ha::sys::pacemaker::PacemakerError;

use crate::site::Place;

/// The most that a look may take of an agent's time: Pacemaker's tools, a silent noded, luxid.
const LOOK: Duration = Duration::from_secs(8);

/// What is left of an agent's time for its own answer.
const KEPT: Duration = Duration::from_secs(1);

/// Looks at once: the role has just come here, or Pacemaker has told of a fencing.
///
/// As with [`keep_record`], nothing of it is needed for the caller's own success.
pub fn record_now(place: &Place, deadline: Deadline) {
    tell(recorder(place).run_now(deadline.earlier(KEPT).at_most(LOOK)));
}

/// Looks if it is time: at monitors, on every node that holds Ganeti's configuration, as whoever is master next has to
/// remember what was before.
pub fn keep_record(place: &Place, deadline: Deadline) {
    tell(recorder(place).run_if_due(deadline.earlier(KEPT).at_most(LOOK)));
}

fn recorder(place: &Place) -> Reconciler {
    let recorder = Reconciler::new(&place.state_dir, &place.data_dir, &place.luxid());
    Reconciler { own_name: place.node_name().cloned(), ..recorder }
}

/// Both into Pacemaker's log, which takes in an agent's stderr, and into the system's. What is refused is said when it is
/// new, not at each monitor.
fn tell(looked: Result<Vec<String>, ReconcileError>) {
    let lines = match looked {
        Ok(lines) => lines,
        // Whoever tries the agent by hand on a host without Pacemaker asks for no record.
        Err(ReconcileError::Pacemaker(PacemakerError::NotHere)) => Vec::new(),
        Err(error) => vec![format!("nothing is looked at: {error}")],
    };
    for line in lines {
        // Whoever read it may have hung up; that is no reason to end here.
        output::print_error(&format!("record: {line}"));
        warn_system("gnt-ha", &format!("record: {line}"));
    }
}
