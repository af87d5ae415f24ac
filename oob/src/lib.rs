//! `ganeti-oob`: an out-of-band (OOB) program for Ganeti.
//!
//! The contract with Ganeti is [`gnt_ha::core::ganeti::oob`]. Devices, levels and proof are in [`gnt_ha::power`], and
//! shunning is in [`gnt_ha::service::shun`]. Here is the command line ([`cli`]).

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
pub mod error;
