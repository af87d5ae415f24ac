//! Receipts of other hosts: which ones are requested, and what is accepted of them. Pure.
//!
//! Any member may run a fencing, and its receipt is on that host alone. Without the receipt the fencing is worth the
//! weakest grade of the node's devices.

use std::collections::{BTreeMap, BTreeSet};

use super::proof::{ProofSource, SAME_MS};
use super::state::{NodeState, PowerReceipt};
use super::{BlockReason, Decision, NoActionReason, NodeDecision, Plan};
use crate::core::config::{Config, Level};
use crate::core::evidence::Evidence;
use crate::core::ganeti::config::Node;
use crate::core::ganeti::oob::is_ours;
use crate::core::grade::Grade;
use crate::core::history::ActionRecord;
use crate::core::node::{self, NodeName};
use crate::core::pacemaker::fencing::FencingOptions;
use crate::core::pacemaker::state::{Delegate, Fence, FenceAction, FenceStatus};
use crate::core::power_receipt::{EACH_MOST, NODES_MOST};
use crate::core::receipt::Outcome;

/// Returns the hosts that may have a receipt that changes a decision, each with the nodes in question. These are
/// decisions that rest on a device without a receipt, which another of Ganeti's nodes has run.
#[must_use]
pub fn to_ask(plan: &Plan, here: &NodeName, all: &[NodeName]) -> BTreeMap<NodeName, Vec<NodeName>> {
    let mut asked: BTreeMap<NodeName, Vec<NodeName>> = BTreeMap::new();
    for NodeDecision { node, decision } in &plan.decisions {
        let source = match decision {
            Decision::Offline { proof, .. } | Decision::Powered { proof, .. } => &proof.source,
            Decision::Blocked(BlockReason::Grade { source, .. }) => source,
            Decision::Nothing(NoActionReason::PowerUnknown(source)) => source,
            _ => continue,
        };
        add(&mut asked, node, source, here, all);
    }
    asked
}

/// Adds `node` to the question to the host of `source`, if that is a device which another of Ganeti's nodes has run. A
/// question has at most [`NODES_MOST`] nodes.
pub fn add(
    asked: &mut BTreeMap<NodeName, Vec<NodeName>>,
    node: &NodeName,
    source: &ProofSource,
    here: &NodeName,
    all: &[NodeName],
) {
    let ProofSource::Device(Some(host)) = source else { return };
    let Ok(host) = node::find(host, all) else { return };
    if host != here && host != node {
        let nodes = asked.entry(host.clone()).or_default();
        nodes.extend((nodes.len() < NODES_MOST).then(|| node.clone()));
    }
}

/// Returns a host's own receipts of fencings of the nodes in `asked`, the newest [`EACH_MOST`] of each.
#[must_use]
pub fn reported(
    actions: &[ActionRecord],
    asked: &[NodeName],
    all: &[NodeName],
) -> BTreeMap<NodeName, Vec<PowerReceipt>> {
    let of = |node: &NodeName| {
        let mut own = PowerReceipt::all_of(actions, node, all);
        own.retain(|receipt| receipt.by_fencer && !receipt.unfinished);
        own.sort_by_key(|receipt| std::cmp::Reverse(receipt.ended_ms));
        own.truncate(EACH_MOST);
        (node.clone(), own)
    };
    asked.iter().take(NODES_MOST).filter(|node| all.contains(node)).map(of).collect()
}

/// Returns the highest grade that a receipt of another host may have for a node.
///
/// That is the best of the node's levels by this host's own configuration, each level with its weakest device. A node
/// with an OOB program of another maker may have `off`. Without a configuration the grade is `unknown`.
#[must_use]
pub fn most(node: &Node, config: Option<&Config>) -> Grade {
    let of_level = |level: &Level| {
        let each = level.iter().map(|device| device.driver.proves().unwrap_or(Evidence::LeaseEnded.worth().grade));
        each.min().unwrap_or(Grade::Unknown)
    };
    match (&node.oob_program, config.and_then(|config| config.levels_of(&node.name).ok())) {
        (Some(program), _) if !is_ours(program) => Evidence::PowerOff.worth().grade,
        (_, Some(levels)) => levels.iter().map(of_level).max().unwrap_or(Grade::Unknown),
        (_, None) => Grade::Unknown,
    }
}

/// Adds to `node` the accepted ones of the receipts that `host` reported of its own fencings of it; see [`accepted_receipts`].
pub fn take(node: &mut NodeState, host: &NodeName, reported: &[PowerReceipt], most: Grade, all: &[NodeName]) {
    let found = accepted_receipts(&node.options, &node.fences, &node.receipts, (host, reported), most, all);
    node.receipts.extend(found);
}

/// Returns the receipts that are accepted of those that a host reported of its own fencings of a node.
///
/// Each fencing of Pacemaker's that this host ran gets the nearest receipt, with a grade of at most `most`. Nothing is
/// accepted if Pacemaker cannot have used a `fence_ganeti` device for the node, or if `most` is `unknown`. A receipt of
/// `own` is not accepted again.
#[must_use]
pub fn accepted_receipts(
    options: &FencingOptions,
    fences: &[Fence],
    own: &[PowerReceipt],
    (host, reported): (&NodeName, &[PowerReceipt]),
    most: Grade,
    all: &[NodeName],
) -> Vec<PowerReceipt> {
    let mut found = Vec::new();
    if !options.has_ours() || most <= Grade::Unknown {
        return found;
    }
    let is_its = |fence: &&Fence| {
        let by_it = matches!(&fence.delegate, Delegate::Host(delegate) if node::means(delegate, host, all));
        by_it && fence.status == FenceStatus::Success && fence.action != FenceAction::On
    };
    let mut taken: BTreeSet<String> = own.iter().map(|own| own.id.clone()).collect();
    for at_ms in fences.iter().filter(is_its).filter_map(|fence| fence.completed_ms) {
        let apart = |receipt: &&PowerReceipt| receipt.ended_ms.abs_diff(at_ms);
        let near = reported.iter().filter(|receipt| {
            receipt.by_fencer
                && matches!(receipt.outcome, Outcome::Done | Outcome::Unchanged | Outcome::OffOnly)
                && apart(receipt) <= SAME_MS
                && !taken.contains(&receipt.id)
        });
        if let Some(nearest) = near.min_by_key(apart) {
            taken.insert(nearest.id.clone());
            let proven_by = format!("{}, as {host} reports", nearest.proven_by);
            found.push(PowerReceipt { grade: nearest.grade.min(most), proven_by, ..nearest.clone() });
        }
    }
    found
}

#[cfg(test)]
mod tests;
