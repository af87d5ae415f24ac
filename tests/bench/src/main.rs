//! `make bench`: compares the programs of gnt-ha with the usual tools, in one run, with the same simulators.
//!
//! The program runs itself again in namespaces of its own ([`sandbox`]), where the configuration has its usual path and
//! packets can be lost, and again for each measured command ([`measure`]). The roles are measured in labs
//! ([`takeover`], [`shun`]). No process or file of it remains.

mod admin_commands;
mod bmcs;
mod cases;
mod fixture;
mod measure;
mod monitors;
mod sandbox;
mod shun;
mod simulator;
mod table;
mod takeover;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The result of the functions here: an error is one line for the user.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Measures the programs of gnt-ha against what people use today, and prints the ratios and what is to be reached.
#[derive(Parser)]
#[command(name = "bench", args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Write the table to this file too, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Runs of each command whose time is compared
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(3..))]
    runs: u16,

    /// How often the master's host is killed, in a lab of its own each time; 0 leaves everything out that needs a lab
    #[arg(long, default_value_t = 3)]
    labs: u8,

    /// Directory with Ganeti's example agents, as its build makes them (doc/examples/*.ocf), to compare with
    #[arg(long, value_name = "DIR", default_value = "/usr/share/doc/ganeti/examples")]
    examples: PathBuf,

    #[command(subcommand)]
    part: Option<Part>,
}

/// What the program runs itself again for.
#[derive(Subcommand)]
enum Part {
    /// Run all cases, inside the namespaces
    #[command(hide = true)]
    Inside { runs: u16 },
    /// Run one command and measure it
    #[command(hide = true)]
    Measure(measure::Order),
    /// Serve many BMCs, in one process
    #[command(hide = true)]
    Bmcs,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.part {
        None => outside(&arguments),
        Some(Part::Inside { runs }) => inside(*runs),
        Some(Part::Measure(order)) => measure::carry_out(order),
        Some(Part::Bmcs) => bmcs::serve(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn outside(arguments: &Arguments) -> Result<()> {
    fixture::check_tools()?;
    let mut rows: Vec<table::Row> = serde_json::from_slice(&sandbox::run_inside(arguments.runs)?)?;
    if arguments.labs > 0 {
        rows.extend(shun::all(arguments.runs.into())?);
        rows.extend(takeover::all(arguments.labs, arguments.runs.into(), &arguments.examples)?);
    }
    print!("{}", table::text(&rows));
    if let Some(file) = &arguments.json {
        let text = serde_json::to_string_pretty(&table::document(&rows))? + "\n";
        fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

fn inside(runs: u16) -> Result<()> {
    sandbox::furnish()?;
    let fixture = fixture::Fixture::make()?;
    let rows = cases::all(&fixture, runs.into())?;
    println!("{}", serde_json::to_string(&rows)?);
    Ok(())
}
