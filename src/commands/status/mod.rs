//! `gnt-ha status`: shows the state of each node, its pending record change and what blocks it. Changes nothing.

mod collect;
mod table;

pub(super) use collect::collect;

use std::time::Duration;

use clap::Args;
use jiff::tz::TimeZone;

use super::error::CommandError;
use super::paths::Paths;
use crate::cli::{self, PrintError};
use crate::core::status::StatusLevel;
use crate::sys::clock::now;
use crate::sys::output::{self, Text};
use crate::sys::terminal;
use table::Table;

/// The interval between two collections of `--watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// The command line of `status`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Print one JSON object, for programs
    ///
    /// Keys: version (1), host, level, master, quorum, quorum_device {host, votes}, maintenance, pause {reason, by, since_ms}, breaker {since_ms, blocked,
    /// down, limit}, nodes [{node, level, pacemaker, ganeti {role, offline, drained, powered}, receipt {action, outcome,
    /// grade, at_ms}, record {decision, text}, power_reading {power} or {unknown}, shun, self_fence, grade}], notes [{level, subject, text}].
    /// level is ok, attention or unknown; power_reading is what --power brought, with the reason if it is unknown; shun is shunned
    /// or readmitted, by this host's shun list; self_fence is armed, off or unknown, by the node's own last report; grade is what
    /// is proven of the node as it is now. null is what is not so or not known; times are milliseconds since 1970. Later
    /// versions may add keys.
    #[arg(long)]
    json: bool,

    /// Ask each node's devices or OOB program for its power, too, all at once
    ///
    /// Without it no device is asked, and the power is shown as Ganeti has it recorded.
    #[arg(long, conflicts_with = "watch")]
    power: bool,

    /// Repeat every two seconds, until it is interrupted
    ///
    /// A value that cannot be read is shown as unknown, and read again.
    #[arg(long)]
    watch: bool,

    #[command(flatten)]
    paths: Paths,
}

/// Collects the status and prints it. Changes nothing.
///
/// # Errors
/// [`CommandError::NotInCluster`] if this host is a node of neither cluster; [`CommandError::Print`] or
/// [`CommandError::Json`] if the status cannot be printed.
pub fn run(arguments: &Arguments) -> Result<StatusLevel, CommandError> {
    if arguments.watch {
        return Ok(watch(arguments)?);
    }
    let (level, text) = collect_text(arguments)?;
    cli::show(&text)?;
    Ok(level)
}

/// Repeats until the reader of stdout is gone. Returns the level of the last status.
fn watch(arguments: &Arguments) -> Result<StatusLevel, PrintError> {
    let is_terminal = terminal::is_terminal();
    loop {
        let (level, mut text) = collect_text(arguments).unwrap_or_else(|error| {
            if arguments.json {
                cli::print_error("gnt-ha", &error.to_string());
                return (StatusLevel::Unknown, Text::default());
            }
            (StatusLevel::Unknown, Text::from(format!("{error}\n").as_str()))
        });
        if !is_terminal && !arguments.json {
            text.push_str("\n");
        }
        if !output::clear().map_err(PrintError::from)? || !cli::is_read(&text)? {
            return Ok(level);
        }
        std::thread::sleep(WATCH_INTERVAL);
    }
}

fn collect_text(arguments: &Arguments) -> Result<(StatusLevel, Text), CommandError> {
    let status = collect(&arguments.paths, arguments.power)?;
    let text = if arguments.json {
        Text::from((serde_json::to_string(&status)? + "\n").as_str())
    } else {
        Table { now_ms: now().wall_ms, zone: TimeZone::system(), width: terminal::width() }.text(&status)
    };
    Ok((status.level, text))
}
