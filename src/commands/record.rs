//! `gnt-ha record`, `pause`, `resume`, `breaker reset`: Ganeti's record of what became of its nodes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli;
use crate::config::DEFAULT_STATE;
use crate::core::reconcile::{Decision, Pause, Plan};
use crate::sys::clock::{Deadline, now};
use crate::sys::recorder::Recorder;
use crate::sys::{ganeti_files, identity};

/// The time for one look.
const LIMIT: Duration = Duration::from_secs(30);

/// Where things are, for whoever has them elsewhere.
#[derive(Debug, Args)]
pub struct Places {
    /// Folder of the receipts and of what is remembered
    #[arg(long, value_name = "FOLDER", default_value = DEFAULT_STATE)]
    state_dir: PathBuf,

    /// Ganeti's data folder
    #[arg(long, value_name = "FOLDER", default_value = ganeti_files::DATA_DIR)]
    data_dir: PathBuf,
}

/// The command line of `record`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Say what would be done, and why; change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    places: Places,
}

/// The command line of `pause`.
#[derive(Debug, Args)]
pub struct PauseArguments {
    /// Why, for whoever looks at three in the morning
    #[arg(value_name = "REASON")]
    reason: String,

    #[command(flatten)]
    places: Places,
}

/// The commands of `breaker`.
#[derive(Debug, Subcommand)]
pub enum BreakerCommand {
    /// Let through what the breaker holds back, and count anew
    Reset(Places),
}

/// Looks, decides and submits; prints what was decided of each node.
///
/// # Errors
/// One line, when nothing could be looked at.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let recorder = arguments.places.recorder();
    let deadline = Deadline::after(LIMIT);
    if arguments.dry_run {
        return recorder.plan(deadline).map_err(|error| error.to_string()).and_then(|plan| show(&plan));
    }
    let (plan, lines) = recorder.run(deadline).map_err(|error| error.to_string())?;
    show(&plan)?;
    cli::print(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}

/// Stops recording on this host.
///
/// # Errors
/// One line.
pub fn pause(arguments: &PauseArguments) -> Result<(), String> {
    let pause = Pause { reason: arguments.reason.clone(), by: identity::asker().user, since_ms: now().wall_ms };
    arguments.places.recorder().set_pause(&pause).map_err(|error| error.to_string())?;
    cli::print("Paused on this host: nothing is recorded offline or drained until gnt-ha resume.\n")
}

/// Lets recording go on.
///
/// # Errors
/// One line.
pub fn resume(places: &Places) -> Result<(), String> {
    let was = places.recorder().resume().map_err(|error| error.to_string())?;
    cli::print(if was { "Goes on.\n" } else { "There was no pause on this host.\n" })
}

/// `gnt-ha breaker`.
///
/// # Errors
/// One line.
pub fn breaker(command: &BreakerCommand) -> Result<(), String> {
    let BreakerCommand::Reset(places) = command;
    places.recorder().reset_breaker(Deadline::after(LIMIT)).map_err(|error| error.to_string())?;
    cli::print("The breaker is reset on this host.\n")
}

impl Places {
    fn recorder(&self) -> Recorder {
        Recorder::new(&self.state_dir, &self.data_dir, Path::new(ganeti_files::LUXI_SOCKET))
    }
}

fn show(plan: &Plan) -> Result<(), String> {
    let width = plan.verdicts.iter().map(|verdict| verdict.node.as_str().len()).max().unwrap_or_default();
    let mut text = String::new();
    for verdict in &plan.verdicts {
        let mark = match verdict.decision {
            Decision::Nothing(_) => " ",
            Decision::Refused(_) => "!",
            _ => "*",
        };
        text.push_str(&format!("{mark} {:width$}  {}\n", verdict.node, verdict.decision));
    }
    cli::print(&text)
}
