//! What the programs of gnt-ha share.
//!
//! | module | what belongs there | what it may touch |
//! |---|---|---|
//! | [`core`] | decisions, values, text formats, the model of `/etc/gnt-ha/config.toml` | nothing: no clock, no I/O, no process |
//! | [`sys`] | thin adapters to the world | processes, files, sockets, clocks |
//! | [`service`] | what is long-lived or orders steps: the reconciler, the self-fence daemon, what applies shunning | what `sys` touches |
//! | [`cli`] | what the command lines share | stdout and stderr |
//! | [`commands`] | the commands of `gnt-ha` | what each of them is for |
//!
//! The programs (`fence_ganeti`, `ganeti-oob`, `gnt-ha`) stand on top: they parse, call and print.

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
pub mod commands;
pub mod core;
pub mod service;
pub mod sys;
