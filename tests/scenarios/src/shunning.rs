//! Shunning: each host has its own shun list, which the others get by a sync.

use std::collections::{BTreeMap, BTreeSet};

use gnt_ha::core::grade::Grade;
use gnt_ha::core::shun::list::{ShunEntry, ShunList, ShunScope};

use crate::command::{Device, Host};
use crate::world::World;

impl World {
    /// Whether one of the two drops the other's TCP.
    pub(crate) fn is_cut_by_shunning(&self, one: Host, other: Host) -> bool {
        self.shuns(one, other).is_some() || self.shuns(other, one).is_some()
    }

    pub(crate) fn shuns(&self, by: Host, node: Host) -> Option<ShunScope> {
        let name = &self.hosts[node].name;
        self.hosts[by].role.shuns.shunned().find(|(shunned, _)| *shunned == name).map(|(_, entry)| entry.scope)
    }

    /// Every reachable node shuns a node that was fenced: with scope `tcp` if its power was read as off.
    pub(crate) fn shun(&mut self, node: Host, by: Host) {
        let (grade, scope) = match self.device {
            Device::Shun => (Grade::Isolated, ShunScope::All),
            _ => (Grade::Off, ShunScope::Tcp),
        };
        let (name, since_ms) = (self.hosts[node].name.clone(), self.wall_ms(0, self.now));
        for host in (0..self.hosts.len()).filter(|host| *host != node) {
            if !self.hosts[host].up || !self.hosts[host].linked || host != by && self.is_cut_by_shunning(host, by) {
                continue;
            }
            let shuns = &mut self.hosts[host].role.shuns;
            let epoch = shuns.epoch(&name).shunned();
            let entry = ShunEntry {
                epoch,
                addresses: BTreeSet::new(),
                scope,
                grade,
                boot_id: None,
                since_ms,
                by: "fencing".into(),
            };
            shuns.merge(&ShunList(BTreeMap::from([(name.clone(), entry)])));
        }
    }

    /// Readmits a node for the administrator: the nodes that the master reaches get the entry.
    pub(crate) fn readmit(&mut self, node: Host) {
        let name = self.hosts[node].name.clone();
        let master = self.master;
        let peers: Vec<Host> = (0..self.hosts.len())
            .filter(|host| self.hosts[*host].up && self.hosts[*host].linked)
            .filter(|host| *host == node || !self.is_cut_by_shunning(*host, master))
            .collect();
        for host in peers {
            if let Some(entry) = self.hosts[host].role.shuns.0.get_mut(&name) {
                entry.epoch = entry.epoch.readmitted().unwrap_or(entry.epoch);
            }
        }
        self.say(&format!("n{} is readmitted", node + 1));
    }

    /// Merges the shun lists: the greater epoch counts. A shunned node is neither asked nor notified.
    pub(crate) fn sync(&mut self) {
        for one in 0..self.hosts.len() {
            for other in 0..self.hosts.len() {
                let there = |host: Host| self.hosts[host].up && self.hosts[host].linked;
                if one != other && there(one) && there(other) && !self.is_cut_by_shunning(one, other) {
                    let learned = self.hosts[other].role.shuns.clone();
                    let before = self.hosts[one].role.shuns.clone();
                    self.hosts[one].role.shuns.merge(&learned);
                    let after = self.hosts[one].role.shuns.clone();
                    for (node, entry) in after.0.iter().filter(|(node, entry)| before.epoch(node) != entry.epoch) {
                        let what = if entry.epoch.is_shunned() { "shunned" } else { "readmitted" };
                        self.say(&format!("n{} learns that {node} is {what}", one + 1));
                    }
                }
            }
        }
    }
}
