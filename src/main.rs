//! The program `gnt-ha`: parses the command line, calls the command, prints its error and sets the exit code.

#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use gnt_ha::cli;
use gnt_ha::commands::error::CommandError;
use gnt_ha::commands::{
    Cli, Command, check, confirm_off, drill, history, hook, pause, readmit, reconcile, recover, rehearse, report,
    self_fence, setup, shun, status,
};
use gnt_ha::core::check::Severity;
use gnt_ha::core::config::DEFAULT_STATE;
use gnt_ha::core::status::StatusLevel;
use gnt_ha::sys::ganeti::files;
use gnt_ha::sys::startup::{harden_process, is_refused};

const PROGRAM: &str = "gnt-ha";

/// Exit code for a command line that cannot be parsed, as in most programs; `sysexits.h` is not used.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    harden_process();
    let parsed = match Cli::try_parse() {
        Ok(parsed) => parsed,
        Err(error) if cli::print_usage_error(PROGRAM, &error) => return USAGE.into(),
        Err(_) => return ExitCode::SUCCESS,
    };
    if is_refused(&[Path::new(DEFAULT_STATE), &Path::new(files::DATA_DIR).join(files::CONFIG)]) {
        cli::print_error(PROGRAM, "run it as root: this user may not read the state of this host; nothing was changed");
        return StatusLevel::Unknown.code().into();
    }
    let result = match &parsed.command {
        Command::Status(arguments) => return coded(status::run(arguments).map(StatusLevel::code)),
        Command::Check(arguments) => return coded(check::run(arguments, &parsed.config).map(Severity::code)),
        Command::SelfFence(command) => return coded(self_fence::run(command, &parsed.config)),
        Command::Drill(arguments) => return coded(drill::run(arguments, &parsed.config).map(no)),
        Command::Rehearse(arguments) => return coded(rehearse::run(arguments, &parsed.config).map(no)),
        Command::Recover(arguments) => return coded(recover::run(arguments).map(no)),
        Command::Setup(arguments) => return coded(setup::run(arguments, &parsed.config).map(no)),
        Command::Readmit(arguments) => readmit::run(arguments, &parsed.config),
        Command::ConfirmOff(arguments) => confirm_off::run(arguments),
        Command::History(arguments) => history::run(arguments, &parsed.config),
        Command::Hook(arguments) => match hook::run(arguments, &parsed.config) {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => Err(error),
        },
        Command::Shun(arguments) => match shun::run(arguments, &parsed.config) {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::FAILURE,
            Err(error) => Err(error),
        },
        Command::Report(arguments) => report::run(arguments),
        Command::Reconcile(arguments) => reconcile::run(arguments),
        Command::Pause(arguments) => pause::pause(arguments),
        Command::Resume(places) => pause::resume(places),
        Command::Breaker(command) => reconcile::breaker(command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::print_error(PROGRAM, &error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Returns the exit code for a result. With an error the result is unknown, and the code is that of [`StatusLevel::Unknown`].
fn coded(result: Result<u8, CommandError>) -> ExitCode {
    match result {
        Ok(code) => code.into(),
        Err(error) => {
            cli::print_error(PROGRAM, &error.to_string());
            StatusLevel::Unknown.code().into()
        }
    }
}

fn no(is_so: bool) -> u8 {
    u8::from(!is_so)
}
