//! `gnt-ha admit`: a shunned node is let in again, on the one road there is: `ganeti-oob admit`.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use crate::cli;
use crate::core::node::NodeName;
use crate::sys::clock::Deadline;
use crate::sys::program::{ProgramError, run as run_program};

/// Where `make install` puts it.
pub const OOB_PROGRAM: &str = "/usr/lib/gnt-ha/ganeti-oob";

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
    let config = config.to_str().ok_or("the path of the configuration is no text")?;
    let mut words = vec!["--config", config, "admit", arguments.node.as_str()];
    if let Some(reason) = &arguments.confirm {
        words.extend(["--confirm", reason]);
    }
    match run_program(Path::new(OOB_PROGRAM), &words, &[], Deadline::after(LIMIT)) {
        Ok(said) => cli::print(&said),
        Err(ProgramError::Failed { said, .. }) => Err(said.trim().trim_start_matches("ganeti-oob: ").to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
