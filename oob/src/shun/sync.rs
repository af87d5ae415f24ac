//! `ganeti-oob sync`: keeps every node at what was decided, and keeps what they say of themselves.

use std::collections::BTreeMap;
use std::path::Path;

use gnt_ha::core::config::{Config, Driver};
use gnt_ha::core::node::NodeName;
use gnt_ha::core::shun::list::{ShunList, not_refused};
use gnt_ha::core::shun::messages::{PeerReport, PeerRequest};
use gnt_ha::service::shun::applier::ShunApplier;
use gnt_ha::service::shun::peer_reports::{self, Peers, Told};
use gnt_ha::sys::clock::{Deadline, now};
use gnt_ha::sys::identity;

use super::peers::Channel;
use super::survivors::{can_shun, is_readmitted};
use crate::network;

/// What it brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncResult {
    /// Who does not refuse whom yet, a line each.
    pub open: Vec<String>,
    /// Whether anybody is shunned: then a node that did not answer may be one that does not refuse him.
    pub shuns: bool,
    /// What failed, a line each.
    pub failed: Vec<String>,
    /// What has to be said though nothing failed: what is not believed of others, and what is not durable; a line each.
    pub notes: Vec<String>,
}

/// Tells every node what this host remembers, learns what they remember, and keeps what they said. Does nothing where
/// nobody is shunned and no node's configuration names the driver `shun`.
///
/// # Errors
/// Why nobody was asked.
pub fn sync(config: &Config, data_dir: &Path, deadline: Deadline) -> Result<SyncResult, String> {
    let keeper = ShunApplier::new(config, data_dir)?;
    let register = keeper.register().map_err(|error| error.to_string())?;
    if !can_shun(data_dir) || register == ShunList::default() && !config.has_driver(&Driver::Shun) {
        return Ok(SyncResult::default());
    }
    let network = network::read(data_dir)?;
    let question = |register: ShunList| PeerRequest { register, ..PeerRequest::requested_by(keeper.here().clone()) };
    // Also a look at the own rules: somebody may have flushed them.
    let own = keeper.tell(&question(ShunList::default()), deadline).map_err(|error| error.to_string())?;
    let refused = |node: &NodeName| register.epoch(node).is_shunned();
    let readmitted = |node: &NodeName| is_readmitted(&register, node);
    let peers: BTreeMap<_, _> = network
        .members
        .iter()
        // One that is readmitted runs again, also while Ganeti has it offline still.
        .filter(|(name, member)| *name != keeper.here() && (!member.offline || readmitted(name)) && !refused(name))
        .map(|(name, member)| (name.clone(), member.primary))
        .collect();
    let channel = Channel::new(config, &network, data_dir);
    let asked_boottime_ms = now().boottime_ms;
    let answers = channel.ask(&peers, &question(register.clone()), deadline);
    let mut learnt: BTreeMap<NodeName, ShunList> = BTreeMap::new();
    let mut reports = BTreeMap::from([(keeper.here().clone(), own)]);
    let mut synced = SyncResult::default();
    let mut told = Peers::new();
    let not_durable = |node: &NodeName, report: &PeerReport| {
        let why = report.not_durable.as_ref()?;
        Some(format!("{node}: its next boot forgets who is refused: {why}"))
    };
    for (node, answer) in answers {
        match answer {
            Ok(report) => {
                // Only a candidate has a say about others: the channel leaves no regular node's list in its answer.
                if network.members.get(&node).is_some_and(|member| member.candidate) {
                    learnt.insert(node.clone(), report.register.clone());
                }
                reports.insert(node.clone(), report.clone());
                told.insert(node, Told { asked_boottime_ms, boot_id: identity::incarnation(), report });
            }
            Err(why) => synced.failed.push(format!("{node}: {why}")),
        }
    }
    synced.notes.extend(reports.iter().filter_map(|(node, report)| not_durable(node, report)));
    synced.notes.extend(keeper.learn(&learnt, deadline).map_err(|error| error.to_string())?);
    if let Err(error) =
        peer_reports::keep_peers(&config.state, told, |node| network.members.contains_key(node), deadline)
    {
        synced.notes.push(format!("what the nodes said of themselves is not kept: {error}"));
    }
    let after = keeper.register().map_err(|error| error.to_string())?;
    let refuses = reports.iter().map(|(node, report)| (node, &report.refuses));
    synced.shuns = after.shunned().next().is_some();
    synced.open = not_refused(&register, &after, refuses);
    Ok(synced)
}
