//! Instances of Ganeti's configuration that cannot be read. Pure.
//!
//! They are never started, and only they: the rest of the cluster is recovered. What is readable of them counts against the
//! rest, so that a decision about another instance does not rest on their absence.

use super::instance::{AdminState, InstanceName};
use crate::core::node::NodeName;

/// The reason why an instance cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadInstance {
    /// Its entry has another shape: this text of the parser.
    #[error("its entry has an unknown shape: {0}")]
    Shape(String),
    /// It names a node that does not exist.
    #[error("it names a node that does not exist")]
    NoSuchNode,
    /// Its `admin_state` is unknown.
    #[error("its admin_state is unknown")]
    AdminState,
    /// It names a disk that does not exist or cannot be read.
    #[error("it names a disk that does not exist or cannot be read")]
    NoSuchDisk,
    /// Another instance has the same name.
    #[error("another instance has the same name")]
    SameName,
}

/// An instance that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableInstance {
    /// Its name, or its UUID if it has no valid name.
    pub name: InstanceName,
    /// Its recorded primary node, if that is known.
    pub primary: Option<NodeName>,
    /// The state in which the administrator wants it, if that is known.
    pub admin_state: Option<AdminState>,
    /// The reason why it cannot be read.
    pub why: BadInstance,
}

impl UnreadableInstance {
    /// Returns whether it may be one that is to run.
    #[must_use]
    pub fn may_be_up(&self) -> bool {
        self.admin_state.is_none_or(|state| state == AdminState::Up)
    }

    /// Returns whether its primary node is, or may be, one for which `is_lost` holds.
    pub fn may_be_on(&self, is_lost: impl FnOnce(&NodeName) -> bool) -> bool {
        self.primary.as_ref().is_none_or(is_lost)
    }
}
