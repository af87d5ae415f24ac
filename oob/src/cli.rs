//! The command line: Ganeti's five OOB commands with a node, `check`, and the hidden `peer`. Parses only.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};
use gnt_ha::core::node::NodeName;

/// Switch and read the power of a node, for Ganeti's OOB interface
///
/// Ganeti calls it as COMMAND NODE. power-on, power-off and power-cycle print nothing and succeed only when the new
/// state was read back; power-status and health print JSON. An unknown state is a failure.
///
/// Exit codes: 0 success, 1 failure.
#[derive(Debug, Parser)]
#[command(name = "ganeti-oob", version, max_term_width = 100)]
pub struct Cli {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = gnt_ha::core::config::DEFAULT_PATH)]
    pub config: PathBuf,

    /// Print each step on stderr
    #[arg(short, long, global = true)]
    pub verbose: bool,

    /// The command to run
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of `ganeti-oob`: those of Ganeti's contract, and `check` and the hidden `peer`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Switch the node on and prove it by reading the power back
    PowerOn(NodeArgument),
    /// Switch the node off, hard, and prove it by reading the power back twice
    PowerOff(NodeArgument),
    /// Switch the node off and on again, and prove both states
    ///
    /// Waits for the power cycle interval between them.
    PowerCycle(NodeArgument),
    /// Print {"powered": true|false, "grade": ...}; fails if it is unknown
    PowerStatus(NodeArgument),
    /// Print [["item", "OK|WARNING|CRITICAL|UNKNOWN"], ...]
    Health(NodeArgument),
    /// Log in to the devices and read their state; change nothing
    Check {
        /// The node; without it, every node that the configuration names
        #[arg(value_name = "NODE")]
        node: Option<NodeName>,
    },
    /// Answer the request of another node; prints JSON
    ///
    /// Called by the other hosts, through noded or SSH, and not by an administrator.
    #[command(hide = true)]
    Peer {
        /// The request as JSON, or - for stdin
        #[arg(value_name = "REQUEST", allow_hyphen_values = true)]
        question: String,
    },
}

impl Command {
    /// Returns the node of the command, if it has one.
    #[must_use]
    pub fn node(&self) -> Option<&NodeName> {
        match self {
            Self::PowerOn(arg)
            | Self::PowerOff(arg)
            | Self::PowerCycle(arg)
            | Self::PowerStatus(arg)
            | Self::Health(arg) => Some(&arg.node),
            Self::Check { node } => node.as_ref(),
            Self::Peer { .. } => None,
        }
    }
}

/// The node of a command.
#[derive(Debug, Args)]
pub struct NodeArgument {
    /// The node's name, as Ganeti has it
    #[arg(value_name = "NODE")]
    pub node: NodeName,
}

/// Returns the command line's description, for completions and the manual page.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list of commands in a help text has one line for each, on a terminal of 100 columns.
    #[test]
    fn the_first_line_of_a_commands_help_is_short() {
        let all = command();
        let lines = std::iter::once(&all).chain(all.get_subcommands()).filter_map(clap::Command::get_about);
        let long: Vec<String> = lines.map(ToString::to_string).filter(|line| line.len() > 72).collect();
        assert!(long.is_empty(), "more than 72 characters: {long:#?}");
    }
}
