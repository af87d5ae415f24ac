//! Telling Ganeti, after a proven off, what it can be told from here: best effort and bounded.

use std::path::Path;
use std::time::Duration;

use gnt_ha::core::node::NodeName;
use gnt_ha::core::power::Power;
use gnt_ha::core::reconcile::Pause;
use gnt_ha::core::record::{self, RecordPlan};
use gnt_ha::sys::clock::{Deadline, wall_nanos};
use gnt_ha::sys::luxi::{Luxi, LuxiError};
use gnt_ha::sys::recorder::PAUSE_FILE;
use gnt_ha::sys::{ganeti_files, identity, state_file};

use crate::target::Cluster;

/// The most that telling Ganeti may add to a fencing: Pacemaker recovers nothing before the agent has ended.
const LIMIT: Duration = Duration::from_millis(300);

/// Has the node recorded as offline. Returns what became of it, for the receipt: whatever it is, the fencing
/// stands, and whoever is master has to see to the record.
#[must_use]
pub fn offline(cluster: &Cluster, node: &NodeName, power: Power, state_dir: &Path) -> String {
    match state_file::read::<Pause>(&state_dir.join(PAUSE_FILE)) {
        Ok(None) => {}
        Ok(Some(pause)) => return format!("left: paused by {}: {} (gnt-ha resume)", pause.by, pause.reason),
        Err(error) => return format!("left: it cannot be known whether there is a pause: {error}"),
    }
    let Ok(config) = cluster.config() else {
        return "left: this host has no Ganeti configuration".to_owned();
    };
    let Ok(found) = config.find(node) else {
        return format!("left: Ganeti does not know {node}");
    };
    let Some(here) = identity::node_among(config.nodes().iter().map(|node| &node.name)) else {
        return format!("left: this host, {}, is none of Ganeti's nodes", identity::host());
    };
    match record::plan(config, found, power, &here) {
        RecordPlan::AlreadySo => "it was recorded offline before".to_owned(),
        RecordPlan::Left(why) => format!("left: {why}"),
        RecordPlan::Submit(job) => {
            let opcode = job.opcode(&format!("fenced: {node} was proven off"), wall_nanos());
            let submitted = Luxi::connect(Path::new(ganeti_files::LUXI_SOCKET), Deadline::after(LIMIT))
                .and_then(|mut luxi| luxi.submit_job(&[opcode]));
            match submitted {
                Ok(number) => format!("job {number} is submitted, to record it offline"),
                Err(LuxiError::Unconfirmed) => {
                    "a job to record it offline is handed over; Ganeti confirms it when it has waited for the dead"
                        .to_owned()
                }
                Err(error) => format!("left: {error}"),
            }
        }
    }
}
