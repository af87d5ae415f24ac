//! `gnt-ha readmit`: readmits a shunned node on all nodes, through `ganeti-oob readmit`.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::oob;
use crate::cli;
use crate::core::node::NodeName;

/// The time limit for everything.
const LIMIT: Duration = Duration::from_secs(55);

/// The command line.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The node
    #[arg(value_name = "NODE")]
    node: NodeName,

    /// Readmit it whatever it says itself, for a reason: you have looked
    #[arg(long, requires = "reason")]
    force: bool,

    /// Why it may come back, with --force
    #[arg(long, value_name = "TEXT", requires = "force", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reason: Option<String>,
}

/// Readmits the node.
///
/// # Errors
/// The error line of `ganeti-oob readmit`, or why it could not run.
pub fn run(arguments: &Arguments, config: &Path) -> Result<(), String> {
    let mut words = vec!["readmit", arguments.node.as_str()];
    if let Some(reason) = &arguments.reason {
        words.extend(["--force", "--reason", reason]);
    }
    cli::print(&oob::ask(&words, config, LIMIT)?)
}
