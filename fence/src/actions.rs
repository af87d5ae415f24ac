//! The actions of the agent, with their output and exit codes.

use gnt_ha::core::budget::fence as budget;
use gnt_ha::core::power::{Power, combined};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::fan_out::each;
use gnt_ha::sys::oob_program::OobProgram;

use crate::options::{AgentAction, Options};
use crate::report::{ActionReport, AgentCode};
use crate::target::{Cluster, FenceTargetError};
use crate::{fencing, list, metadata, power};

/// Runs the action of the options. `deadline` covers everything, from the start of the process.
#[must_use]
pub fn run(options: &Options, deadline: Deadline) -> ActionReport {
    match options.action {
        AgentAction::Metadata => match metadata::document() {
            Ok(document) => ActionReport::success(document.trim_end()),
            Err(error) => ActionReport::failure(format!("cannot make the metadata: {error}")),
        },
        AgentAction::ValidateAll => validate(options),
        AgentAction::List => list_nodes(options),
        AgentAction::ListStatus => list_status(options, deadline),
        AgentAction::Monitor => monitor(options, deadline),
        AgentAction::Status => status(options, deadline),
        AgentAction::On | AgentAction::Off | AgentAction::Reboot => fence(options, deadline),
    }
}

/// Checks that this host has what the options need; the options themselves have been checked before.
fn validate(options: &Options) -> ActionReport {
    if let Some(path) = &options.oob_program {
        return match OobProgram::find(path) {
            Ok(_) => ActionReport::default(),
            Err(error) => ActionReport::failure(error.to_string()),
        };
    }
    match Cluster::read(options).nodes_with_program() {
        Ok(_) => ActionReport::default(),
        Err(error) => ActionReport::failure(error.to_string()),
    }
}

fn list_nodes(options: &Options) -> ActionReport {
    match Cluster::read(options).nodes_with_program() {
        Ok(nodes) => ActionReport {
            stdout: nodes.iter().map(|(node, _)| list::names(node, &options.separator)).collect(),
            ..ActionReport::default()
        },
        Err(error) => ActionReport::failure(format!("cannot list nodes: {error}")),
    }
}

fn list_status(options: &Options, deadline: Deadline) -> ActionReport {
    let nodes = match Cluster::read(options).nodes_with_program() {
        Ok(nodes) => nodes,
        Err(error) => return ActionReport::failure(format!("cannot list nodes: {error}")),
    };
    let mut report = ActionReport::default();
    for ((node, _), power) in nodes.iter().zip(list::ask(&nodes, options, deadline)) {
        let separator = &options.separator;
        let word = match &power {
            Ok(Power::On) => "ON",
            Ok(Power::Off) => "OFF",
            Err(_) => "UNKNOWN",
        };
        report.stdout.push(format!("{node}{separator}{}{separator}{word}", node.short()));
        report.stderr.extend(power.err().map(|failure| format!("{node}: {}", failure.why)));
    }
    report
}

/// Checks the programs without asking devices: monitors that ask every device cause most timeouts of fence devices.
fn monitor(options: &Options, deadline: Deadline) -> ActionReport {
    let cluster = Cluster::read(options);
    let nodes = match (cluster.nodes_with_program(), cluster.program_by_option()) {
        (Ok(nodes), _) => nodes,
        (Err(_), Some(program)) if !options.deep => {
            return program.map_or_else(|error| ActionReport::failure(error.to_string()), |_| ActionReport::default());
        }
        (Err(error), _) => return ActionReport::failure(format!("cannot fence any node: {error}")),
    };
    if nodes.is_empty() {
        return ActionReport::failure(
            "no node has an OOB program: set the node parameter oob_program (gnt-cluster modify --node-parameters \
             oob_program=/usr/lib/gnt-ha/ganeti-oob)",
        );
    }
    if let Err(error) = list::programs_are_there(&nodes) {
        return ActionReport::failure(error.to_string());
    }
    let mut report = ActionReport::default();
    if options.deep {
        for ((node, _), power) in nodes.iter().zip(list::ask(&nodes, options, deadline)) {
            if let Err(failure) = power {
                report.stderr.push(format!("{node}: {}", failure.why));
                report.code = AgentCode::Failure;
            }
        }
    }
    report
}

/// Reads the power of the plugs. Several plugs are off only if all of them are off. If none is on and one is unknown,
/// the result is unknown.
fn status(options: &Options, deadline: Deadline) -> ActionReport {
    let cluster = Cluster::read(options);
    // Pacemaker may ask this before it chooses a device, and every other device waits for the answer then.
    let until = deadline.at_most(budget::READ_LIMIT);
    let answers = each(&options.plugs, options.fanout, |plug| match cluster.target_of(plug, options) {
        Ok(target) => power::evaluate(&target.program.status(&target.node, until), options.minimum_grade)
            .map_err(|unread| format!("{}: status unknown: {}", target.node, unread.why)),
        Err(FenceTargetError::Node { .. }) if options.missing_as_off && cluster.certainly_lacks(plug) => Ok(Power::Off),
        Err(error) => Err(format!("{plug}: status unknown: {error}")),
    });
    let mut states = Vec::new();
    let mut report = ActionReport::default();
    for answer in answers {
        match answer {
            Ok(power) => states.push(power),
            Err(why) => report.stderr.push(why),
        }
    }
    // A single plug that is on decides; off requires that all plugs are off.
    match combined(states) {
        Some(Power::On) => report.stdout.push("Status: ON".to_owned()),
        Some(Power::Off) if report.stderr.is_empty() => {
            report.stdout.push("Status: OFF".to_owned());
            report.code = AgentCode::Off;
        }
        _ => report.code = AgentCode::Failure,
    }
    report
}

fn fence(options: &Options, deadline: Deadline) -> ActionReport {
    let cluster = Cluster::read(options);
    if options.action != AgentAction::On {
        deadline.sleep(options.delay);
    }
    let reports = each(&options.plugs, options.fanout, |plug| match cluster.target_of(plug, options) {
        Ok(target) => fencing::fence(&cluster, target, options, deadline),
        Err(error) => fencing::unfenceable(&cluster, plug, &error, options),
    });
    let mut whole = ActionReport::default();
    for report in reports {
        whole.stdout.extend(report.stdout);
        whole.stderr.extend(report.stderr);
        if report.code != AgentCode::Success {
            whole.code = AgentCode::Failure;
        }
    }
    whole.stdout.dedup();
    if whole.code != AgentCode::Success {
        whole.stdout.clear();
    }
    whole
}
