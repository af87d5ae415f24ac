//! Parses, calls, prints.

use std::process::ExitCode;

use ganeti_agents::{node, report, spec};

fn main() -> ExitCode {
    report::main(&spec::NODE_ROLE, node::run)
}
