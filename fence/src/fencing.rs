//! Fences one node or switches it on, with its intent, its receipt and its record in Ganeti.

use std::time::Duration;

use gnt_ha::cli;
use gnt_ha::core::budget::fence as budget;
use gnt_ha::core::evidence::Evidence;
use gnt_ha::core::ganeti::oob::is_ours;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::power::Power;
use gnt_ha::core::receipt::{Action as Requested, Outcome};
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::identity;
use gnt_ha::sys::lock::{Lock, LockError};
use gnt_ha::sys::receipt_log::ReceiptLog;
use gnt_ha::sys::recorded_action::{ActionResult, RecordedAction};

use crate::child_receipts;
use crate::options::{AgentAction, Options};
use crate::power::{self, StateProof};
use crate::record_offline;
use crate::report::{ActionReport, AgentCode};
use crate::target::{Cluster, FenceTarget, FenceTargetError};

const PROGRAM: &str = "fence_ganeti";

/// The time limit for the second half of a reboot. The node is proven off then, and Pacemaker starts no recovery before
/// this agent has ended.
const ON_HALF_LIMIT: Duration = Duration::from_secs(20);

/// Runs the action on a node whose program was found.
pub(crate) fn fence(cluster: &Cluster, target: FenceTarget, options: &Options, deadline: Deadline) -> ActionReport {
    let requested = requested(options.action);
    let node = target.node.clone();
    let mut recorded = begin(options, &node);
    let target = FenceTarget { program: target.program.for_request(recorded.id()), ..target };
    let work = deadline.earlier(budget::receipt(deadline.left()));

    let (finish, mut report) = match lock(options, &node, work) {
        Err(error) => failed(&node, requested, Outcome::Unknown, format!("timed out: {error}")),
        // The lock is held to the end: another agent must not take the off phase of a reboot for an off.
        Ok(_lock) => act(cluster, &target, requested, options, work, &mut recorded),
    };
    report.stderr.splice(0..0, recorded.finish(finish));
    if report.code == AgentCode::Success && !matches!(requested, Requested::On) {
        report.stderr.extend(cluster.doubt(&target));
    }
    report
}

/// Reports that a node cannot be fenced from here, and writes a receipt as for every other result.
pub(crate) fn unfenceable(
    cluster: &Cluster,
    plug: &NodeName,
    error: &FenceTargetError,
    options: &Options,
) -> ActionReport {
    let is_missing = matches!(error, FenceTargetError::Node { .. }) && cluster.certainly_lacks(plug);
    if options.missing_as_off && is_missing && options.action != AgentAction::On {
        let mut report = ActionReport::success("Success: Already OFF");
        report.stderr.push(format!("{plug}: Ganeti has no such node, and missing_as_off takes it for off"));
        return report;
    }
    let recorded = begin(options, plug);
    let (finish, mut report) =
        failed(plug, requested(options.action), Outcome::Refused, format!("cannot fence it: {error}"));
    report.stderr.splice(0..0, recorded.finish(finish));
    report
}

fn begin(options: &Options, node: &NodeName) -> RecordedAction {
    let mut recorded =
        RecordedAction::begin(ReceiptLog::new(&options.state_dir), PROGRAM, requested(options.action), node);
    // The warnings are printed at once, as this process may be killed later.
    for line in recorded.take_warnings().iter().filter(|_| !options.quiet) {
        cli::print_error(PROGRAM, line);
    }
    recorded
}

const fn requested(action: AgentAction) -> Requested {
    match action {
        AgentAction::On => Requested::On,
        AgentAction::Off => Requested::Off,
        _ => Requested::Reboot,
    }
}

/// Takes the lock of the node on this host, for one action at a time. A lock file that cannot be made does not stop
/// fencing.
///
/// # Errors
/// [`LockError::Busy`] if another action holds the lock until the deadline.
fn lock(options: &Options, node: &NodeName, deadline: Deadline) -> Result<Option<Lock>, LockError> {
    let path = options.state_dir.join("lock").join(format!("node-{node}"));
    match Lock::take(&path, deadline) {
        Ok(lock) => Ok(Some(lock)),
        Err(error @ LockError::Busy { .. }) => Err(error),
        Err(error @ LockError::Open { .. }) => {
            tracing::warn!(%error, "goes on without a lock");
            Ok(None)
        }
    }
}

fn act(
    cluster: &Cluster,
    target: &FenceTarget,
    requested: Requested,
    options: &Options,
    deadline: Deadline,
    recorded: &mut RecordedAction,
) -> (ActionResult, ActionReport) {
    let want = if requested == Requested::On { Power::On } else { Power::Off };
    let proof = match power::change_power(target, want, None, options, deadline, recorded) {
        Ok(proof) => proof,
        Err(error) => return failed(&target.node, requested, Outcome::Unknown, error.to_string()),
    };
    let outcome = if proof.already { Outcome::Unchanged } else { Outcome::Done };
    // What the program was less sure of is in its own receipt only.
    let remarks = child_receipts::remarks(&options.state_dir, &target.node, recorded.id());
    let mut finish = finish(outcome, Some(&proof), (!remarks.is_empty()).then(|| remarks.join("; ")));
    let mut report = ActionReport::success(match (want, proof.already) {
        (Power::On, true) => "Success: Already ON",
        (Power::On, false) => "Success: Powered ON",
        (Power::Off, true) => "Success: Already OFF",
        (Power::Off, false) => "Success: Powered OFF",
    });
    if want == Power::On {
        return (finish, report);
    }
    // The node is proven off: nothing below can turn this into a failure.
    if proof.already && !proof.is_commanded && proof.grade == Grade::Off && is_ours(target.program.path()) {
        power::shun_target(target, deadline, recorded);
    }
    let mut state = Power::Off;
    let mut was_switched_on = false;
    if requested == Requested::Reboot && proof.grade < Grade::Off {
        // The power was not switched off, so there is nothing to switch on. What keeps the node out must not be undone
        // here.
        let why =
            format!("its power was not switched ({}): it returns when it is rebooted and readmitted", proof.grade);
        report = ActionReport::success("Success: Rebooted");
        report.stderr.push(format!("{}: is off, proven ({}), and {why}", target.node, proof.grade));
        finish.outcome = Outcome::OffOnly;
        finish.add_reason(why);
    } else if requested == Requested::Reboot {
        report = ActionReport::success("Success: Rebooted");
        was_switched_on = true;
        match power::change_power(
            target,
            Power::On,
            Some(Power::Off),
            options,
            deadline.at_most(ON_HALF_LIMIT),
            recorded,
        ) {
            Ok(_) => {
                state = Power::On;
                finish.outcome = Outcome::Done;
            }
            Err(error) => {
                finish.outcome = Outcome::OffOnly;
                finish.add_reason(format!("power-on failed: {error}"));
                let node = &target.node;
                report.stderr.push(format!(
                    "{node}: was off, proven ({}), and it is unknown whether it is on again: {error}",
                    proof.grade
                ));
            }
        }
    }
    // A manual reboot whose power-on was sent is planned: what it stops returns, and was not lost.
    if was_switched_on && !identity::under_pacemaker() {
        finish.record = Some(match state {
            Power::On => "not recorded: it was rebooted by hand, and is on again".to_owned(),
            Power::Off => "not recorded: it was rebooted by hand, and it is unknown whether it is on again".to_owned(),
        });
    } else if options.record {
        let worth = Evidence::of_receipt(requested, finish.outcome, proof.grade).worth();
        finish.record = Some(record_offline::record_offline(cluster, &target.node, worth, options));
    }
    (finish, report)
}

fn failed(node: &NodeName, requested: Requested, outcome: Outcome, why: String) -> (ActionResult, ActionReport) {
    let line = format!("{node}: {requested} failed: {why}");
    (finish(outcome, None, Some(why)), ActionReport::failure(line))
}

fn finish(outcome: Outcome, proof: Option<&StateProof>, reason: Option<String>) -> ActionResult {
    ActionResult {
        outcome,
        grade: proof.map_or(Grade::Unknown, |proof| proof.grade),
        proven_by: proof.map_or_else(|| "nothing".to_owned(), |proof| proof.proven_by.clone()),
        reason,
        record: None,
    }
}
