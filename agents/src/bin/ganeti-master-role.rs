//! Parses, calls, prints.

use std::process::ExitCode;

use ganeti_agents::{master, report, spec};

fn main() -> ExitCode {
    report::main(&spec::MASTER_ROLE, master::run)
}
