//! Entry point of the OCF agent `ganeti-master-role`: the work is in [`ganeti_agents`].

#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use ganeti_agents::{master, report, spec};

fn main() -> ExitCode {
    report::main(&spec::MASTER_ROLE, master::run)
}
