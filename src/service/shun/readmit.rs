//! Readmits a node: for a boot that is proven to be a later one, or because an administrator confirms it. Changes the
//! shun lists of all nodes.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::shun::list::ShunEntry;
use crate::core::shun::messages::{PeerReport, PeerRequest};
use crate::core::shun::readmission::{DuePart, ReturningNode, objection};
use crate::sys::clock::{Deadline, now};
use crate::sys::identity;
use crate::sys::nft::shun_table;

use super::coordinator::ShunCoordinator;
use super::order_error::{ManualOrderError, OrderError};
use crate::sys::ganeti::peer_channel::{PeerAnswers, PeerError};

/// The time in s for which this host's rules let its own request to the node pass.
const EXCEPTION_SECONDS: u64 = 5;

/// What a readmission has changed.
pub enum ReadmissionResult {
    /// The node was not shunned. If it was shunned earlier, enough candidates have its readmission.
    Unchanged,
    /// The nodes that answered have readmitted it.
    Done(PeerAnswers),
}

/// The readmission of a node; as text, the result line for the administrator.
pub struct Readmission {
    /// The readmitted node, by its name in Ganeti.
    pub node: NodeName,
    /// The answers of the other nodes.
    pub result: ReadmissionResult,
}

impl Readmission {
    /// Returns one line for each node that has not readmitted the node yet.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let ReadmissionResult::Done(answers) = &self.result else { return Vec::new() };
        let line = |(peer, answer): (&NodeName, &Result<PeerReport, PeerError>)| {
            Some(format!("{}: is readmitted, and not yet by {peer} {}", self.node, answer.as_ref().err()?))
        };
        answers.iter().filter_map(line).collect()
    }
}

impl fmt::Display for Readmission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, result } = self;
        match result {
            ReadmissionResult::Unchanged => write!(f, "{node}: was not shunned"),
            ReadmissionResult::Done(answers) => {
                let nodes = answers.values().filter(|answer| answer.is_ok()).count();
                write!(f, "{node}: is readmitted by {nodes} nodes")
            }
        }
    }
}

/// Readmits `node` on all nodes; `reason` is the administrator's confirmation that it may come back. Only with a reason
/// also a node that was removed from Ganeti while it was shunned, or whose name new hardware is to get.
///
/// # Errors
/// [`ManualOrderError::Readmit`] if the node is not readmitted.
pub fn readmit_by_hand(
    config: &Config,
    data_dir: &Path,
    node: &NodeName,
    reason: Option<&str>,
    deadline: Deadline,
) -> Result<Readmission, ManualOrderError> {
    let why = |error| ManualOrderError::Readmit { node: node.clone(), error };
    let of_removed = |error: OrderError| match ShunCoordinator::of_removed(node, config, data_dir) {
        Ok(coordinator) if reason.is_some() => Ok(coordinator),
        Ok(_) => Err(OrderError::Removed { node: node.clone(), error: Box::new(error) }),
        Err(_) => Err(error),
    };
    let coordinator = ShunCoordinator::of(node, config, data_dir).or_else(of_removed).map_err(why)?;
    let result = readmit(&coordinator, reason, deadline).map_err(why)?;
    Ok(Readmission { node: coordinator.target().clone(), result })
}

/// Readmits the target: because an administrator gives a reason (`reason`), or because it has booted since and runs
/// nothing.
///
/// # Errors
/// [`OrderError`] if the target is not readmitted.
pub fn readmit(
    coordinator: &ShunCoordinator<'_>,
    reason: Option<&str>,
    deadline: Deadline,
) -> Result<ReadmissionResult, OrderError> {
    let before = coordinator.entry()?;
    let due = DuePart::of(before.as_ref());
    let Some(mut entry) = before.filter(|_| due != DuePart::Nothing) else { return Ok(ReadmissionResult::Unchanged) };
    if due == DuePart::Telling {
        return known_to_enough(coordinator, entry, deadline).map(|_| ReadmissionResult::Unchanged);
    }
    let because = match reason {
        Some(reason) => {
            // The target gets the list of shunned nodes. A target that does not answer yet gets it by `sync`.
            let _ = ask(coordinator, deadline);
            reason.to_owned()
        }
        // Its power was read as off: any system that runs there now has booted since.
        None if entry.grade == Grade::Off => "its power was read as off".to_owned(),
        None => {
            let returned = ask(coordinator, deadline)?;
            if let Some(why) = objection(&entry, &returned, now().wall_ms) {
                return Err(OrderError::Objection { node: coordinator.target().clone(), objection: why.to_string() });
            }
            "it has booted since, and runs nothing".to_owned()
        }
    };
    entry.epoch = entry.epoch.readmitted()?;
    entry.grade = Grade::Unknown;
    entry.boot_id = None;
    entry.since_ms = now().wall_ms;
    entry.by = format!("{} on {}: {because}", identity::asker().user, identity::host());
    known_to_enough(coordinator, entry, deadline).map(ReadmissionResult::Done)
}

/// Sends a readmission to all nodes. Otherwise a candidate that was away, and remembers that the earlier boot has
/// stopped, would report the same of the present boot.
fn known_to_enough(
    coordinator: &ShunCoordinator<'_>,
    entry: ShunEntry,
    deadline: Deadline,
) -> Result<PeerAnswers, OrderError> {
    let epoch = entry.epoch;
    let seen = coordinator.send(entry, deadline)?;
    seen.is_known_to_enough(coordinator.target(), epoch).map_err(OrderError::TooFew)?;
    Ok(seen.answers)
}

/// Asks the target itself, through a temporary exception in this host's own rules.
fn ask(coordinator: &ShunCoordinator<'_>, deadline: Deadline) -> Result<ReturningNode, OrderError> {
    const ORDER_TIMEOUT: Duration = Duration::from_secs(4);
    shun_table::allow_noded(coordinator.address(), EXCEPTION_SECONDS, deadline.at_most(ORDER_TIMEOUT))?;
    // The target received nothing while it was shunned. After its readmission the other nodes rely on it to shun the
    // nodes that they shun.
    let mut shun_list = coordinator.shun_list()?;
    shun_list.0.remove(coordinator.target());
    let shunned: Vec<_> = shun_list.shunned().map(|(node, entry)| (node.clone(), entry.epoch)).collect();
    let question = PeerRequest { shun_list, ..PeerRequest::requested_by(coordinator.own_node().clone()) };
    let peers = BTreeMap::from([(coordinator.target().clone(), coordinator.address())]);
    let answers = coordinator.channel().ask(&peers, &question, deadline.at_most(ORDER_TIMEOUT));
    let answer = answers.into_values().next().unwrap_or(Err(PeerError::NotAsked));
    let report = answer.map_err(OrderError::TargetAnswer)?;
    if let Some((lost, _)) = shunned.iter().find(|(node, epoch)| report.shunned.get(node) < Some(epoch)) {
        return Err(OrderError::TargetShunsLess { node: lost.clone(), why: report.not_applied.get(lost).cloned() });
    }
    Ok(ReturningNode {
        boot_id: report.boot_id,
        uptime_ms: report.uptime_ms,
        instances: report.instances,
        drbd_primaries: report.drbd_primaries,
    })
}
