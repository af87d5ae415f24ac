//! Parses, calls, prints.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gnt_ha::cli;
use gnt_ha::commands::history;

const PROGRAM: &str = "gnt-ha";

/// The bridge between Ganeti and Pacemaker, for the administrator.
#[derive(Debug, Parser)]
#[command(name = "gnt-ha", version, max_term_width = 100)]
struct Cli {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = gnt_ha::config::DEFAULT_PATH)]
    config: PathBuf,

    /// What to do
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print what was done to nodes, by whom, and how it was proven
    History(history::Arguments),
}

fn main() -> ExitCode {
    let parsed = match Cli::try_parse() {
        Ok(parsed) => parsed,
        Err(error) if cli::answer(PROGRAM, &error) => return ExitCode::from(2),
        Err(_) => return ExitCode::SUCCESS,
    };
    let result = match &parsed.command {
        Command::History(arguments) => history::run(arguments, &parsed.config),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            cli::complain(PROGRAM, &line);
            ExitCode::FAILURE
        }
    }
}
