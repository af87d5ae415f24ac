//! `ganeti-master-role` and `ganeti-node-role`: Ganeti's roles as resources of Pacemaker; `gnt-ha-alert`: its [`alert`] agent.
//!
//! The interface is OCF 1.1's: the action is the one argument, parameters come in the environment ([`call`]), results
//! go out as exit codes and exit reasons ([`report`]), and a metadata document tells of it ([`spec`], [`metadata`]).
//! What the agents decide is in [`gnt_ha::core::roles`]; here they look ([`site`], [`checks`]) and act ([`master`],
//! [`node`]).

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod alert;
pub mod attribute;
pub mod call;
pub mod checks;
pub mod health;
pub mod heard;
pub mod markers;
pub mod master;
pub mod may_fence;
pub mod metadata;
pub mod node;
pub mod proof;
pub mod record;
pub mod report;
pub mod shun_sync;
pub mod site;
pub mod spec;
