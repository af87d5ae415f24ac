//! `ganeti-master-role` and `ganeti-node-role`: Ganeti's roles as resources of Pacemaker; `gnt-ha-alert`: its [`alert`] agent.
//!
//! The interface is that of OCF 1.1. The action is the one argument, and the environment has the parameters ([`call`]).
//! Results are exit codes and exit reasons ([`ocf`]), and a metadata document describes the agent ([`spec`],
//! [`metadata`]). The decisions are in [`gnt_ha::core::roles`]. This crate collects their input
//! ([`ganeti_view`], [`checks`], [`evidence`]) and carries them out ([`master_role`], [`node_role`]).
//!
//! ```
//! use ganeti_agents::{metadata, spec};
//!
//! let document = metadata::document(&spec::MASTER_ROLE)?;
//! assert!(document.contains("<action name=\"promote\""));
//! # Ok::<(), std::io::Error>(())
//! ```

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod alert;
pub mod attribute;
pub mod call;
pub mod checks;
pub mod evidence;
pub mod ganeti_view;
pub mod health;
pub mod markers;
pub mod master_role;
pub mod may_fence;
pub mod metadata;
pub mod newer_config;
pub mod node_role;
pub mod ocf;
pub mod paths;
pub mod reconcile;
pub mod shun_sync;
pub mod spec;
