//! `ganeti-oob`: an out-of-band (OOB) program for Ganeti.
//!
//! The contract with Ganeti is [`gnt_ha::core::ganeti::oob`]; what is configured for a node, [`gnt_ha::core::config`]. Here are the
//! [`device`]s, what is done with them level by level ([`power`], [`health`], [`check`]), and the command line
//! ([`cli`]).

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod check;
pub mod cli;
pub mod device;
pub mod health;
pub mod level;
pub mod levels;
pub mod network;
pub mod owner;
pub mod peer;
pub mod power;
pub mod receipts;
pub mod seen;
pub mod shun;
pub mod survey;
