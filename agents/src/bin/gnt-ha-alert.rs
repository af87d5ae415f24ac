//! Calls.

use std::process::ExitCode;

fn main() -> ExitCode {
    ganeti_agents::alert::main()
}
