//! What the versions of a host's record, and the queue, show about a host that is recorded offline.

use std::collections::BTreeSet;

use gnt_ha::core::ganeti::record_version::{RecordVersion, stayed_offline};
use gnt_ha::core::node::NodeName;
use gnt_ha::core::recovery::role_job::own_records;
use serde_json::{Value, json};

use super::world::{HOSTS, World, host_name};

impl World {
    /// A job of an administrator that has ended well.
    pub(crate) fn by_hand(&mut self, op: Value) {
        self.submit(vec![op]);
        let now = self.now;
        let job = self.queue.last_mut().unwrap();
        (job.status, job.done, job.ended) = ("success", 1, Some(now));
    }

    /// The host is readmitted and added again, starts its instances, and is set offline by hand. Then it is cut off.
    pub(crate) fn back_unseen(&mut self, host: usize) {
        self.by_hand(json!({"OP_ID": "OP_NODE_ADD", "node_name": host_name(host), "readd": true}));
        self.by_hand(json!({"OP_ID": "OP_NODE_SET_PARAMS", "node_name": host_name(host), "offline": true}));
        let runs = |vm: &usize| self.hosts.iter().any(|host| host.running.contains(vm));
        let is_started = |vm: &usize| self.vms[*vm].is_up && self.vms[*vm].primary == host && !runs(vm);
        let running: Vec<usize> = (0..self.vms.len()).filter(is_started).collect();
        let state = &mut self.hosts[host];
        (state.is_dead, state.is_cut, state.serial) = (false, true, state.serial + 3);
        state.running.extend(running);
    }

    pub(crate) fn version(serial: u64) -> RecordVersion {
        RecordVersion { uuid: "u".to_owned(), serial }
    }

    /// Remembers the versions of the records, as each reconciliation does.
    pub(crate) fn watch(&mut self) {
        for host in &mut self.hosts {
            let (serial, was_offline) = host.seen;
            let stayed = stayed_offline(Some(&Self::version(serial)), was_offline, Some(&Self::version(host.serial)));
            host.is_certain = host.is_offline && stayed && (host.is_certain || !was_offline);
            host.seen = (host.serial, host.is_offline);
        }
    }

    /// Returns the hosts that gnt-ha itself recorded last, by the queue.
    pub(crate) fn own_records(&self) -> BTreeSet<NodeName> {
        own_records(&self.queue_seen(), &(0..HOSTS).map(|host| (host_name(host), None)).collect())
    }
}
