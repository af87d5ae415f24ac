//! `gnt-ha check`: reports problems of the protection, why they matter, and a fix for each. Changes nothing in either cluster.
//! On Ganeti's master, the nodes remember which BMCs were proven to be those of their hosts.

mod collect;
mod host;
mod report;

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::error::CommandError;
use super::paths::Paths;
use crate::cli;
use crate::core::check::{CheckInput, Finding, Severity, check, learned, notes};
use crate::core::node::NodeName;
use crate::service::bmc_identities;
use crate::sys::clock::{Deadline, now};
use crate::sys::ganeti::files;
use crate::sys::output::Text;
use crate::sys::terminal;
use report::CheckReport;

/// The command line of `check`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Print one JSON object, for programs
    ///
    /// Keys: version (1), host, level, checked {nodes, devices, candidates}, findings [{rule, severity, subject, problem, why,
    /// fix}], notes [{name, nodes, grade, text, why, fix}]. level and severity are ok, warning or error; a note is no
    /// fault. Later versions may add keys, rules and notes.
    #[arg(long)]
    json: bool,

    /// Do not ask the nodes' OOB programs, which log in to each device
    #[arg(long)]
    no_devices: bool,

    /// Time limit for everything, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,

    #[command(flatten)]
    paths: Paths,
}

impl Arguments {
    /// The arguments of a command line without options.
    #[must_use]
    pub const fn plain(paths: Paths) -> Self {
        Self { json: false, no_devices: false, timeout: 30, paths }
    }
}

/// The most that sending what was learned to the other nodes may take.
const REMEMBER_TIMEOUT: Duration = Duration::from_secs(5);

/// The most that asking the nodes and the BMCs may take before `setup` changes something.
const COMPARE_TIMEOUT: Duration = Duration::from_secs(15);

/// The rules that find a BMC with which the wrong host would be switched off.
const WRONG_BMC_RULES: [&str; 2] = ["bmc-of-another-node", "bmc-shared"];

/// Collects the state, checks it and prints the findings. Changes nothing in either cluster.
///
/// # Errors
/// [`CommandError::NotInCluster`] if this host is a node of neither cluster; [`CommandError::Print`] or
/// [`CommandError::Json`] if the findings cannot be printed.
pub fn run(arguments: &Arguments, config: &Path) -> Result<Severity, CommandError> {
    let time = Duration::from_secs(arguments.timeout);
    let view = collect::collect(&arguments.paths, config, !arguments.no_devices, time)?;
    let findings = check(&view);
    let level = findings.iter().map(|finding: &Finding| finding.severity).max().unwrap_or(Severity::Ok);
    let notes = notes(&view);
    let report = CheckReport::new(&view, level, &findings, &notes);
    let text = if arguments.json {
        Text::from((serde_json::to_string(&report)? + "\n").as_str())
    } else {
        report.text(terminal::width())
    };
    cli::show(&text)?;
    remember(&view);
    Ok(level)
}

/// Asks all nodes and their BMCs, has all nodes remember what was learned, and returns a line for each BMC that belongs to
/// another node.
///
/// # Errors
/// [`CommandError::NotInCluster`] if this host is a node of neither cluster.
pub(super) fn wrong_bmcs(paths: &Paths, config: &Path) -> Result<Vec<String>, CommandError> {
    let view = collect::collect(paths, config, true, COMPARE_TIMEOUT)?;
    let mut findings = check(&view);
    findings.retain(|finding| WRONG_BMC_RULES.contains(&finding.rule));
    remember(&view);
    Ok(findings.into_iter().map(|finding| format!("{}: {}", finding.subject, finding.problem)).collect())
}

/// Has all nodes remember what was learned of the BMCs. Only Ganeti's master sends it: one source is enough.
fn remember(view: &CheckInput) {
    let (Ok(ganeti), Some(Ok(config))) = (&view.ganeti, &view.config) else { return };
    if ganeti.master() != view.host.node.as_ref() || view.host.node.is_none() {
        return;
    }
    let learned = learned(view, now().wall_ms);
    let sent =
        bmc_identities::remember(config, Path::new(files::DATA_DIR), &learned, Deadline::after(REMEMBER_TIMEOUT));
    match sent {
        Ok(missed) if missed.is_empty() => {}
        Ok(missed) => {
            let nodes: Vec<&str> = missed.iter().map(NodeName::as_str).collect();
            let nodes = nodes.join(", ");
            let text = format!(
                "check: {nodes}: what was learned of the BMCs did not arrive there; gnt-ha check sends it again"
            );
            cli::print_error("gnt-ha", &text);
        }
        Err(error) => {
            cli::print_error("gnt-ha", &format!("check: the identities of the BMCs are not remembered: {error}"));
        }
    }
}
