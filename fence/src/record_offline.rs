//! Records a node offline in Ganeti after a proven off, as far as this host and the guards of the reconciler permit it.
//! Takes at most 300 ms.

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

/// The most time that recording may add to a fencing: Pacemaker starts no recovery before the agent has ended.
const RECORD_TIMEOUT: Duration = Duration::from_millis(300);

/// Submits a job that records the node offline, with the evidence of its fencing. Returns the result as text for the
/// receipt. The fencing stands in any case; otherwise the master records the node later.
#[must_use]
pub fn record_offline(cluster: &Cluster, node: &NodeName, worth: Worth, options: &Options) -> String {
    let deadline = Deadline::after(RECORD_TIMEOUT);
    let Ok(config) = cluster.config() else {
        return "not recorded here: this host has no Ganeti configuration".to_owned();
    };
    let Ok(found) = config.find(node) else {
        return format!("not recorded here: Ganeti has no node {node}");
    };
    let Some(here) = identity::node_among(config.nodes().iter().map(|node| &node.name)) else {
        return format!("not recorded here: this host, {}, is not one of Ganeti's nodes", identity::host());
    };
    let job = match offline_job::plan(config, found, worth.powered, &here) {
        OfflinePlan::AlreadyRecorded => return "it was recorded offline before".to_owned(),
        OfflinePlan::NotFromHere(why) => return format!("not recorded here: {why}"),
        OfflinePlan::Submit(job) => job,
    };
    let luxi = Path::new(files::LUXI_SOCKET);
    let mut reconciler = Reconciler::new(&options.state_dir, &options.data_dir, luxi);
    reconciler.cib.clone_from(&options.cib);
    let purpose = if job.sets_offline { "to record it offline" } else { "to record its power" };
    match reconciler.record_fenced(config, &job, worth.grade, deadline) {
        Ok(Some(number)) => format!("job {number} is submitted, {purpose}"),
        Ok(None) => {
            format!(
                "a job {purpose} is submitted, not confirmed: Ganeti confirms it after it has waited for the lost nodes"
            )
        }
        Err(why) => format!("not recorded here: {why}"),
    }
}
