//! `gnt-ha readmit`: readmits a shunned node on all nodes.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::error::CommandError;
use crate::cli;
use crate::core::node::NodeName;
use crate::service::shun::readmit::readmit_by_hand;
use crate::sys::clock::Deadline;
use crate::sys::config_file;
use crate::sys::ganeti::files;

/// The time limit for everything.
const READMIT_TIMEOUT: Duration = Duration::from_secs(55);

/// The command line of `readmit`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of the node, full or short
    #[arg(value_name = "NODE")]
    node: NodeName,

    /// Readmit the node whatever it reports, after you have checked it yourself; needs --reason
    #[arg(long, requires = "reason")]
    force: bool,

    /// Reason, which the shun list keeps; with --force
    #[arg(long, value_name = "TEXT", requires = "force", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reason: Option<String>,
}

/// Readmits the node.
///
/// # Errors
/// [`CommandError::ManualOrder`] if the node is not readmitted, with what to do; [`CommandError::Config`] if the
/// configuration cannot be used.
pub fn run(arguments: &Arguments, config: &Path) -> Result<(), CommandError> {
    let Arguments { node, reason, .. } = arguments;
    let config = config_file::load_or_default(config)?;
    let deadline = Deadline::after(READMIT_TIMEOUT.min(config.deadline));
    let readmission = readmit_by_hand(&config, Path::new(files::DATA_DIR), node, reason.as_deref(), deadline)?;
    readmission.missing().iter().for_each(|line| cli::print_error("gnt-ha", line));
    Ok(cli::print(&format!("{readmission}\n"))?)
}
