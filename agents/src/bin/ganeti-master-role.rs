//! Entry point of the OCF agent `ganeti-master-role`: the work is in [`ganeti_agents`].

#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use ganeti_agents::{master_role, ocf, spec};

fn main() -> ExitCode {
    ocf::main(&spec::MASTER_ROLE, master_role::run)
}
