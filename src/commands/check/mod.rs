//! `gnt-ha check`: reports problems of the protection, why they matter, and a fix for each. Changes nothing.

mod collect;
mod host;
mod report;

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::error::CommandError;
use super::paths::Paths;
use crate::cli;
use crate::core::check::{Finding, Severity, check, notes};
use crate::sys::output::Text;
use crate::sys::terminal;
use report::CheckReport;

/// The command line of `check`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Print one JSON object, for programs
    ///
    /// Keys: version (1), host, level, checked {nodes, devices, candidates}, findings [{rule, severity, subject, problem, why,
    /// fix}], notes [{name, nodes, grade, text, why, fix}]. level and severity are ok, warning or error; a note is no
    /// fault. Later versions may add keys, rules and notes.
    #[arg(long)]
    json: bool,

    /// Do not ask the nodes' OOB programs, which log in to each device
    #[arg(long)]
    no_devices: bool,

    /// Time limit for everything, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,

    #[command(flatten)]
    paths: Paths,
}

impl Arguments {
    /// The arguments of a command line without options.
    #[must_use]
    pub const fn plain(paths: Paths) -> Self {
        Self { json: false, no_devices: false, timeout: 30, paths }
    }
}

/// Collects the state, checks it and prints the findings. Changes nothing.
///
/// # Errors
/// [`CommandError::NotInCluster`] if this host is a node of neither cluster; [`CommandError::Print`] or
/// [`CommandError::Json`] if the findings cannot be printed.
pub fn run(arguments: &Arguments, config: &Path) -> Result<Severity, CommandError> {
    let time = Duration::from_secs(arguments.timeout);
    let view = collect::collect(&arguments.paths, config, !arguments.no_devices, time)?;
    let findings = check(&view);
    let level = findings.iter().map(|finding: &Finding| finding.severity).max().unwrap_or(Severity::Ok);
    let notes = notes(&view);
    let report = CheckReport::new(&view, level, &findings, &notes);
    let text = if arguments.json {
        Text::from((serde_json::to_string(&report)? + "\n").as_str())
    } else {
        report.text(terminal::width())
    };
    cli::show(&text)?;
    Ok(level)
}
