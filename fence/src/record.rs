//! Telling Ganeti, after a proven off, what it can be told from here: best effort, bounded, and by the record's guards.

use std::path::Path;
use std::time::Duration;

use gnt_ha::core::evidence::Worth;
use gnt_ha::core::ganeti::offline_job::{self, OfflinePlan};
use gnt_ha::core::node::NodeName;
use gnt_ha::service::reconciler::run::Reconciler;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::ganeti::files;
use gnt_ha::sys::identity;

use crate::options::Options;
use crate::target::Cluster;

/// The most that telling Ganeti may add to a fencing: Pacemaker recovers nothing before the agent has ended.
const LIMIT: Duration = Duration::from_millis(300);

/// Has the node recorded as offline, by what its fencing is worth. Returns what became of it, for the receipt: whatever it is, the fencing
/// stands, and whoever is master has to see to the record.
#[must_use]
pub fn offline(cluster: &Cluster, node: &NodeName, worth: Worth, options: &Options) -> String {
    let deadline = Deadline::after(LIMIT);
    let Ok(config) = cluster.config() else {
        return "left: this host has no Ganeti configuration".to_owned();
    };
    let Ok(found) = config.find(node) else {
        return format!("left: Ganeti does not know {node}");
    };
    let Some(here) = identity::node_among(config.nodes().iter().map(|node| &node.name)) else {
        return format!("left: this host, {}, is none of Ganeti's nodes", identity::host());
    };
    let job = match offline_job::plan(config, found, worth.powered, &here) {
        OfflinePlan::AlreadySo => return "it was recorded offline before".to_owned(),
        OfflinePlan::Left(why) => return format!("left: {why}"),
        OfflinePlan::Submit(job) => job,
    };
    let luxi = Path::new(files::LUXI_SOCKET);
    let mut recorder = Reconciler::new(&options.state_dir, &options.data_dir, luxi);
    recorder.cib.clone_from(&options.cib);
    match recorder.record_fenced(config, &job, worth.grade, deadline) {
        Ok(Some(number)) => format!("job {number} is submitted, to record it offline"),
        Ok(None) => {
            "a job to record it offline is handed over; Ganeti confirms it when it has waited for the dead".to_owned()
        }
        Err(why) => format!("left: {why}"),
    }
}
