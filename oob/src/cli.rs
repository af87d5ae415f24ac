//! The command line: Ganeti's five OOB commands with a node, and the commands of gnt-ha. Parses only.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};
use gnt_ha::core::node::NodeName;

/// Out-of-band (OOB) program for Ganeti: real power control, proven by reading back.
///
/// Ganeti calls it as COMMAND NODE. power-on, power-off and power-cycle print nothing and succeed only when the new
/// state was read back; power-status and health print JSON. The exit code is 0 for success and 1 for everything else;
/// not knowing is a failure, never an answer.
#[derive(Debug, Parser)]
#[command(name = "ganeti-oob", version, max_term_width = 100)]
pub struct Cli {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = gnt_ha::core::config::DEFAULT_PATH)]
    pub config: PathBuf,

    /// Say on stderr what is done, step by step
    #[arg(short, long, global = true)]
    pub verbose: bool,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Switch the node on and read back that it is
    PowerOn(Node),
    /// Switch the node off, hard, and read back twice that it is
    PowerOff(Node),
    /// Off, proven, power cycle interval, on, proven
    PowerCycle(Node),
    /// Print {"powered": true|false, "grade": ...}; fails when it is not known
    PowerStatus(Node),
    /// Print [["item", "OK|WARNING|CRITICAL|UNKNOWN"], ...]
    Health(Node),
    /// Read the configuration, log in to the devices and read their state; change nothing
    Check {
        /// The node; without it, every node that the configuration names
        #[arg(value_name = "NODE")]
        node: Option<NodeName>,
    },
    /// Let a shunned node in again: one that has booted since and runs nothing, or at your word
    Readmit {
        /// The node
        #[arg(value_name = "NODE")]
        node: NodeName,
        /// Readmit it whatever it says itself, for a reason: you have looked
        #[arg(long, requires = "reason")]
        force: bool,
        /// Why it may come back, with --force
        #[arg(long, value_name = "TEXT", requires = "force", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        reason: Option<String>,
    },
    /// Have every other node refuse one, at a person's word; gnt-ha shun and Ganeti's hooks run it
    Shun {
        /// The node
        #[arg(value_name = "NODE")]
        node: NodeName,
        /// Why
        #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        reason: String,
        /// Refuse everything, not TCP alone: corosync loses a node that lives, and Pacemaker fences it
        #[arg(long)]
        all_traffic: bool,
    },
    /// Keep every node at what was decided of shunned ones; run by ganeti-node-role
    Sync,
    /// Ask every other node's ganeti-oob for its version, its configuration, its clock and its self-fencing; print JSON. gnt-ha check runs it
    Survey,
    /// Ask another master candidate for its receipts of fencings that it ran itself; print JSON. The reconciliation runs it
    Receipts {
        /// Whom to ask
        #[arg(value_name = "HOST")]
        host: NodeName,
        /// Whose receipts
        #[arg(value_name = "NODE", required = true)]
        nodes: Vec<NodeName>,
    },
    /// Ask every device of every level of a node for the power; print JSON. gnt-ha check runs it
    Devices(Node),
    /// Asked by other nodes: what this one refuses and knows; prints JSON
    #[command(hide = true)]
    Peer {
        /// The question as JSON, or - for stdin
        #[arg(value_name = "QUESTION", allow_hyphen_values = true)]
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
            | Self::Health(arg)
            | Self::Devices(arg) => Some(&arg.node),
            Self::Check { node } => node.as_ref(),
            Self::Readmit { node, .. } | Self::Shun { node, .. } => Some(node),
            Self::Peer { .. } | Self::Sync | Self::Survey | Self::Receipts { .. } => None,
        }
    }
}

/// The node to do it to.
#[derive(Debug, Args)]
pub struct Node {
    /// The node's name, as Ganeti has it
    #[arg(value_name = "NODE")]
    pub node: NodeName,
}

/// Returns the command line's description, for completions and the manual page.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}
