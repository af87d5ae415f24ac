//! Holds the errors of the configuration.

use std::path::PathBuf;

use crate::core::node::NodeName;

/// An error in the configuration that an administrator can fix.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The text is not valid TOML, or has an unknown key or a value of another type.
    #[error("{}:{line}: {message}", path.display())]
    Text {
        /// The path of the file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The error in that line, and what to write instead.
        message: String,
    },
    /// No rule has levels for the node.
    #[error("{}: has no rule for node {node}: add [nodes.\"{node}\"] or [default] with levels", path.display())]
    NoRule {
        /// The path of the file.
        path: PathBuf,
        /// The node without a rule.
        node: NodeName,
    },
    /// More than one pattern matches the node.
    #[error(
        "{}: the patterns {} all match node {node}: add a rule with its exact name",
        path.display(), patterns.join(", ")
    )]
    SeveralRules {
        /// The path of the file.
        path: PathBuf,
        /// The node that the patterns match.
        node: NodeName,
        /// The patterns that match the node, in the order of the file.
        patterns: Vec<String>,
    },
    /// A device is unknown, or cannot be used for a node.
    #[error("{}: device {device} {why}", path.display())]
    Device {
        /// The path of the file.
        path: PathBuf,
        /// The name of the device.
        device: String,
        /// The reason, to be printed after the name.
        why: String,
    },
}
