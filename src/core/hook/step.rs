//! Holds the steps of a hook, with their names on the command line.

use std::fmt;
use std::str::FromStr;

use crate::core::node::{BadNodeName, NodeName};

/// One step that `gnt-ha hook` carries out for an event of Ganeti; its text is its name in messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookStep {
    /// Apply this host's own nftables rules.
    ApplyRules,
    /// Run `gnt-ha check`, whose findings Ganeti prints.
    Check,
    /// Have Pacemaker fence the node.
    Fence(NodeName),
    /// Update what `gnt-ha setup` has made, by Ganeti's nodes.
    UpdateSetup,
    /// Bring Ganeti's record to what is proven.
    Reconcile,
    /// Have every other node shun the node.
    Shun(NodeName),
    /// Remove gnt-ha's standby of the node.
    ClearStandby(NodeName),
    /// Put the node on standby.
    Standby(NodeName),
    /// Synchronize the shun list with all nodes.
    Sync,
}

impl fmt::Display for HookStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApplyRules => f.write_str("apply-rules"),
            Self::Check => f.write_str("check"),
            Self::UpdateSetup => f.write_str("update-setup"),
            Self::Reconcile => f.write_str("reconcile"),
            Self::Sync => f.write_str("sync"),
            Self::Fence(node) => write!(f, "fence={node}"),
            Self::Shun(node) => write!(f, "shun={node}"),
            Self::ClearStandby(node) => write!(f, "clear-standby={node}"),
            Self::Standby(node) => write!(f, "standby={node}"),
        }
    }
}

/// A text that is not a step of a hook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseHookStepError {
    /// The verb is unknown, or its node is missing or too much.
    #[error("{0:?} is not a step of a hook")]
    Step(String),
    /// The name of the node is not valid.
    #[error(transparent)]
    Node(#[from] BadNodeName),
}

impl FromStr for HookStep {
    type Err = ParseHookStepError;

    fn from_str(text: &str) -> Result<Self, ParseHookStepError> {
        let node = NodeName::new;
        Ok(match text.split_once('=').map_or((text, None), |(verb, name)| (verb, Some(name))) {
            ("apply-rules", None) => Self::ApplyRules,
            ("check", None) => Self::Check,
            ("update-setup", None) => Self::UpdateSetup,
            ("reconcile", None) => Self::Reconcile,
            ("sync", None) => Self::Sync,
            ("fence", Some(name)) => Self::Fence(node(name)?),
            ("shun", Some(name)) => Self::Shun(node(name)?),
            ("clear-standby", Some(name)) => Self::ClearStandby(node(name)?),
            ("standby", Some(name)) => Self::Standby(node(name)?),
            _ => return Err(ParseHookStepError::Step(text.to_owned())),
        })
    }
}
