//! `gnt-ha pause` and `gnt-ha resume`: an administrator stops reconciliation and starts it again.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;

use super::paths::Paths;
use crate::cli;
use crate::core::reconcile::Pause;
use crate::sys::clock::{Deadline, now};
use crate::sys::identity;
use crate::sys::pacemaker::{self, cib};

/// The time limit for Pacemaker's tool and for reading the change back.
const LIMIT: Duration = Duration::from_secs(10);

/// The command line of `pause`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Reason of the pause, in one line
    #[arg(value_name = "REASON", allow_hyphen_values = true)]
    reason: String,

    #[command(flatten)]
    places: Paths,
}

/// Pauses reconciliation in the whole cluster. The file of this host holds the pause until the cluster has it, and
/// keeps it if that fails. Otherwise it is removed: with two lasting copies, an administrator would end one and forget
/// the other.
///
/// # Errors
/// One line, also if only this host is paused.
pub fn pause(arguments: &Arguments) -> Result<(), String> {
    let pause = Pause::new(&arguments.reason, &identity::asker().user, now().wall_ms).map_err(text)?;
    let reconciler = arguments.places.reconciler();
    reconciler.set_pause(&pause).map_err(text)?;
    let in_cluster = match pacemaker::started_ms() {
        None => Err("Pacemaker does not run on this host".to_owned()),
        Some(_) => cib::set_pause(&arguments.places.cib, &pause, Deadline::after(LIMIT)).map_err(text),
    };
    if let Err(why) = in_cluster {
        return Err(format!(
            "only this host is paused, and another one that is or becomes Ganeti's master is not: {why} (run it on a \
             host where Pacemaker runs)"
        ));
    }
    reconciler.resume().map_err(text)?;
    cli::print("The cluster is paused: no node is recorded offline or drained until gnt-ha resume. Fencing goes on.\n")
}

/// Resumes reconciliation in the whole cluster.
///
/// # Errors
/// One line, also if the pause of the cluster cannot be reached from this host.
pub fn resume(places: &Paths) -> Result<(), String> {
    let was_here = places.reconciler().resume().map_err(text)?;
    let here = if was_here { "the pause of this host is over" } else { "there was no pause of this host alone" };
    if pacemaker::started_ms().is_none() {
        return Err(format!(
            "{here}; Pacemaker does not run on this host: if the cluster is paused, it still is (run it on a host where \
             Pacemaker runs)"
        ));
    }
    let in_cluster = cib::read(&places.cib, &BTreeSet::new()).map_err(text).and_then(|before| {
        cib::delete_pause(&places.cib, Deadline::after(LIMIT)).map_err(text)?;
        Ok(before.pause)
    });
    match in_cluster {
        Err(why) => Err(format!("{here}; if the cluster is paused, it still is: {why}")),
        Ok(Some(pause)) => {
            cli::print(&format!("Resumed on every host. It was paused by {}: {}\n", pause.by, pause.reason))
        }
        Ok(None) if was_here => cli::print("Resumed. Only this host was paused.\n"),
        Ok(None) => cli::print("There was no pause.\n"),
    }
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
