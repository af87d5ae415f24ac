//! `gnt-ha reconcile` and `gnt-ha breaker reset`: bring Ganeti's record of its nodes to what is proven.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::error::CommandError;
use super::paths::Paths;
use crate::cli::{self, PrintError};
use crate::core::reconcile::Plan;
use crate::core::status::RecordChange;
use crate::sys::clock::Deadline;

/// The time limit for the reconciliation and for its jobs to end.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(30);

/// The command line of `reconcile`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Print the decisions, and change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    paths: Paths,
}

/// The commands of `breaker`, whose state belongs to one host.
#[derive(Debug, Subcommand)]
pub enum BreakerCommand {
    /// Close the breaker of this host, so that it records nodes again
    ///
    /// Run on Ganeti's master: each host has a breaker, and that of the master decides. The breaker opens if more nodes would
    /// be recorded offline than 2 or 30 % of all, whichever is more, and closes when the cluster was whole for 10 minutes.
    /// Before you reset it, make sure that the blocked nodes are off: once they are recorded offline, their instances may be
    /// started elsewhere.
    Reset(Paths),
}

/// Collects the state, decides and submits jobs. Prints the decision for each node, and how the jobs ended.
///
/// # Errors
/// [`CommandError::Reconcile`] if the state cannot be read or the jobs cannot be submitted.
pub fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let deadline = Deadline::after(RECONCILE_TIMEOUT);
    if arguments.dry_run {
        return Ok(show(&arguments.paths.view().plan(None, deadline)?)?);
    }
    let reconciler = arguments.paths.reconciler();
    let (plan, lines) = reconciler.run(deadline)?;
    show(&plan)?;
    print_lines(&lines)?;
    let ended = reconciler.wait_for_jobs(deadline)?;
    Ok(print_lines(&ended.into_iter().filter(|line| !lines.contains(line)).collect::<Vec<_>>())?)
}

/// Resets the breaker of this host.
///
/// # Errors
/// [`CommandError::Reconcile`] if the memory of the reconciler cannot be changed.
pub fn breaker(command: &BreakerCommand) -> Result<(), CommandError> {
    let BreakerCommand::Reset(paths) = command;
    paths.reconciler().reset_breaker(Deadline::after(RECONCILE_TIMEOUT))?;
    Ok(cli::print("The breaker of this host is reset.\n")?)
}

fn print_lines(lines: &[String]) -> Result<(), PrintError> {
    cli::print(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())
}

fn show(plan: &Plan) -> Result<(), PrintError> {
    let width = plan.decisions.iter().map(|entry| entry.node.as_str().len()).max().unwrap_or_default();
    let mut text = String::new();
    for entry in &plan.decisions {
        let next = RecordChange::of(&entry.decision);
        text.push_str(&format!("{} {:width$}  {}\n", next.mark(), entry.node, next.text));
    }
    cli::print(&text)
}
