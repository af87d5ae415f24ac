//! Keeps what this host sees of its DRBD disks, and asks other nodes for what they have seen. Writes one state file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::core::config::Config;
use crate::core::node::NodeName;
use crate::core::recovery::drbd::{DrbdAges, DrbdMemory};
use crate::core::shun::messages::PeerRequest;
use crate::service::shun::applier::ShunApplier;
use crate::service::shun::order_error::OrderError;
use crate::sys::clock::{Deadline, now};
use crate::sys::ganeti::network;
use crate::sys::ganeti::peer_channel::PeerChannel;
use crate::sys::ganeti::running_instances::drbd_disks;
use crate::sys::store::Store;

/// The file of what was seen, in the state directory.
const FILE: &str = "drbd-seen.json";

/// Notes what this host sees of its DRBD disks now. Does nothing on a host without DRBD. What cannot be stored is not
/// known later, and then an instance is not started: the caller does not fail because of that.
pub fn note(state_dir: &Path) {
    let Some(disks) = drbd_disks() else { return };
    let store = Store::new(state_dir);
    let before: DrbdMemory = store.read(FILE).ok().flatten().unwrap_or_default();
    let (memory, is_to_store) = before.after_sighting(&disks, now());
    if is_to_store && let Err(error) = store.write_unflushed(FILE, &memory) {
        tracing::warn!(%error, "what is seen of the DRBD disks cannot be kept");
    }
}

/// Returns how long ago this host has seen each of its DRBD disks; none if that cannot be read.
#[must_use]
pub fn ages(state_dir: &Path) -> BTreeMap<u32, DrbdAges> {
    let memory: DrbdMemory = Store::new(state_dir).read(FILE).ok().flatten().unwrap_or_default();
    memory.ages(now())
}

/// Asks these nodes what they have seen of their DRBD disks. A node that is offline, shunned here or does not answer is
/// left out, and so is this host.
///
/// # Errors
/// [`OrderError`] if no node was asked.
pub fn ask(
    config: &Config,
    data_dir: &Path,
    nodes: &BTreeSet<NodeName>,
    deadline: Deadline,
) -> Result<BTreeMap<NodeName, BTreeMap<u32, DrbdAges>>, OrderError> {
    let applier = ShunApplier::new(config, data_dir)?;
    let shun_list = applier.shun_list()?;
    let network = network::read(data_dir)?;
    let is_asked =
        |name: &NodeName| nodes.contains(name) && name != applier.own_node() && !shun_list.epoch(name).is_shunned();
    let peers: BTreeMap<_, _> = network
        .members
        .iter()
        .filter(|(name, member)| is_asked(name) && !member.offline)
        .map(|(name, member)| (name.clone(), member.primary))
        .collect();
    let question = PeerRequest { drbd: true, ..PeerRequest::requested_by(applier.own_node().clone()) };
    let answers = PeerChannel::new(config, &network, data_dir).ask(&peers, &question, deadline);
    Ok(answers.into_iter().filter_map(|(node, answer)| Some((node, answer.ok()?.drbd))).collect())
}
