//! Entry point of the OCF agent `ganeti-node-role`: the work is in [`ganeti_agents`].

#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use ganeti_agents::{node_role, ocf, spec};

fn main() -> ExitCode {
    ocf::main(&spec::NODE_ROLE, node_role::run)
}
