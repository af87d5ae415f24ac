//! Sends the shun list to every node, merges their lists, and keeps what the nodes report of themselves.

use std::collections::BTreeMap;
use std::path::Path;

use crate::core::config::{Config, Driver};
use crate::core::node::NodeName;
use crate::core::shun::list::{ShunList, not_shunned};
use crate::core::shun::messages::{PeerReport, PeerRequest};
use crate::service::shun::applier::ShunApplier;
use crate::service::shun::peer_reports::{self, Peers, StoredPeerReport};
use crate::sys::clock::{Deadline, now};
use crate::sys::identity;

use super::coordinator::{can_shun, is_readmitted};
use super::order_error::OrderError;
use crate::sys::ganeti::network;
use crate::sys::ganeti::peer_channel::PeerChannel;

/// What a sync of the shun list left to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncResult {
    /// The nodes that do not shun another node yet, one line each.
    pub open: Vec<String>,
    /// Whether a node is shunned: then a node that did not answer may be one that does not shun it.
    pub shuns: bool,
    /// The failures, one line each.
    pub failed: Vec<String>,
    /// Notes without a failure: statements of others that do not count, and entries that are not durable; one line
    /// each.
    pub notes: Vec<String>,
}

impl SyncResult {
    /// Returns the failure of the sync in one line; `None` if every node shuns the shunned nodes. A node that did not
    /// answer is a failure only while a node is shunned.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let is_failed = !self.open.is_empty() || self.shuns && !self.failed.is_empty();
        let lines: Vec<&str> = self.open.iter().chain(&self.failed).map(String::as_str).collect();
        is_failed.then(|| format!("some nodes do not shun the shunned nodes: {}", lines.join("; ")))
    }
}

/// Sends this host's shun list to every node, merges the candidates' lists into it, and keeps the nodes' reports of
/// themselves. Does nothing if this host cannot shun, or if the list is empty and the configuration has no device with
/// the driver `shun`.
///
/// # Errors
/// [`OrderError`] if no node was asked, or the answers could not be merged.
pub fn sync(config: &Config, data_dir: &Path, deadline: Deadline) -> Result<SyncResult, OrderError> {
    let applier = ShunApplier::new(config, data_dir)?;
    let shun_list = applier.shun_list()?;
    if !can_shun(data_dir) || shun_list == ShunList::default() && !config.has_driver(&Driver::Shun) {
        return Ok(SyncResult::default());
    }
    let network = network::read(data_dir)?;
    let question =
        |shun_list: ShunList| PeerRequest { shun_list, ..PeerRequest::requested_by(applier.own_node().clone()) };
    // This also checks this host's own rules: another program may have flushed them.
    let own = applier.merge_and_apply(&question(ShunList::default()), deadline)?;
    let is_shunned = |node: &NodeName| shun_list.epoch(node).is_shunned();
    let readmitted = |node: &NodeName| is_readmitted(&shun_list, node);
    let peers: BTreeMap<_, _> = network
        .members
        .iter()
        // A readmitted node runs again, also while it is still recorded offline.
        .filter(|(name, member)| {
            *name != applier.own_node() && (!member.offline || readmitted(name)) && !is_shunned(name)
        })
        .map(|(name, member)| (name.clone(), member.primary))
        .collect();
    let channel = PeerChannel::new(config, &network, data_dir);
    let asked_boottime_ms = now().boottime_ms;
    let answers = channel.ask(&peers, &question(shun_list.clone()), deadline);
    let mut lists: BTreeMap<NodeName, ShunList> = BTreeMap::new();
    let mut reports = BTreeMap::from([(applier.own_node().clone(), own)]);
    let mut synced = SyncResult::default();
    let mut received = Peers::new();
    let not_durable = |node: &NodeName, report: &PeerReport| {
        let why = report.not_durable.as_ref()?;
        Some(format!("{node}: its shun list is kept until its next boot only: {why}"))
    };
    for (node, answer) in answers {
        match answer {
            Ok(report) => {
                // Only a candidate is trusted about other nodes: the channel removes the list from a regular node's
                // answer.
                if network.members.get(&node).is_some_and(|member| member.candidate) {
                    lists.insert(node.clone(), report.shun_list.clone());
                }
                reports.insert(node.clone(), report.clone());
                received.insert(node, StoredPeerReport { asked_boottime_ms, boot_id: identity::incarnation(), report });
            }
            Err(why) => synced.failed.push(format!("{node}: {why}")),
        }
    }
    synced.notes.extend(reports.iter().filter_map(|(node, report)| not_durable(node, report)));
    synced.notes.extend(applier.merge_lists(&lists, deadline)?);
    if let Err(error) =
        peer_reports::keep_peers(&config.state, received, |node| network.members.contains_key(node), deadline)
    {
        synced.notes.push(format!("the reports of the nodes are not kept: {error}"));
    }
    let after = applier.shun_list()?;
    let reported = reports.iter().map(|(node, report)| (node, &report.shunned));
    synced.shuns = after.shunned().next().is_some();
    synced.open = not_shunned(&shun_list, &after, reported);
    Ok(synced)
}
