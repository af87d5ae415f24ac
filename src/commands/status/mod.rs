//! `gnt-ha status`: how each node is, what is about to happen to its record, and what is in the way.

mod look;
mod table;

use std::io::IsTerminal;

use clap::Args;
use jiff::tz::TimeZone;

use super::places::Places;
use crate::cli;
use crate::core::status::Level;
use crate::sys::clock::now;
use table::Table;

/// The command line.
#[derive(Debug, Args)]
pub struct Arguments {
    /// One JSON object, for programs
    ///
    /// Keys: version (1), host, level, master, quorum, maintenance, pause {reason, by, since_ms}, breaker {since_ms, held,
    /// down, limit}, nodes [{node, level, pacemaker, ganeti {role, offline, drained, powered}, receipt {action, outcome,
    /// grade, at_ms}, next {decision, text}}], notes [{level, about, text}]. level is well, look or unknown; null is what
    /// is not so or not known; times are milliseconds since 1970. Later versions may add keys.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    places: Places,
}

/// Looks and prints. Changes nothing.
///
/// # Errors
/// One line, when this host knows nothing of either.
pub fn run(arguments: &Arguments) -> Result<Level, String> {
    let status = look::look(&arguments.places)?;
    let text = if arguments.json {
        serde_json::to_string(&status).map_err(|error| error.to_string())? + "\n"
    } else {
        Table { now_ms: now().wall_ms, zone: TimeZone::system(), colour: std::io::stdout().is_terminal() }.text(&status)
    };
    cli::print(&text)?;
    Ok(status.level)
}
