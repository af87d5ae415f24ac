//! `gnt-ha recover`: starts the instances of dead hosts elsewhere now, as the master does by itself; `--dry-run` shows it.

mod planned;

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;

use super::error::CommandError;
use super::paths::Paths;
use crate::cli;
use crate::core::node::NodeName;
use crate::core::recovery::instance::InstanceName;
use crate::core::recovery::recovery_log::RecoveryLog;
use crate::service::reconciler::recover::read_recovery_log;
use crate::sys::clock::{Deadline, now};
use crate::sys::ganeti::files;

/// The time limit for a dry run.
const DRY_RUN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the instances are waited for, until a node reports each as running.
const RECOVER_TIMEOUT: Duration = Duration::from_secs(180);

/// The time between two recoveries while starts are under way.
const INTERVAL: Duration = Duration::from_secs(2);

/// The options of `gnt-ha recover`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of a node, full or short: only the instances of that host; with --dry-run as if it had just died
    node: Option<NodeName>,

    /// Only show the plan, and change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    paths: Paths,
}

/// Carries out the plan, or prints it. Returns whether every instance that is to run runs, or would run.
///
/// # Errors
/// [`CommandError`] if the state cannot be read, or if a guard permits no start.
pub fn run(arguments: &Arguments) -> Result<bool, CommandError> {
    let paths = &arguments.paths;
    let node = match &arguments.node {
        Some(given) => Some(files::read_config(&paths.data_dir)?.find(given)?.name.clone()),
        None => None,
    };
    if arguments.dry_run {
        return planned::show(node.as_ref(), paths, Deadline::after(DRY_RUN_TIMEOUT));
    }
    recover(node.as_ref(), paths, Deadline::after(RECOVER_TIMEOUT))
}

/// Reconciles and recovers, as each monitor of the master does, until no start is under way.
fn recover(off: Option<&NodeName>, paths: &Paths, deadline: Deadline) -> Result<bool, CommandError> {
    let reconciler = paths.reconciler();
    reconciler.check_recovery_by_hand(off, deadline)?;
    let begun_ms = now().wall_ms;
    let mut printed = BTreeSet::new();
    let last = loop {
        let recovered = reconciler.recover_by_hand(off, deadline)?;
        for line in &recovered.lines {
            if printed.insert(line.clone()) {
                cli::print(&format!("{line}\n"))?;
            }
        }
        if !recovered.is_under_way || deadline.left() <= INTERVAL {
            break recovered;
        }
        std::thread::sleep(INTERVAL);
    };
    // A monitor of the agents may have seen an instance first.
    let arrivals = arrivals(&read_recovery_log(&paths.state_dir)?, begun_ms);
    for (instance, line) in &arrivals {
        let begin = format!("{instance}: runs on");
        if !printed.iter().any(|known| known.starts_with(&begin)) {
            cli::print(&format!("{line}\n"))?;
        }
    }
    let open = if last.is_under_way { "; starts are under way still: gnt-ha status" } else { "" };
    cli::print(&format!("run again: {}; not started: {}{open}\n", arrivals.len(), last.not_started))?;
    Ok(last.not_started == 0 && !last.is_under_way)
}

/// Returns the instances that were seen running since `begun_ms`, in milliseconds since 1970, each with its line.
fn arrivals(log: &RecoveryLog, begun_ms: u64) -> Vec<(InstanceName, String)> {
    let seen = log.instances.iter().filter_map(|course| Some((&course.instance, course.runs.as_ref()?)));
    let is_new = seen.filter(|(_, runs)| runs.at_ms >= begun_ms);
    is_new.map(|(instance, runs)| (instance.clone(), format!("{instance}: runs on {}", runs.on))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_seen_since_the_command_began_counts() {
        let course = |name: &str, runs: &str| {
            format!(
                r#"{{"instance": "{name}", "off": "n3", "lost_ms": null, "since_ms": 1, "starts": [], "runs": {runs},
                    "not_started": null, "is_over": true}}"#
            )
        };
        let courses = [
            course("old", r#"{"at_ms": 9, "on": "n2"}"#),
            course("web", r#"{"at_ms": 10, "on": "n2"}"#),
            course("db", "null"),
        ];
        let log = serde_json::from_str(&format!(r#"{{"instances": [{}]}}"#, courses.join(","))).unwrap();
        let lines: Vec<String> = arrivals(&log, 10).into_iter().map(|(_, line)| line).collect();
        assert_eq!(lines, ["web: runs on n2"]);
    }
}
