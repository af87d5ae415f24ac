//! The errors of the commands, each one line on stderr.

use std::path::PathBuf;

use gnt_ha::cli::PrintError;
use gnt_ha::core::node::NodeName;
use gnt_ha::power::error::PowerError;
use gnt_ha::service::power_action::ActionError;
use gnt_ha::service::shun::peer::PeerRequestError;
use gnt_ha::sys::config_file::ConfigFileError;

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum OobCommandError {
    /// The configuration file cannot be used for the node.
    #[error("{node}: {error}")]
    NodeConfig {
        /// The node that the command was given.
        node: NodeName,
        /// The fault in the file, with its line where there is one.
        error: ConfigFileError,
    },
    /// The configuration file cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigFileError),
    /// The power was not changed, or the change is not proven.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// No level shows the power.
    #[error("{node}: its power is unknown: {error}")]
    Status {
        /// The node whose power was to be read.
        node: NodeName,
        /// The failures of its levels and devices.
        error: PowerError,
    },
    /// No device shows its health.
    #[error("{node}: its health is unknown: {error}")]
    Health {
        /// The node whose health was to be read.
        node: NodeName,
        /// The failures of its levels and devices.
        error: PowerError,
    },
    /// The devices of a node cannot be asked.
    #[error(transparent)]
    Devices(#[from] PowerError),
    /// The request of another node has no answer.
    #[error(transparent)]
    Answer(#[from] PeerRequestError),
    /// Some devices failed in a check.
    #[error("{bad} of {all} devices failed (ERROR above)")]
    Check {
        /// The number of devices that failed.
        bad: usize,
        /// The number of devices.
        all: usize,
    },
    /// Two nodes have the same machine.
    #[error("{pairs} pairs of nodes share a machine and are not switched: give each node its own in {}", path.display())]
    Shared {
        /// The number of such pairs.
        pairs: usize,
        /// The path of the configuration.
        path: PathBuf,
    },
    /// The answer cannot be written as JSON.
    #[error("cannot write the answer as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The result cannot be printed.
    #[error(transparent)]
    Print(#[from] PrintError),
}
