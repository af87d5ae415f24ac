//! `gnt-ha shun`: shuns a node on every other node, sends the shun list to all nodes, and manages the shun rules of
//! this host.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::error::CommandError;
use crate::cli;
use crate::core::config::Config;
use crate::core::grade::Grade;
use crate::core::node::{self, NodeName};
use crate::core::shun::list::{Epoch, ShunEntry, ShunScope};
use crate::core::text::printable;
use crate::service::shun::applier::ShunApplier;
use crate::service::shun::manual::shun_by_hand;
use crate::service::shun::sync::sync;
use crate::sys::clock::Deadline;
use crate::sys::config_file;
use crate::sys::ganeti::files;
use crate::sys::identity;
use crate::sys::log::warn_system;
use crate::sys::nft::shun_table::ApplyResult;

/// The time limit for everything on this host.
const HOST_TIMEOUT: Duration = Duration::from_secs(20);

/// The time limit for sending the shun list to all nodes.
const ORDER_TIMEOUT: Duration = Duration::from_secs(55);

/// The command line of `shun`.
#[derive(Debug, Args)]
#[command(
    subcommand_negates_reqs = true,
    arg_required_else_help = true,
    override_usage = "gnt-ha shun [OPTIONS] --reason <TEXT> <NODE>\n       gnt-ha shun <COMMAND>"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// Name of the node that all other nodes shun, full or short
    #[arg(value_name = "NODE", required = true)]
    node: Option<NodeName>,

    /// Reason, which the shun list keeps
    #[arg(long, value_name = "TEXT", required = true, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reason: Option<String>,

    /// Shun all traffic, also corosync's: Pacemaker loses a running node, and fences it
    ///
    /// Without it only TCP is shunned: Ganeti's jobs, SSH and DRBD reach neither the node nor, from it, another one. UDP of
    /// corosync and of Ganeti's confd passes, and Pacemaker goes on as before.
    #[arg(long)]
    all_traffic: bool,
}

/// The commands for this host.
#[derive(Debug, Subcommand)]
enum Command {
    /// Set this host's nftables rules by its shun list and Ganeti's record
    ///
    /// For the boot, before the network and Ganeti's daemons are up, and after the firewall was reloaded. Running it again
    /// changes nothing.
    Apply,
    /// Send the shun list to all nodes, and merge the candidates' lists
    ///
    /// For a timer, and for a node that has just become reachable. Running it again changes nothing.
    ///
    /// Exit codes: 0 every node that answered shuns the shunned nodes, 1 a node does not, or did not answer while a node
    /// is shunned.
    Sync,
    /// Show which nodes this host shuns, and whether its kernel does
    ///
    /// Shows also since when and by whom.
    ///
    /// Exit code: 0 the kernel shuns each of them, 1 it does not.
    Status(ShunStatusArguments),
    /// Stop shunning nodes on this host alone
    ///
    /// For a host that shuns every master candidate that is left, so that none can reach it. Removes the nodes from this host's
    /// shun list and from its kernel's rules, and notifies no other host. A node that the master candidates still shun is
    /// shunned here again when they send their lists.
    ///
    /// Not allowed on a master candidate. There, gnt-ha readmit NODE --force --reason TEXT readmits a node on all nodes.
    Release(ReleaseArguments),
}

/// The command line of `release`.
#[derive(Debug, Args)]
struct ReleaseArguments {
    /// Names of the nodes
    #[arg(value_name = "NODE", required = true)]
    nodes: Vec<NodeName>,

    /// Release the nodes, which may then reach this host again; needs --reason
    #[arg(long, requires = "reason")]
    force: bool,

    /// Reason, with --force
    #[arg(long, value_name = "TEXT", requires = "force", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reason: Option<String>,
}

/// The command line of `status`.
#[derive(Debug, Args)]
struct ShunStatusArguments {
    /// Print one JSON object, for programs
    ///
    /// Keys: version (1), nodes [{node, applied, entry {epoch, addresses, scope, grade, boot_id, since_ms, by}}].
    /// applied: the kernel's rules drop the packets of each address; scope: tcp or all. Later versions may add keys.
    #[arg(long)]
    json: bool,
}

/// Runs the command. Returns whether this host shuns every node that it should.
///
/// # Errors
/// [`CommandError`] if the shun list or the kernel's rules cannot be read or changed.
pub fn run(arguments: &Arguments, config: &Path) -> Result<bool, CommandError> {
    match (&arguments.command, &arguments.node, &arguments.reason) {
        (Some(command), None, None) if !arguments.all_traffic => run_on_this_host(command, config),
        (Some(_), ..) => Err(CommandError::BeforeSubcommand),
        (None, Some(node), Some(reason)) => {
            let config = config_file::load_or_default(config)?;
            let scope = if arguments.all_traffic { ShunScope::All } else { ShunScope::Tcp };
            let deadline = Deadline::after(ORDER_TIMEOUT.min(config.deadline));
            let shunned = shun_by_hand(&config, Path::new(files::DATA_DIR), node, reason, scope, deadline)?;
            cli::print(&format!("{shunned}\n"))?;
            Ok(true)
        }
        // clap requires both, so this case does not occur.
        (None, ..) => Err(CommandError::NoNodeOrReason),
    }
}

fn run_on_this_host(command: &Command, config: &Path) -> Result<bool, CommandError> {
    let config = config_file::load_or_default(config)?;
    let applier = ShunApplier::new(&config, Path::new(files::DATA_DIR))?;
    let deadline = Deadline::after(HOST_TIMEOUT);
    match command {
        Command::Sync => send_list(&config).map(|()| true),
        Command::Apply => {
            let applied = applier.apply(deadline)?;
            let (word, rules) = match &applied {
                ApplyResult::Unchanged(rules) => ("unchanged", rules),
                ApplyResult::Done(rules) => ("done", rules),
            };
            cli::print(&format!("{word}: {} addresses are shunned\n", rules.addresses.len()))?;
            Ok(true)
        }
        Command::Status(arguments) => status(&applier, arguments.json, deadline),
        Command::Release(arguments) => release(&applier, arguments, deadline),
    }
}

fn send_list(config: &Config) -> Result<(), CommandError> {
    let deadline = Deadline::after(ORDER_TIMEOUT.min(config.deadline));
    let synced = sync(config, Path::new(files::DATA_DIR), deadline)?;
    synced.notes.iter().for_each(|line| cli::print_error("gnt-ha", line));
    synced.failure().map_or(Ok(()), |failure| Err(CommandError::Sync(failure)))
}

fn release(applier: &ShunApplier<'_>, arguments: &ReleaseArguments, deadline: Deadline) -> Result<bool, CommandError> {
    let shun_list = applier.shun_list()?;
    let shunned: Vec<&NodeName> = shun_list.shunned().map(|(node, _)| node).collect();
    let find = |given: &NodeName| {
        let found = node::find(given, shunned.iter().copied());
        found.cloned().map_err(|error| CommandError::NotShunnedHere { given: given.clone(), error })
    };
    let nodes = arguments.nodes.iter().map(find).collect::<Result<BTreeSet<NodeName>, _>>()?;
    let Some(reason) = &arguments.reason else {
        return Err(CommandError::NotReleased(nodes.into_iter().collect()));
    };
    applier.forget(&nodes, deadline).map_err(CommandError::Release)?;
    let line = format!(
        "{}: not shunned any more on {}, by {}: {reason}",
        nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", "),
        applier.own_node(),
        identity::asker().user
    );
    warn_system("gnt-ha", &line);
    cli::print(&format!("{}\n", printable(&line)))?;
    Ok(true)
}

#[derive(Serialize)]
struct ShunLine<'a> {
    node: &'a str,
    /// Whether the kernel's rules shun every address of the node, in the scope of the entry.
    applied: bool,
    entry: ShunLineEntry<'a>,
    /// The reason why an address of the node is no longer shunned.
    #[serde(skip)]
    left_out: Option<String>,
}

/// An entry of the shun list, with the keys of `--json`.
#[derive(Serialize)]
struct ShunLineEntry<'a> {
    epoch: Epoch,
    addresses: &'a BTreeSet<IpAddr>,
    scope: ShunScope,
    grade: Grade,
    boot_id: Option<&'a str>,
    since_ms: u64,
    by: &'a str,
}

impl<'a> From<&'a ShunEntry> for ShunLineEntry<'a> {
    fn from(entry: &'a ShunEntry) -> Self {
        let ShunEntry { epoch, addresses, scope, grade, boot_id, since_ms, by } = entry;
        Self {
            epoch: *epoch,
            addresses,
            scope: *scope,
            grade: *grade,
            boot_id: boot_id.as_deref(),
            since_ms: *since_ms,
            by,
        }
    }
}

fn status(applier: &ShunApplier<'_>, json: bool, deadline: Deadline) -> Result<bool, CommandError> {
    let shun_list = applier.shun_list()?;
    let kernel = applier.applied_rules(deadline)?;
    let left_out = applier.left_out();
    let line = |(node, entry)| {
        let ShunEntry { addresses, scope, .. }: &ShunEntry = entry;
        let applied = addresses.iter().all(|address| kernel.addresses.get(address) >= Some(scope));
        let node: &NodeName = node;
        ShunLine { node: node.as_str(), applied, entry: entry.into(), left_out: left_out(node, entry) }
    };
    let lines: Vec<ShunLine<'_>> = shun_list.shunned().map(line).collect();
    let text = if json { serde_json::json!({"version": 1, "nodes": lines}).to_string() + "\n" } else { table(&lines) };
    cli::print(&text)?;
    Ok(lines.iter().all(|line| line.applied))
}

fn table(lines: &[ShunLine<'_>]) -> String {
    if lines.is_empty() {
        return "this host shuns no node\n".to_owned();
    }
    let zone = TimeZone::system();
    let mut text = String::new();
    for ShunLine { node, applied, entry, left_out } in lines {
        let mark = if *applied { ' ' } else { '!' };
        let what = match entry.scope {
            ShunScope::Tcp => "TCP",
            ShunScope::All => "all",
        };
        let kernel = match (applied, left_out) {
            (true, _) => "shunned".to_owned(),
            (false, Some(why)) => format!("shunned in part ({why})"),
            (false, None) => "NOT shunned by the kernel (gnt-ha shun apply)".to_owned(),
        };
        text.push_str(&format!(
            "{mark} {node}  {what} {kernel}, {}, since {} by {}\n",
            entry.grade,
            cli::time(entry.since_ms, &zone),
            printable(entry.by)
        ));
    }
    text
}
