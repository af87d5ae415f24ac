//! Parses, calls, prints.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ganeti_oob::check::check;
use ganeti_oob::cli::{Cli, Command};
use ganeti_oob::health::health;
use ganeti_oob::peer;
use ganeti_oob::power::{self, Ended};
use gnt_ha::cli;
use gnt_ha::config::Config;
use gnt_ha::core::ganeti::oob::DEADLINE_VARIABLE;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::power::Power;
use gnt_ha::core::receipt::Action;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::ganeti::files;
use gnt_ha::sys::ledger::Ledger;
use gnt_ha::sys::log;
use gnt_ha::sys::road::Road;
use gnt_ha::sys::start::start;

const PROGRAM: &str = "ganeti-oob";

/// The contract knows two exit codes.
const FAILURE: u8 = 1;

fn main() -> ExitCode {
    start();
    let parsed = match Cli::try_parse() {
        Ok(parsed) => parsed,
        Err(error) if cli::answer(PROGRAM, &error) => return FAILURE.into(),
        Err(_) => return ExitCode::SUCCESS,
    };
    if parsed.verbose {
        log::to_stderr();
    }
    match run(&parsed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            complain(&line);
            FAILURE.into()
        }
    }
}

fn run(parsed: &Cli) -> Result<(), String> {
    if let Command::Peer { question } = &parsed.command {
        let config = Config::load_or_default(&parsed.config).map_err(|error| error.to_string())?;
        let deadline = Deadline::after(time_allowed(&config));
        return print_json(&peer::answer(&config, Path::new(files::DATA_DIR), question, deadline)?);
    }
    let config = Config::load(&parsed.config).map_err(|error| match parsed.command.node() {
        Some(node) => format!("{node}: {error}"),
        None => error.to_string(),
    })?;
    let deadline = Deadline::after(time_allowed(&config));
    match &parsed.command {
        Command::PowerOn(arg) => {
            act(&config, &arg.node, Action::On, |road| power::switch(&config, &arg.node, Power::On, deadline, road))
        }
        Command::PowerOff(arg) => {
            act(&config, &arg.node, Action::Off, |road| power::switch(&config, &arg.node, Power::Off, deadline, road))
        }
        Command::PowerCycle(arg) => {
            act(&config, &arg.node, Action::Cycle, |road| power::cycle(&config, &arg.node, deadline, road))
        }
        Command::PowerStatus(arg) => {
            let answer = power::status(&config, &arg.node, deadline)
                .map_err(|why| format!("{}: its power is unknown: {why}", arg.node))?;
            print_json(&answer)
        }
        Command::Health(arg) => {
            let answer = health(&config, &arg.node, deadline)
                .map_err(|why| format!("{}: its health is unknown: {why}", arg.node))?;
            for failure in &answer.failures {
                complain(&format!("{}: {failure}", arg.node));
            }
            print_json(&answer.items)
        }
        Command::Check { node } => print_check(&config, node.as_ref()),
        // Answered above: it needs no configuration.
        Command::Peer { .. } => Ok(()),
    }
}

/// An intent before, a receipt after, and only what was proven is success.
fn act(config: &Config, node: &NodeName, action: Action, work: impl FnOnce(&mut Road) -> Ended) -> Result<(), String> {
    let mut road = Road::enter(Ledger::new(&config.state), "ganeti-oob", action, node);
    road.take_warnings().iter().for_each(|line| complain(line));
    let Ended { finish, error } = work(&mut road);
    road.leave(finish).iter().for_each(|line| complain(line));
    match error {
        None => Ok(()),
        Some(why) => Err(format!("{node}: power-{action} failed: {why}")),
    }
}

fn print_check(config: &Config, node: Option<&NodeName>) -> Result<(), String> {
    let checked = check(config, node)?;
    let bad = checked.iter().filter(|device| device.result.is_err()).count();
    let mut text = String::new();
    for device in &checked {
        let (word, said) = match &device.result {
            Ok(said) => ("ok   ", said),
            Err(why) => ("ERROR", why),
        };
        text.push_str(&format!("{word}  {}  level {}  {}: {said}\n", device.node, device.level, device.device));
    }
    cli::print(&text)?;
    if bad == 0 { Ok(()) } else { Err(format!("{bad} of {} devices did not answer as they should", checked.len())) }
}

/// What the configuration allows, or what our caller has left, if that is less.
fn time_allowed(config: &Config) -> Duration {
    std::env::var(DEADLINE_VARIABLE)
        .ok()
        .and_then(|text| text.parse::<f64>().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map_or(config.deadline, |given| given.min(config.deadline))
}

fn print_json(answer: &impl serde::Serialize) -> Result<(), String> {
    let line = serde_json::to_string(answer).map_err(|error| error.to_string())?;
    cli::print(&format!("{line}\n"))
}

fn complain(line: &str) {
    cli::complain(PROGRAM, line);
}
