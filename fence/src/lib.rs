//! `fence_ganeti`: Ganeti's out-of-band power interface as a fence device of Pacemaker.
//!
//! The interface is that of fence-agents (its `doc/FenceAgentAPI.md` and `lib/fencing.py.py`): options on stdin or on
//! the command line ([`spec`], [`input`], [`options`]), a metadata document ([`metadata`]), and actions ([`actions`]).
//! It needs neither Ganeti's master nor its job queue or locks. It reads the OOB program of each node from
//! `config.data` and runs the program on this host ([`target`], [`power`]). After an off, it records the node offline
//! in Ganeti if that is possible from here ([`record_offline`]).
//!
//! ```
//! let metadata = fence_ganeti::metadata::document()?;
//! assert!(metadata.contains("<action name=\"off\""));
//! # Ok::<(), std::io::Error>(())
//! ```

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod actions;
mod child_receipts;
mod fencing;
pub mod input;
pub mod list;
pub mod metadata;
pub mod options;
pub mod power;
pub mod record_offline;
pub mod report;
pub mod spec;
pub mod target;
