//! `gnt-ha history`: prints the actions on nodes, who requested them, and how they were proven. Only reads.

mod page;
mod text;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use jiff::tz::TimeZone;

use super::error::{CommandError, IncidentError};
use crate::cli;
use crate::core::config::{DEFAULT_PATH, DEFAULT_STATE};
use crate::core::history::{ActionRecord, join_entries};
use crate::core::node::{self, NodeName};
use crate::core::receipt::Action;
use crate::core::reconcile::Fence;
use crate::core::timeline::{TimelineEvent, add_instances, joined};
use crate::service::reconciler::recover::read_recovery_log;
use crate::sys::clock::Deadline;
use crate::sys::config_file::{self, ConfigFileError};
use crate::sys::ganeti::files;
use crate::sys::ganeti::ssconf::Ssconf;
use crate::sys::output::Text;
use crate::sys::pacemaker::{self, PacemakerError};
use crate::sys::receipt_log::ReceiptLog;
use text::TextFormat;

/// The number of actions that are shown without `--all`.
const ACTIONS_SHOWN: usize = 20;

/// The time limit for Pacemaker's fence history.
const PACEMAKER_TIMEOUT: Duration = Duration::from_secs(5);

/// The command line of `history`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Print only the actions on this node
    #[arg(value_name = "NODE")]
    node: Option<NodeName>,

    /// Print one JSON object a line, for programs
    ///
    /// Keys of an action of this host: intent, receipt (null if it was interrupted) and parts. Key pacemaker: the entry of
    /// Pacemaker's fence history, with node, action, status, completed_ms and delegate; null without an entry. It is the only
    /// key of an action of another host, another fence agent or an administrator. With --incident, on the host that was the
    /// master then, also instances: what became of each instance of the node. Later versions may add keys.
    #[arg(long)]
    json: bool,

    /// Print all actions, not only the last 20
    #[arg(long)]
    all: bool,

    /// Print only one action: the receipt's id or its beginning, or last for the last fencing
    ///
    /// On the host that was the master then, also when each instance of the node was started elsewhere and seen running, or
    /// why it was not started. There, last may be a fencing by another host.
    #[arg(long, value_name = "RECEIPT")]
    incident: Option<String>,

    /// Print that action as one self-contained HTML page with a time line
    #[arg(long, requires = "incident", conflicts_with = "json")]
    html: bool,

    /// Directory of the receipts, instead of the configured one and without Pacemaker's history
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

/// Reads the receipts of this host and Pacemaker's fence history, and prints them, oldest first.
///
/// # Errors
/// [`CommandError`] if the receipt log cannot be read, or the requested incident is not unique.
pub fn run(arguments: &Arguments, config: &Path) -> Result<(), CommandError> {
    let dir = state_dir(arguments, config)?;
    let count = if arguments.all || arguments.incident.is_some() { usize::MAX } else { ACTIONS_SHOWN };
    let (contents, older) = ReceiptLog::new(&dir).read_last(count, arguments.node.as_ref())?;
    for line in &contents.unreadable {
        cli::print_error("gnt-ha", &format!("left out {line}"));
    }
    let actions = join_entries(contents.entries, arguments.node.as_ref());
    let fences = if arguments.state_dir.is_some() { Vec::new() } else { fences() };
    let since_ms = if older > 0 { actions.first().map(|action| action.intent.at.wall_ms) } else { None };
    let mut events = joined(actions, fences, arguments.node.as_ref(), since_ms);
    if let Some(wanted) = &arguments.incident {
        match read_recovery_log(&dir) {
            Ok(log) => add_instances(&mut events, log),
            Err(error) => cli::print_error("gnt-ha", &format!("{error}; the instances are left out")),
        }
        events = vec![the_incident(events, wanted, &dir)?];
    }
    if arguments.html {
        let page = events.iter().find_map(|event| Some(page::page(event.action.as_ref()?, event, &TimeZone::system())));
        return Ok(cli::print(&page.ok_or(IncidentError::OtherHost)?)?);
    }
    if arguments.json {
        return Ok(cli::print(&json_lines(&events)?)?);
    }
    if events.is_empty() {
        let whom = arguments.node.as_ref().map_or_else(|| "any node".to_owned(), ToString::to_string);
        let names = Ssconf::new(Path::new(files::DATA_DIR)).names("node_list").unwrap_or_default();
        let is_unknown = |node: &NodeName| !names.is_empty() && node::find(node, &names).is_err();
        let unknown = if arguments.node.as_ref().is_some_and(is_unknown) { "; Ganeti has no such node" } else { "" };
        let text = format!("This host has no receipt of an action on {whom} ({}){unknown}.\n", dir.display());
        return Ok(cli::print(&text)?);
    }
    let format = TextFormat { zone: TimeZone::system() };
    let mut text = Text::default();
    if older > 0 {
        text.push_str(&format!("({older} older ones are left out: --all shows them)\n\n"));
    }
    for event in &events {
        format.push_event(event, &mut text);
        text.push_str("\n");
    }
    Ok(cli::show(&text)?)
}

/// Returns the incident that `wanted` means: a receipt's id, the beginning of one, or `last`.
fn the_incident(events: Vec<TimelineEvent>, wanted: &str, dir: &Path) -> Result<TimelineEvent, IncidentError> {
    let is_fencing = |action: &ActionRecord| action.intent.action != Action::On;
    let is_meant = |event: &TimelineEvent| match &event.action {
        Some(action) if wanted == "last" => is_fencing(action),
        Some(action) => action.has_id(wanted),
        None => wanted == "last" && !event.instances.is_empty(),
    };
    let mut meant: Vec<TimelineEvent> = events.into_iter().filter(is_meant).collect();
    match (meant.len(), wanted) {
        (0, "last") => Err(IncidentError::NoFencing { dir: dir.to_owned() }),
        (0, _) => Err(IncidentError::NoReceipt { wanted: wanted.to_owned(), dir: dir.to_owned() }),
        (1, _) | (_, "last") => Ok(meant.swap_remove(meant.len() - 1)),
        (count, _) => Err(IncidentError::Several { wanted: wanted.to_owned(), count }),
    }
}

/// Reads Pacemaker's fence history. If Pacemaker does not run or answer, only the receipts are shown.
fn fences() -> Vec<(NodeName, Fence)> {
    match pacemaker::status(Deadline::after(PACEMAKER_TIMEOUT)) {
        Ok(status) => status.fences,
        Err(PacemakerError::NotHere) => Vec::new(),
        Err(error) => {
            cli::print_error("gnt-ha", &format!("{error}; only the receipts of this host follow"));
            Vec::new()
        }
    }
}

/// Returns the directory of the receipts. A missing or broken configuration is not an error at its default path, as the
/// history is needed then as well.
fn state_dir(arguments: &Arguments, config: &Path) -> Result<PathBuf, ConfigFileError> {
    if let Some(dir) = &arguments.state_dir {
        return Ok(dir.clone());
    }
    match config_file::load(config) {
        Ok(config) => Ok(config.state),
        Err(error) if config == Path::new(DEFAULT_PATH) => {
            if config.exists() {
                cli::print_error("gnt-ha", &format!("{error}; reading {DEFAULT_STATE}"));
            }
            Ok(DEFAULT_STATE.into())
        }
        Err(error) => Err(error),
    }
}

fn json_lines(events: &[TimelineEvent]) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    for event in events {
        text.push_str(&serde_json::to_string(event)?);
        text.push('\n');
    }
    Ok(text)
}
