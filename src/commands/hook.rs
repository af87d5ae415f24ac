//! `gnt-ha hook`: called by the scripts in Ganeti's directory of hooks. Has the service handle the event, prints, and may
//! start a detached process.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::error::CommandError;
use super::paths::Paths;
use super::{check, setup};
use crate::core::check::Severity;
use crate::core::hook::HookStep;
use crate::service::hook::event::handle;
use crate::service::hook::steps::{PrintingStep, StepsDone, do_all};
use crate::sys::clock::Deadline;
use crate::sys::detached;
use crate::sys::log::warn_system;

/// The time limit for changes that are tried on a copy first, with every host's death.
const UPDATE_SETUP_TIMEOUT: Duration = Duration::from_secs(30);

/// The command line of `hook`, which Ganeti's hook script builds.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What a hook has put off, as it must not hold Ganeti up
    #[arg(hide = true, value_name = "STEP")]
    later: Vec<HookStep>,

    #[command(flatten)]
    paths: Paths,
}

/// Does the steps for an event of Ganeti's. Returns whether `gnt-cluster verify` is to show what was printed.
///
/// # Errors
/// [`CommandError`], for failed steps [`CommandError::Steps`]. It also goes to the system's log, as Ganeti does not show
/// the output of every hook.
pub fn run(arguments: &Arguments, config_path: &Path) -> Result<bool, CommandError> {
    let paths = &arguments.paths;
    let reconciler = paths.reconciler();
    let printing = |step| print_step(step, paths, config_path);
    let done = if arguments.later.is_empty() {
        handle(|name| std::env::var(name).ok(), &reconciler, config_path, printing)
    } else {
        detached::settle();
        do_all(&arguments.later, &reconciler, config_path, printing)
    };
    let done = done.map_err(CommandError::from).and_then(|done| finish(done, config_path));
    if let Err(error) = &done {
        warn_system("gnt-ha", &format!("hook: {error}"));
    }
    done
}

/// Carries out a step whose output Ganeti shows. Returns whether it found no problem.
fn print_step(step: PrintingStep, paths: &Paths, config_path: &Path) -> Result<bool, CommandError> {
    match step {
        PrintingStep::Check => {
            let found = check::run(&check::Arguments::plain(paths.clone()), config_path)?;
            // Ganeti prints the output of a hook only if the hook fails, and a warning is not a failure.
            Ok(found < Severity::Error)
        }
        PrintingStep::UpdateSetup => setup::update(paths, false, Deadline::after(UPDATE_SETUP_TIMEOUT)).map(|_| true),
    }
}

/// Starts the steps for which Ganeti's job must not wait, in a detached process, and reports the failures of all.
fn finish(done: StepsDone<CommandError>, config_path: &Path) -> Result<bool, CommandError> {
    let StepsDone { mut failed, is_well, later } = done;
    if !later.is_empty() {
        let config = config_path.display().to_string();
        let mut words = vec!["--config".to_owned(), config, "hook".to_owned()];
        words.extend(later.iter().map(ToString::to_string));
        let started = detached::start(&words);
        let not_started = |error| CommandError::StepsNotStarted { steps: words[3..].join(" "), error };
        failed.extend(started.err().map(not_started));
    }
    if failed.is_empty() { Ok(is_well) } else { Err(CommandError::Steps(failed)) }
}
