//! `gnt-ha drill`: fences a host for practice, and compares the result with the rehearsal.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::error::CommandError;
use super::paths::Paths;
use super::rehearse::{Rehearsal, rehearse, shown};
use crate::cli::{self, ConfirmError};
use crate::core::budget::pacemaker::waited;
use crate::core::drill::{StateAfter, StateBefore, differences, objection};
use crate::core::ganeti::instances::instances_marked_up;
use crate::core::node::{self, NodeName};
use crate::core::pacemaker::crm_mon::CrmMon;
use crate::core::receipt::Timestamp;
use crate::core::reconcile::{FenceStatus, MasterRoleState, Membership};
use crate::core::rehearsal::RehearsalStep;
use crate::sys::clock::{Deadline, millis, now};
use crate::sys::ganeti::files;
use crate::sys::ganeti::ssconf::Ssconf;
use crate::sys::identity;
use crate::sys::pacemaker::fence::FencingRequest;
use crate::sys::pacemaker::{self, PacemakerError, fence};

/// The version of the format of `--json`.
const VERSION: u32 = 1;

/// The time limit for everything before the fencing.
const COLLECT_TIMEOUT: Duration = Duration::from_secs(60);

/// The time limit of the fencing (`stonith_admin --timeout`); `TOOL_TIME` is the additional time for the tool itself.
const FENCING_TIMEOUT: Duration = Duration::from_secs(120);
const TOOL_TIME: Duration = Duration::from_secs(6);

/// The time limit for everything after the fencing. Ganeti waits for a dead master candidate at each step of a job.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(180);

/// The time limit for one reading of the state; `POLL_INTERVAL` is the interval between two.
const READ_LIMIT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// The command line of `drill`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of the node, full or short
    node: NodeName,

    /// Do not ask; needed without a terminal
    #[arg(long)]
    yes: bool,

    /// Only rehearse, and print whether the node would be fenced
    #[arg(long)]
    dry_run: bool,

    /// Print one JSON object, for programs
    ///
    /// Keys: version (1), node, rehearsed (the steps of gnt-ha rehearse --json), new_master, fenced_ms, promoted_ms, recorded_ms, rejoined_ms (milliseconds
    /// since the request for the fencing; null if it did not happen), differences. Later versions may add keys.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    paths: Paths,
}

/// The events of a drill, each in ms since the request for the fencing.
#[derive(Debug, Default, Serialize)]
struct Course {
    fenced_ms: Option<u64>,
    promoted_ms: Option<u64>,
    recorded_ms: Option<u64>,
    rejoined_ms: Option<u64>,
}

#[derive(Serialize)]
struct DrillReport<'a> {
    version: u32,
    node: &'a NodeName,
    rehearsed: &'a [RehearsalStep],
    new_master: Option<&'a NodeName>,
    #[serde(flatten)]
    course: &'a Course,
    differences: &'a [String],
}

/// Rehearses, asks for confirmation, fences and watches. Returns whether the result was as rehearsed.
///
/// # Errors
/// [`CommandError::NoDrill`] if nothing was done, [`CommandError::Drill`] if the fencing failed; otherwise the error of
/// the rehearsal or of the output.
pub fn run(arguments: &Arguments, config: &Path) -> Result<bool, CommandError> {
    let rehearsal = rehearse(&arguments.paths, config, &arguments.node, Deadline::after(COLLECT_TIMEOUT))?;
    let node = &rehearsal.node;
    let no_drill = |error| CommandError::NoDrill { node: node.clone(), error: Box::new(error) };
    let print = |text: &str| if arguments.json { Ok(()) } else { cli::print(text) };
    print(&shown(&rehearsal))?;
    let status = read_status().map_err(|error| no_drill(error.into()))?;
    let before = StateBefore {
        node,
        name: &rehearsal.name,
        is_here: identity::node_among([node]).is_some(),
        quorum: status.quorum,
        maintenance: status.maintenance,
        members: &status.nodes,
        uncounted: rehearsal.uncounted.as_deref(),
        rehearsed: &rehearsal.steps,
    };
    if let Some(why) = objection(&before) {
        return Err(no_drill(CommandError::Objection(why)));
    }
    let instances = instances(&arguments.paths, node).map_err(no_drill)?;
    if arguments.dry_run {
        print(&format!("{node} would be fenced now, and {}; nothing was changed\n", instances_die(&instances)))?;
        return Ok(true);
    }
    if !arguments.yes {
        confirm_twice(node, &instances).map_err(|error| no_drill(error.into()))?;
    }
    let (begun_at, begun) = (now(), Instant::now());
    let elapsed = || millis(begun.elapsed());
    let report = |at: Option<u64>, what: &str| match at {
        #[allow(clippy::cast_precision_loss, reason = "milliseconds of minutes")]
        Some(ms) => print(&format!("{:6.1} s  {what}\n", ms as f64 / 1000.0)),
        None => Ok(()),
    };
    let ended = Deadline::after(waited(FENCING_TIMEOUT, rehearsal.times.delay) + TOOL_TIME);
    fence::fence(&rehearsal.name, FencingRequest::Reboot, FENCING_TIMEOUT, ended)
        .map_err(|error| CommandError::Drill { node: node.clone(), error })?;
    let mut course = Course { fenced_ms: Some(elapsed()), ..Course::default() };
    report(course.fenced_ms, &format!("{node} is fenced"))?;
    let mut last = status;
    let deadline = Deadline::after(SETTLE_TIMEOUT);
    while !is_over(&course, &rehearsal) && !deadline.passed() {
        // A reading may fail for a moment, for example while the master moves; the loop repeats it.
        if let Ok(status) = read_status() {
            last = status;
        }
        let seen = DrillState::of(&last, &arguments.paths, &rehearsal);
        if course.promoted_ms.is_none() && rehearsal.new_master.is_some() && seen.promoted_on.is_some() {
            course.promoted_ms = Some(elapsed());
            report(
                course.promoted_ms,
                &format!("{} has the master role", seen.promoted_on.as_ref().map_or("", |host| host.as_str())),
            )?;
        }
        if course.recorded_ms.is_none() && seen.is_recorded {
            course.recorded_ms = Some(elapsed());
            report(course.recorded_ms, &format!("{node} is recorded offline in Ganeti"))?;
        }
        if course.rejoined_ms.is_none() && seen.is_back {
            course.rejoined_ms = Some(elapsed());
            report(course.rejoined_ms, &format!("{node} is back in Pacemaker's cluster"))?;
        }
        deadline.sleep(POLL_INTERVAL);
    }
    let differences = differences(&StateAfter {
        node,
        all: &rehearsal.all,
        new_master: rehearsal.new_master.as_ref(),
        fenced: &fenced_since(&last, begun_at),
        role: &last.master_role,
        is_settled: course.recorded_ms.is_some() || course.rejoined_ms.is_some(),
        fenced_ms: course.fenced_ms,
        within: rehearsal.times.fenced_within(),
    });
    cli::print(&if arguments.json {
        let json = DrillReport {
            version: VERSION,
            node,
            rehearsed: &rehearsal.steps,
            new_master: rehearsal.new_master.as_ref(),
            course: &course,
            differences: &differences,
        };
        serde_json::to_string_pretty(&json)? + "\n"
    } else {
        end(node, &course, &differences)
    })?;
    Ok(differences.is_empty())
}

fn end(node: &NodeName, course: &Course, differences: &[String]) -> String {
    let mut text: String = differences.iter().map(|line| format!("! {line}\n")).collect();
    if differences.is_empty() {
        text.push_str("as it was rehearsed\n");
    }
    text.push_str(&format!(
        "All other nodes shun {node} until it is readmitted. Once it has booted: gnt-ha readmit {node}"
    ));
    if course.recorded_ms.is_some() {
        text.push_str(&format!(", then gnt-node add --readd {node}"));
    }
    text.push('\n');
    text
}

/// Returns whether all events have happened. A host that has rejoined before it was recorded will not be recorded.
fn is_over(course: &Course, rehearsal: &Rehearsal) -> bool {
    (rehearsal.new_master.is_none() || course.promoted_ms.is_some())
        && (course.recorded_ms.is_some() || course.rejoined_ms.is_some())
}

/// One reading of the state.
struct DrillState {
    /// The host that has the master role, if it is not the fenced host.
    promoted_on: Option<NodeName>,
    is_recorded: bool,
    is_back: bool,
}

impl DrillState {
    fn of(status: &CrmMon, paths: &Paths, rehearsal: &Rehearsal) -> Self {
        let is_it = |name: &NodeName| node::means(name, &rehearsal.node, &rehearsal.all);
        let offline = Ssconf::new(&paths.data_dir).names("offline_nodes").unwrap_or_default();
        Self {
            promoted_on: match &status.master_role {
                MasterRoleState::ActiveOn(host) if !is_it(host) => Some(host.clone()),
                _ => None,
            },
            is_recorded: offline.iter().any(is_it),
            is_back: status.membership(&rehearsal.node, &rehearsal.all) == Membership::Online,
        }
    }
}

fn read_status() -> Result<CrmMon, PacemakerError> {
    pacemaker::status(Deadline::after(READ_LIMIT))
}

/// Returns the nodes whose fencing has succeeded since then. Pacemaker stores whole seconds.
fn fenced_since(status: &CrmMon, begun: Timestamp) -> Vec<NodeName> {
    let since = begun.wall_ms / 1000 * 1000;
    let is_since = |at: Option<u64>| at.is_some_and(|at| at >= since);
    let fenced =
        status.fences.iter().filter(|(_, fence)| fence.status == FenceStatus::Success && is_since(fence.completed_ms));
    fenced.map(|(target, _)| target.clone()).collect()
}

fn instances(paths: &Paths, node: &NodeName) -> Result<Vec<String>, CommandError> {
    let path = paths.data_dir.join(files::CONFIG);
    let text = files::read_config_text(&paths.data_dir)
        .map_err(|error| CommandError::InstancesUnread { path: path.clone(), error })?;
    instances_marked_up(&text, node).map_err(|error| CommandError::InstancesUnparsed { path, error })
}

fn instances_die(instances: &[String]) -> String {
    match instances {
        [] => "no instance runs there".to_owned(),
        [one] => format!("its instance {one} dies with it"),
        some => format!("its {} instances die with it: {}", some.len(), some.join(", ")),
    }
}

/// Asks for the node's name and for a second word: a typed name is rarely wrong, and a second question is read again.
fn confirm_twice(node: &NodeName, instances: &[String]) -> Result<(), ConfirmError> {
    let dies = instances_die(instances);
    cli::confirm(&format!("{node} will lose its power now; {dies}. To go on, type its full name:"), node.as_str())?;
    cli::confirm("This is not a rehearsal. To fence the node, type: drill", "drill")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::budget::step_times::StepTimes;
    use crate::core::pacemaker::names::PacemakerName;
    use crate::core::pacemaker::resources::Resources;

    #[test]
    fn a_drill_is_over_when_nothing_more_will_happen() {
        let node = NodeName::new("n1.lab").unwrap();
        let of = |new_master: Option<&str>| Rehearsal {
            node: node.clone(),
            name: PacemakerName::of_test("n1"),
            all: vec![node.clone()],
            steps: Vec::new(),
            new_master: new_master.map(|name| NodeName::new(name).unwrap()),
            times: StepTimes::of(None, &Resources::default(), None, false, false),
            unseen: None,
            uncounted: None,
        };
        let course = |promoted_ms, recorded_ms, rejoined_ms| Course {
            fenced_ms: Some(1),
            promoted_ms,
            recorded_ms,
            rejoined_ms,
        };
        assert!(!is_over(&course(None, None, None), &of(None)));
        assert!(is_over(&course(None, Some(2), None), &of(None)));
        assert!(is_over(&course(None, None, Some(2)), &of(None)), "it will not be recorded any more");
        assert!(!is_over(&course(None, Some(2), Some(2)), &of(Some("n2"))), "no host has the role");
        assert!(is_over(&course(Some(1), None, Some(2)), &of(Some("n2"))));
    }

    #[test]
    fn the_end_names_the_next_steps() {
        let node = NodeName::new("n1.lab").unwrap();
        let recorded = Course { recorded_ms: Some(1), ..Course::default() };
        let well = end(&node, &recorded, &[]);
        assert!(well.starts_with("as it was rehearsed\n") && well.ends_with("gnt-node add --readd n1.lab\n"), "{well}");
        let bad = end(&node, &Course::default(), &["n2.lab was fenced, too".to_owned()]);
        assert!(bad.starts_with("! n2.lab was fenced, too\nAll other nodes") && !bad.contains("readd"), "{bad}");
    }
}
