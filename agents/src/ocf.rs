//! Runs an agent from its arguments to its exit code; the same for both agents.

use std::ffi::OsString;
use std::fmt::Display;
use std::process::ExitCode;

use gnt_ha::cli;
use gnt_ha::core::roles::{OcfCode, OcfResult};
use gnt_ha::sys::output;
use gnt_ha::sys::startup::harden_process;

use crate::call::AgentCall;
use crate::metadata;
use crate::paths::AgentPaths;
use crate::spec::Agent;

/// The prefix of an exit reason on stderr, if `OCF_EXIT_REASON_PREFIX` is not set.
const PREFIX: &str = "ocf-exit-reason:";

/// Runs one call of `agent`. The action is the first argument; all others are ignored, as OCF requires. Prints the exit
/// reason on stderr.
pub fn main(agent: &Agent, run: fn(&AgentCall, &AgentPaths) -> OcfResult) -> ExitCode {
    harden_process();
    let action = std::env::args_os().nth(1).unwrap_or_default().to_string_lossy().into_owned();
    let result = match action.as_str() {
        // Any user may ask for it, before anything is configured.
        "meta-data" => print_metadata(agent),
        action => {
            let call = AgentCall::new(agent, action, variables());
            answer(agent, &call, run)
        }
    };
    if let Some(reason) = &result.reason {
        let prefix = std::env::var("OCF_EXIT_REASON_PREFIX").unwrap_or_else(|_| PREFIX.to_owned());
        // One line: Pacemaker takes the last one. A closed stderr does not change the result.
        output::print_error(&format!("{prefix}{reason}"));
    }
    ExitCode::from(result.code.number())
}

/// Returns the environment. Bytes that are not UTF-8 are replaced; the check of the parameter finds them.
fn variables() -> impl Iterator<Item = (String, String)> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

fn answer(agent: &Agent, call: &AgentCall, run: fn(&AgentCall, &AgentPaths) -> OcfResult) -> OcfResult {
    if !agent.actions.iter().any(|known| known.name == call.action) {
        return OcfResult::because(
            OcfCode::ErrUnimplemented,
            format!("{} has no action {:?}", agent.name, call.action),
        );
    }
    match AgentPaths::new(call) {
        Ok(paths) => run(call, &paths),
        Err(error) => OcfResult::because(OcfCode::ErrConfigured, error.0),
    }
}

fn print_metadata(agent: &Agent) -> OcfResult {
    let failed = |error: &dyn Display| OcfResult::because(OcfCode::ErrGeneric, error.to_string());
    match metadata::document(agent) {
        Err(error) => failed(&error),
        Ok(text) => match cli::print(&text) {
            Ok(()) => OcfResult::plain(OcfCode::Success),
            Err(error) => failed(&error),
        },
    }
}
