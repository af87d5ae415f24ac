//! Entry point of `ganeti-oob`: parses the command line, calls the library, prints the result.

#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ganeti_oob::cli::{Cli, Command};
use ganeti_oob::error::OobCommandError;
use gnt_ha::cli;
use gnt_ha::core::config::Config;
use gnt_ha::core::ganeti::oob::DEADLINE_VARIABLE;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::power::Power;
use gnt_ha::core::receipt::Action;
use gnt_ha::power::check::{DeviceCheck, check, slow_levels};
use gnt_ha::power::commands::{self, CommandResult};
use gnt_ha::power::health::health;
use gnt_ha::power::owner::all_shared;
use gnt_ha::service::power_action;
use gnt_ha::service::shun::device::open;
use gnt_ha::service::shun::peer;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::config_file;
use gnt_ha::sys::ganeti::files;
use gnt_ha::sys::log;
use gnt_ha::sys::recorded_action::RecordedAction;
use gnt_ha::sys::startup::harden_process;

const PROGRAM: &str = "ganeti-oob";

/// The exit code of every failure: Ganeti's OOB contract has only 0 and 1.
const FAILURE: u8 = 1;

fn main() -> ExitCode {
    harden_process();
    let parsed = match Cli::try_parse() {
        Ok(parsed) => parsed,
        Err(error) if cli::print_usage_error(PROGRAM, &error) => return FAILURE.into(),
        Err(_) => return ExitCode::SUCCESS,
    };
    if parsed.verbose {
        log::to_stderr();
    }
    match run(&parsed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error.to_string());
            FAILURE.into()
        }
    }
}

fn run(parsed: &Cli) -> Result<(), OobCommandError> {
    let config = load(parsed)?;
    let deadline = Deadline::after(time_allowed(&config));
    match &parsed.command {
        Command::PowerOn(arg) => act(&config, &arg.node, Action::On, |recorded| {
            power_action::switch(&config, &arg.node, Power::On, deadline, recorded)
        }),
        Command::PowerOff(arg) => act(&config, &arg.node, Action::Off, |recorded| {
            power_action::switch(&config, &arg.node, Power::Off, deadline, recorded)
        }),
        Command::PowerCycle(arg) => act(&config, &arg.node, Action::Cycle, |recorded| {
            commands::cycle(&config, &arg.node, deadline, recorded, open)
        }),
        Command::PowerStatus(arg) => {
            let answer = commands::status(&config, &arg.node, deadline, open)
                .map_err(|error| OobCommandError::Status { node: arg.node.clone(), error })?;
            print_json(&answer)
        }
        Command::Health(arg) => {
            let answer = health(&config, &arg.node, deadline, open)
                .map_err(|error| OobCommandError::Health { node: arg.node.clone(), error })?;
            for failure in &answer.failures {
                print_error(&format!("{}: {failure}", arg.node));
            }
            print_json(&answer.items)
        }
        Command::Check { node } => print_check(&config, node.as_ref()),
        Command::Peer { question } => {
            print_json(&peer::answer(&config, &parsed.config, Path::new(files::DATA_DIR), question, deadline)?)
        }
    }
}

/// Loads the configuration. Only the request of another host is answered without a file, too.
fn load(parsed: &Cli) -> Result<Config, OobCommandError> {
    if let Command::Peer { .. } = &parsed.command {
        return Ok(config_file::load_or_default(&parsed.config)?);
    }
    config_file::load(&parsed.config).map_err(|error| match parsed.command.node() {
        Some(node) => OobCommandError::NodeConfig { node: node.clone(), error },
        None => error.into(),
    })
}

/// Writes an intent before the action and a receipt after it. Only a proven state is a success.
fn act(
    config: &Config,
    node: &NodeName,
    action: Action,
    work: impl FnOnce(&mut RecordedAction) -> CommandResult,
) -> Result<(), OobCommandError> {
    Ok(power_action::run_recorded(config, PROGRAM, action, node, print_error, work)?)
}

fn print_check(config: &Config, node: Option<&NodeName>) -> Result<(), OobCommandError> {
    let checked = check(config, node, config.deadline, open)?;
    let shared = all_shared(config, node, Path::new(files::DATA_DIR));
    let bad = checked.iter().filter(|device| device.result.is_err()).count();
    let mut text = String::new();
    for device in &checked {
        let word = if device.result.is_ok() { "ok   " } else { "ERROR" };
        text.push_str(&format!("{word}  {}  level {}  {}\n", device.node, device.level, device.answer()));
        let DeviceCheck { node, level, device, advice, .. } = device;
        if let Some(advice) = advice {
            text.push_str(&format!("note   {node}  level {level}  {device}: {advice}\n"));
        }
    }
    for slow in slow_levels(config, &checked) {
        text.push_str(&format!("note   {slow}\n"));
    }
    for shared in &shared {
        text.push_str(&format!("ERROR  {shared}\n"));
    }
    print(&text)?;
    match (shared.len(), bad) {
        (0, 0) => Ok(()),
        (0, _) => Err(OobCommandError::Check { bad, all: checked.len() }),
        (pairs, _) => Err(OobCommandError::Shared { pairs, path: config.path.clone() }),
    }
}

/// Returns the time that the configuration allows, or what the caller has left if that is less.
fn time_allowed(config: &Config) -> Duration {
    std::env::var(DEADLINE_VARIABLE)
        .ok()
        .and_then(|text| text.parse::<f64>().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map_or(config.deadline, |given| given.min(config.deadline))
}

fn print_json(answer: &impl serde::Serialize) -> Result<(), OobCommandError> {
    print(&format!("{}\n", serde_json::to_string(answer)?))
}

fn print(text: &str) -> Result<(), OobCommandError> {
    Ok(cli::print(text)?)
}

fn print_error(line: &str) {
    cli::print_error(PROGRAM, line);
}
