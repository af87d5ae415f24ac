//! The reasons why this host does not shun or readmit a node.

use std::io;
use std::path::{Path, PathBuf};

use crate::core::node::BadNodeName;
use crate::core::shun::belief::Disbelief;
use crate::core::shun::list::ShunListError;
use crate::core::shun::messages::VERSION;
use crate::sys::command::ProgramError;
use crate::sys::lock::LockError;

/// The reason why this host's shun list or its rules were not changed as requested.
#[derive(Debug, thiserror::Error)]
pub enum ShunError {
    /// This host has a name that cannot be a node's.
    #[error("this host's name: {0}")]
    HostName(#[from] BadNodeName),
    /// The request comes from another version of gnt-ha.
    #[error(
        "the request has version {0}, and this program accepts version {VERSION}: install the same gnt-ha on all nodes"
    )]
    Version(u32),
    /// Nothing of the request counts.
    #[error("the request is rejected: {0}")]
    Disbelieved(#[from] Disbelief),
    /// The list would be larger than what is read again.
    #[error("nothing was changed: {0}")]
    Limits(#[from] ShunListError),
    /// The shun list cannot be read. It does not count as empty: its entries must not be lost.
    #[error(
        "cannot use {}: {error}; nothing was changed (repair it, or remove it{} once no node has to be shunned)",
        path.display(),
        and_beside(beside.as_deref())
    )]
    ShunList {
        /// The file that cannot be read.
        path: PathBuf,
        /// The other of the two files that hold the list, if it exists.
        beside: Option<PathBuf>,
        /// The error of the file system, or of the parser.
        error: io::Error,
    },
    /// A master candidate was to remove entries, and the other nodes follow its list.
    #[error(
        "this host is a master candidate, or may be one, and the others follow its list; readmit the node instead: gnt-ha readmit \
         NODE --force --reason TEXT"
    )]
    Candidate,
    /// The entries that were to be removed are still on the disk.
    #[error("cannot write {}: {why}; nothing was changed", path.display())]
    NotForgotten {
        /// The path of the shun list.
        path: PathBuf,
        /// The error of the disk.
        why: String,
    },
    /// Another process held the lock, or it cannot be opened.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The kernel's rules cannot be read or changed.
    #[error("the shun rules are not applied: {0}")]
    Rules(#[from] ProgramError),
}

fn and_beside(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| format!(" and {}", path.display()))
}
