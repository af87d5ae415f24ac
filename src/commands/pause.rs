//! `gnt-ha pause` and `gnt-ha resume`: an administrator stops reconciliation and starts it again.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;

use super::error::CommandError;
use super::paths::Paths;
use crate::cli;
use crate::core::reconcile::Pause;
use crate::sys::clock::{Deadline, now};
use crate::sys::identity;
use crate::sys::pacemaker::{self, PacemakerError, cib};

/// The time limit for Pacemaker's tool and for reading the change back.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// The command line of `pause`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Reason of the pause, in one line
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    reason: String,

    #[command(flatten)]
    paths: Paths,
}

/// Pauses reconciliation in the whole cluster. The file of this host holds the pause until the cluster has it, and
/// keeps it if that fails. Otherwise it is removed: with two lasting copies, an administrator would end one and forget
/// the other.
///
/// # Errors
/// [`CommandError`], also if only this host is paused ([`CommandError::OnlyHostPaused`]).
pub fn pause(arguments: &Arguments) -> Result<(), CommandError> {
    let pause = Pause::new(&arguments.reason, &identity::asker().user, now().wall_ms)?;
    let reconciler = arguments.paths.reconciler();
    reconciler.set_pause(&pause)?;
    let in_cluster = match pacemaker::started_ms() {
        None => Err(PacemakerError::NotHere.into()),
        Some(_) => {
            cib::set_pause(&arguments.paths.cib, &pause, Deadline::after(CHANGE_TIMEOUT)).map_err(CommandError::from)
        }
    };
    in_cluster.map_err(|error| CommandError::OnlyHostPaused(Box::new(error)))?;
    reconciler.resume()?;
    cli::print(
        "The cluster is paused: no node is recorded offline or drained until gnt-ha resume. Fencing goes on.\n",
    )?;
    Ok(())
}

/// Resumes reconciliation in the whole cluster.
///
/// # Errors
/// [`CommandError`], also if the pause of the cluster cannot be reached from this host
/// ([`CommandError::OnlyHostResumed`]) or was not ended ([`CommandError::NotResumed`]).
pub fn resume(paths: &Paths) -> Result<(), CommandError> {
    let was_paused = paths.reconciler().resume()?;
    if pacemaker::started_ms().is_none() {
        return Err(CommandError::OnlyHostResumed { was_paused });
    }
    let in_cluster =
        end_pause(paths).map_err(|error| CommandError::NotResumed { was_paused, error: Box::new(error) })?;
    match in_cluster {
        Some(pause) => cli::print(&format!("Resumed on every host. It was paused by {}: {}\n", pause.by, pause.reason)),
        None if was_paused => cli::print("Resumed. Only this host was paused.\n"),
        None => cli::print("There was no pause.\n"),
    }?;
    Ok(())
}

/// Ends the pause of the cluster. Returns the pause, if there was one.
fn end_pause(paths: &Paths) -> Result<Option<Pause>, CommandError> {
    let before = cib::read(&paths.cib, &BTreeSet::new())?;
    cib::delete_pause(&paths.cib, Deadline::after(CHANGE_TIMEOUT))?;
    Ok(before.pause)
}
