//! The reasons why self-fencing does not start, is not tried out, or is not measured.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::core::node::NodeName;
use crate::core::shun::measurement::MeasurementError;
use crate::sys::ganeti::confd::ConfdError;
use crate::sys::ganeti::ssconf::SsconfError;

/// The reason why self-fencing cannot ask the master candidates from this host.
#[derive(Debug, thiserror::Error)]
pub enum SelfFenceError {
    /// A file of Ganeti with the nodes cannot be read.
    #[error(transparent)]
    Ssconf(#[from] SsconfError),
    /// This host is not a node of the cluster.
    #[error("this host, {0}, is not a node of this cluster (ssconf_node_list)")]
    NotANode(String),
    /// Ganeti has no address of this node.
    #[error("{0} has no address in ssconf_node_primary_ips")]
    NoAddress(NodeName),
    /// The key of confd cannot be used.
    #[error(transparent)]
    Confd(#[from] ConfdError),
    /// The key of the echoes cannot be derived from it.
    #[error("cannot derive the key of the echoes: {0}")]
    EchoKey(io::Error),
    /// The node's address is not an address of this host, or its socket fails.
    #[error("cannot use {address}: {error}")]
    Address {
        /// The address of the node in Ganeti.
        address: IpAddr,
        /// The error of the kernel.
        error: io::Error,
    },
    /// The kernel has no random numbers.
    #[error("cannot read a random number: {0}")]
    Random(io::Error),
    /// The signals that end the daemon cannot be blocked or read.
    #[error("cannot receive signals: {0}")]
    Signals(io::Error),
}

/// The reason why a measurement of the watchdog has no result.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The notes exist and cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The path of the notes.
        path: PathBuf,
        /// The error of the file system.
        error: io::Error,
    },
    /// The notes prove nothing.
    #[error(transparent)]
    Notes(#[from] MeasurementError),
    /// The result cannot be written, or the notes cannot be removed.
    #[error("cannot keep the result of the measurement: {}: {error}", path.display())]
    NotKept {
        /// The path of the result.
        path: PathBuf,
        /// The error of the file system.
        error: io::Error,
    },
}
