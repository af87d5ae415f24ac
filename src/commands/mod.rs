//! The commands of `gnt-ha`: a file each.

pub mod history;
pub mod record;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The bridge between Ganeti and Pacemaker, for the administrator.
#[derive(Debug, Parser)]
#[command(name = "gnt-ha", version, max_term_width = 100)]
pub struct Cli {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = crate::config::DEFAULT_PATH)]
    pub config: PathBuf,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print what was done to nodes, by whom, and how it was proven
    History(history::Arguments),
    /// Bring Ganeti's record of its nodes to what Pacemaker and the receipts prove
    ///
    /// Runs by itself at each monitor of the master; by hand it says what is blocked, and why: `*` is done, `!` is
    /// refused.
    Record(record::Arguments),
    /// Stop recording on this host, for a reason
    Pause(record::PauseArguments),
    /// Let recording go on
    Resume(record::Places),
    /// Too many nodes at once: the breaker
    #[command(subcommand)]
    Breaker(record::BreakerCommand),
}
