//! Parses, calls, prints.

#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use ganeti_agents::{node, report, spec};

fn main() -> ExitCode {
    report::main(&spec::NODE_ROLE, node::run)
}
