//! `fence_ganeti`: Ganeti's out-of-band power interface as a stonith device for Pacemaker.
//!
//! The interface is fence-agents' (its `doc/FenceAgentAPI.md` and `lib/fencing.py.py`): options on stdin or on the
//! command line ([`spec`], [`input`], [`options`]), a metadata document ([`metadata`]), and actions ([`actions`]).
//! Nothing here needs Ganeti's master, its job queue or its locks: each node's OOB program is looked up in
//! `config.data` and run here ([`target`], [`switch`]); what can be told to Ganeti afterwards is told ([`record`]).

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod actions;
mod fencing;
pub mod input;
pub mod metadata;
pub mod options;
pub mod record;
pub mod report;
pub mod spec;
pub mod survey;
pub mod switch;
pub mod target;
