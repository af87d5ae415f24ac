//! `gnt-ha-alert`, an alert agent of Pacemaker: reports each cluster event once, from one host.
//!
//! Pacemaker starts it as `hacluster` on every host that sees an event, with everything in the environment (Pacemaker
//! Explained, "Alerts"; `daemons/execd/execd_alerts.c`), and gives it 30 seconds.

pub mod error;
pub mod event;
pub mod recipient;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use gnt_ha::cli;
use gnt_ha::core::node::NodeName;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::ganeti::ssconf::Ssconf;
use gnt_ha::sys::startup::harden_process;
use gnt_ha::sys::{identity, log};

use error::{AlertError, PROGRAM};
use event::{AlertEvent, AlertHost};
use recipient::Recipient;

/// The most that a delivery may take; below Pacemaker's 30 s.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);

/// The directory of Ganeti's ssconf files, which every user may read.
const GANETI: &str = "/var/lib/ganeti";

/// Reads the event, and reports it if it is for this host to report. Exit codes: 0; 1 if the event or the recipient is
/// not valid or the delivery failed; 2 if arguments were given.
#[must_use]
pub fn main() -> ExitCode {
    harden_process();
    if std::env::args_os().len() > 1 {
        let about =
            "Pacemaker's alert agent: it takes no arguments, Pacemaker starts it (gnt-ha setup configures that)";
        cli::print_error(PROGRAM, about);
        return 2.into();
    }
    match run(&|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Pacemaker writes an alert agent's stderr to its own log.
            let line = error.to_string();
            cli::print_error(PROGRAM, &line);
            log::warn_system(PROGRAM, &line);
            ExitCode::FAILURE
        }
    }
}

fn run(variable: &dyn Fn(&str) -> Option<String>) -> Result<(), AlertError> {
    let event = AlertEvent::read(variable)?;
    let recipient = Recipient::parse(&variable("CRM_alert_recipient").unwrap_or_default())?;
    // A host without Ganeti's files has no known master and no known nodes.
    let ssconf = Ssconf::new(Path::new(GANETI));
    let master = ssconf.master().ok().flatten();
    let nodes = ssconf.names("node_list").unwrap_or_default();
    let name = identity::host();
    let here = AlertHost { host: NodeName::new(&name).ok(), master, nodes };
    match event.message(&here) {
        Some(message) => recipient.deliver(&message, &name, Deadline::after(DELIVERY_TIMEOUT)),
        None => Ok(()),
    }
}
