//! Entry point of Pacemaker's alert agent `gnt-ha-alert`: the work is in [`ganeti_agents::alert`].

#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ganeti_agents::alert::main()
}
