//! The program `fence_ganeti`: reads the options, runs the action, prints its result and sets the exit code.

#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::time::Duration;

use fence_ganeti::actions;
use fence_ganeti::input;
use fence_ganeti::options::{Options, RawOptions};
use fence_ganeti::report::AgentCode;
use gnt_ha::cli;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::log;
use gnt_ha::sys::startup::harden_process;

const PROGRAM: &str = "fence_ganeti";

fn main() -> ExitCode {
    harden_process();
    let started = Deadline::after(Duration::ZERO);
    let given = match given() {
        Ok(given) => given,
        Err(code) => return code.into(),
    };
    let options = match Options::new(&given) {
        Ok(options) => options,
        Err(error) => return fail(&error.to_string()).into(),
    };
    // A log that cannot be written must never stop the action.
    match options.debug_file.as_deref().map(|path| (path, log::to_file(path))) {
        Some((path, Err(error))) => {
            print_error(&format!("cannot write the debug file {}, goes on without: {error}", path.display()));
        }
        Some((_, Ok(()))) => {}
        None if options.verbose => log::to_stderr(),
        None => {}
    }
    let report = actions::run(&options, started.later(options.deadline));
    if !options.quiet {
        for line in &report.stderr {
            print_error(line);
        }
    }
    let text: String = report.stdout.iter().map(|line| format!("{line}\n")).collect();
    if let Err(error) = cli::print(&text) {
        // The output is lost; a fencing that succeeded stays a success.
        print_error(&error.to_string());
    }
    report.code.into()
}

/// Reads the options from the command line if there is one, else from stdin, as fence-agents' library does.
fn given() -> Result<RawOptions, AgentCode> {
    if std::env::args_os().len() > 1 {
        return input::from_arguments(std::env::args_os()).map_err(|error| {
            if cli::print_usage_error(PROGRAM, &error) { AgentCode::Failure } else { AgentCode::Success }
        });
    }
    input::from_stdin(std::io::stdin().lock()).map_err(|error| fail(&error.to_string()))
}

fn fail(line: &str) -> AgentCode {
    print_error(line);
    AgentCode::Failure
}

fn print_error(line: &str) {
    cli::print_error(PROGRAM, line);
}
