//! Parses, calls, prints.

use std::process::ExitCode;

use clap::Parser;
use gnt_ha::cli;
use gnt_ha::commands::{Cli, Command, admit, check, history, leash, pause, record, setup, shun, status};
use gnt_ha::core::check::Severity;
use gnt_ha::core::status::Level;

const PROGRAM: &str = "gnt-ha";

/// A command line that cannot be understood (`sysexits.h` has no number that people know).
const USAGE: u8 = 2;

fn main() -> ExitCode {
    gnt_ha::sys::start::start();
    let parsed = match Cli::try_parse() {
        Ok(parsed) => parsed,
        Err(error) if cli::answer(PROGRAM, &error) => return USAGE.into(),
        Err(_) => return ExitCode::SUCCESS,
    };
    let result = match &parsed.command {
        Command::Status(arguments) => match status::run(arguments) {
            Ok(level) => return level.code().into(),
            Err(line) => {
                cli::complain(PROGRAM, &line);
                return Level::Unknown.code().into();
            }
        },
        Command::Check(arguments) => match check::run(arguments, &parsed.config) {
            Ok(severity) => return severity.code().into(),
            Err(line) => {
                cli::complain(PROGRAM, &line);
                return Severity::Error.code().into();
            }
        },
        Command::Admit(arguments) => admit::run(arguments, &parsed.config),
        Command::History(arguments) => history::run(arguments, &parsed.config),
        Command::Leash(command) => match leash::run(command, &parsed.config) {
            Ok(code) => return code.into(),
            Err(line) => {
                cli::complain(PROGRAM, &line);
                return Level::Unknown.code().into();
            }
        },
        Command::Setup(arguments) => match setup::run(arguments) {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::FAILURE,
            Err(line) => {
                cli::complain(PROGRAM, &line);
                return Level::Unknown.code().into();
            }
        },
        Command::Shun(command) => match shun::run(command, &parsed.config) {
            Ok(true) => Ok(()),
            Ok(false) => return ExitCode::FAILURE,
            Err(line) => Err(line),
        },
        Command::Record(arguments) => record::run(arguments),
        Command::Pause(arguments) => pause::pause(arguments),
        Command::Resume(places) => pause::resume(places),
        Command::Breaker(command) => record::breaker(command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            cli::complain(PROGRAM, &line);
            ExitCode::FAILURE
        }
    }
}
