//! What can go wrong when a node is shunned, or readmitted, on this host.

use std::io;
use std::path::{Path, PathBuf};

use crate::core::node::BadNodeName;
use crate::core::shun::belief::Disbelief;
use crate::core::shun::list::RegisterError;
use crate::core::shun::messages::VERSION;
use crate::sys::command::ProgramError;
use crate::sys::lock::LockError;

/// Why a node is not refused, or readmitted, here.
#[derive(Debug, thiserror::Error)]
pub enum ShunError {
    /// This host has a name that cannot be a node's.
    #[error("this host's name: {0}")]
    HostName(#[from] BadNodeName),
    /// Another version of this program asks.
    #[error(
        "it was asked in version {0} of the words, and this program knows version {VERSION}: install the same one everywhere"
    )]
    Version(u32),
    /// Whoever asks is not obeyed.
    #[error("refused: {0}")]
    Disbelieved(#[from] Disbelief),
    /// What would be kept could not be read again.
    #[error("nothing was changed: {0}")]
    Limits(#[from] RegisterError),
    /// The register cannot be read: what it holds must not be forgotten.
    #[error(
        "cannot use {}: {error}; nothing was changed (repair it, or remove it{} once you know that nobody is shunned)",
        path.display(),
        and_beside(beside.as_deref())
    )]
    Register {
        /// The file that cannot be read.
        path: PathBuf,
        /// The other file of the two that hold the list, where there is one.
        beside: Option<PathBuf>,
        /// Why.
        error: io::Error,
    },
    /// A master candidate was to forget something.
    #[error(
        "this host is a master candidate, or may be one, and the others go by its list; readmit the node instead: gnt-ha readmit \
         NODE --force --reason TEXT"
    )]
    Candidate,
    /// The disk has still what was to be forgotten.
    #[error("cannot write {}: {why}; nothing was changed", path.display())]
    NotForgotten {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Somebody else was at it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The kernel's rules.
    #[error("the rules are not as they should be: {0}")]
    Rules(#[from] ProgramError),
}

fn and_beside(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| format!(" and {}", path.display()))
}
