//! `ganeti-master-role` and `ganeti-node-role`: Ganeti's roles as resources of Pacemaker; `gnt-ha-alert`: its [`alert`] agent.
//!
//! The interface is that of OCF 1.1. The action is the one argument, and the environment has the parameters ([`call`]).
//! Results are exit codes and exit reasons ([`report`]), and a metadata document describes the agent ([`spec`],
//! [`metadata`]). The decisions are in [`gnt_ha::core::roles`]. This crate collects their input ([`site`], [`checks`])
//! and carries them out ([`master`], [`node`]).

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
