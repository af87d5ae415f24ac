//! `ganeti-oob`: an out-of-band (OOB) program for Ganeti.
//!
//! The contract with Ganeti is [`gnt_ha::core::ganeti::oob`]. Devices, levels and proof are in [`gnt_ha::power`], and
//! shunning is in [`gnt_ha::service::shun`]. Here is the command line ([`cli`]).
//!
//! ```
//! let command = ganeti_oob::cli::command();
//! let ganeti_commands = ["power-on", "power-off", "power-cycle", "power-status", "health"];
//! assert!(ganeti_commands.iter().all(|name| command.find_subcommand(name).is_some()));
//! ```

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
pub mod error;
