//! What can be wrong with the configuration.

use std::path::PathBuf;

use crate::core::node::NodeName;

/// One thing that an administrator can fix in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The text is wrong.
    #[error("{}:{line}: {message}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there and what to write instead.
        message: String,
    },
    /// No rule for a node.
    #[error("{}: says nothing about node {node}: add [nodes.\"{node}\"] or [default] with levels", path.display())]
    NoRule {
        /// The file.
        path: PathBuf,
        /// The node.
        node: NodeName,
    },
    /// More than one pattern matches.
    #[error(
        "{}: the patterns {} all match node {node}: add a rule with its exact name",
        path.display(), patterns.join(", ")
    )]
    SeveralRules {
        /// The file.
        path: PathBuf,
        /// The node.
        node: NodeName,
        /// The patterns.
        patterns: Vec<String>,
    },
    /// A device that cannot be used.
    #[error("{}: device {device} {why}", path.display())]
    Device {
        /// The file.
        path: PathBuf,
        /// The device's name.
        device: String,
        /// Why not.
        why: String,
    },
}
