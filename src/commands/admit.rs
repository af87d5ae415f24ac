//! `gnt-ha admit`: a shunned node is let in again, on the one road there is: `ganeti-oob admit`.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::oob;
use crate::cli;
use crate::core::node::NodeName;

/// The time for everything.
const LIMIT: Duration = Duration::from_secs(55);

/// The command line.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The node
    #[arg(value_name = "NODE")]
    node: NodeName,

    /// It may come back, whatever it says itself: you have looked
    #[arg(long, value_name = "REASON")]
    confirm: Option<String>,
}

/// Has it admitted.
///
/// # Errors
/// Why not, in one line.
pub fn run(arguments: &Arguments, config: &Path) -> Result<(), String> {
    let mut words = vec!["admit", arguments.node.as_str()];
    if let Some(reason) = &arguments.confirm {
        words.extend(["--confirm", reason]);
    }
    cli::print(&oob::ask(&words, config, LIMIT)?)
}
