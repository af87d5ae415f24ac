//! Starts the reconciler of Ganeti's record. No other file of the agents starts it.

use std::time::Duration;

use gnt_ha::service::reconciler::run::{ReconcileError, Reconciler};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::log::warn_system;
use gnt_ha::sys::output;
use gnt_ha::sys::pacemaker::PacemakerError;

use crate::paths::AgentPaths;

/// The most that one reconciliation may take of an agent's time: Pacemaker's tools, a silent noded, luxid.
const RECONCILE_LIMIT: Duration = Duration::from_secs(8);

/// The part of an agent's time that is reserved for its own answer.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// Reconciles at once: the role has just come to this host, or Pacemaker has notified of a fencing.
///
/// As with [`reconcile_if_due`], the caller's own success does not depend on the result.
pub fn reconcile_now(paths: &AgentPaths, deadline: Deadline) {
    print(reconciler(paths).run_now(deadline.earlier(ANSWER_TIME).at_most(RECONCILE_LIMIT)));
}

/// Reconciles if it is due. Called at monitors, on every node that holds Ganeti's configuration, as the next master has
/// to remember what was before.
pub fn reconcile_if_due(paths: &AgentPaths, deadline: Deadline) {
    print(reconciler(paths).run_if_due(deadline.earlier(ANSWER_TIME).at_most(RECONCILE_LIMIT)));
}

fn reconciler(paths: &AgentPaths) -> Reconciler {
    let reconciler = Reconciler::new(&paths.state_dir, &paths.data_dir, &paths.luxid());
    Reconciler { own_name: paths.node_name().cloned(), ..reconciler }
}

/// Prints the lines on stderr, which Pacemaker writes to its log, and to the system's log. A blocked change is reported
/// when it is new, not at each monitor.
fn print(lines: Result<Vec<String>, ReconcileError>) {
    let lines = match lines {
        Ok(lines) => lines,
        // An administrator who runs the agent by hand on a host without Pacemaker expects no reconciliation.
        Err(ReconcileError::Pacemaker(PacemakerError::NotHere)) => Vec::new(),
        Err(error) => vec![format!("reconciliation failed: {error}")],
    };
    for line in lines {
        // The reader of stderr may have closed it; the loop goes on.
        output::print_error(&format!("record: {line}"));
        warn_system("gnt-ha", &format!("record: {line}"));
    }
}
