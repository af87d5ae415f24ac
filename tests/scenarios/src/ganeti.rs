//! The simulated Ganeti: its flags, its master, its watcher, and the administrator's commands.

use gnt_ha::core::reconcile::Decision;

use crate::command::{Command, Flag, Host};
use crate::host::HostState;
use crate::world::World;

/// The interval of Ganeti's watcher, in s.
const WATCHER: u64 = 300;

impl World {
    /// Makes a host Ganeti's master, and notifies the nodes that Ganeti does not have as offline.
    pub(crate) fn becomes_master(&mut self, host: Host) {
        self.master = host;
        self.say(&format!("n{} is master", host + 1));
        self.hosts[host].believes_master = host;
        if self.roles.is_some() {
            self.configuration_changed();
        }
        self.push_configuration();
        self.triggered.push(host);
    }

    /// Whether Ganeti's master serves.
    pub(crate) fn serves(&self) -> bool {
        let master = &self.hosts[self.master];
        master.up && master.linked && (self.roles.is_none() || master.role.serves)
    }

    fn push_configuration(&mut self) {
        let master = self.master;
        if self.roles.is_some() {
            return;
        }
        for state in self.hosts.iter_mut().filter(|state| state.up && state.linked && !state.ganeti.offline) {
            state.believes_master = master;
        }
    }

    pub(crate) fn master_failover(&mut self, host: Host) {
        if self.hosts[host].up && self.hosts[host].linked && self.hosts[host].ganeti.master_candidate {
            if self.roles.is_some() {
                // The command stops the old master's daemons.
                let old = self.master;
                self.hosts[old].role.give_up();
                self.hosts[host].role.serve();
                self.hosts[host].believes_master = host;
            }
            self.becomes_master(host);
            // The role agent follows at its next monitor.
            if self.role_managed {
                self.role_on = Some(host);
            }
        }
    }

    /// Runs the watcher on the master: it starts the instances that should run, on every node that is online in Ganeti
    /// and whose noded answers.
    pub(crate) fn watcher(&mut self) {
        if self.now == 0 || !self.now.is_multiple_of(WATCHER) || !self.serves() {
            return;
        }
        self.push_configuration();
        let is_usable = |state: &&mut HostState| state.up && state.linked && state.noded && !state.ganeti.offline;
        for state in self.hosts.iter_mut().filter(is_usable) {
            state.instances = true;
        }
    }

    pub(crate) fn readd(&mut self, host: Host) {
        let up = self.hosts[host].up && self.hosts[host].linked;
        if !self.serves() || !up || host == self.master {
            return;
        }
        if self.is_cut_by_shunning(self.master, host) {
            self.say(&format!("n{} cannot be added again: it is shunned", host + 1));
            return;
        }
        self.hosts[host].ganeti.powered = true;
        self.hosts[host].ganeti.drained = false;
        self.set_offline(host, false);
        self.say(&format!("the administrator re-adds n{}", host + 1));
        self.hosts[host].our_drain = false;
        if self.roles.is_some() {
            self.configuration_changed();
        }
        self.push_configuration();
    }

    /// Notes that Ganeti has updated the record of a node.
    pub(crate) fn touch(&mut self, host: Host) {
        self.hosts[host].changed = self.now;
        self.hosts[host].serial += 1;
    }

    fn set_offline(&mut self, host: Host, offline: bool) {
        if self.hosts[host].ganeti.offline && !offline {
            self.hosts[host].readmitted = Some(self.now);
        }
        self.hosts[host].ganeti.offline = offline;
        self.hosts[host].our_record = false;
        self.touch(host);
    }

    pub(crate) fn modify(&mut self, host: Host, flag: Flag, value: bool) {
        if !self.serves() {
            return;
        }
        match flag {
            // Ganeti rejects these for its master.
            Flag::Offline | Flag::Drained if host == self.master => {}
            // The command changes nothing and leaves no trace.
            Flag::Offline if self.hosts[host].ganeti.offline == value => {}
            // The flag `offline` is cleared only if noded answers.
            Flag::Offline if !(value || self.hosts[host].up && self.hosts[host].linked) => {}
            Flag::Offline => {
                self.set_offline(host, value);
                self.hosts[host].ganeti.master_candidate &= !value;
                self.hosts[host].ganeti.drained &= !value;
                self.hosts[host].our_drain = false;
            }
            Flag::Drained if self.hosts[host].ganeti.offline => {}
            // The command changes nothing and leaves no trace.
            Flag::Drained if self.hosts[host].ganeti.drained == value => {}
            Flag::Drained => {
                self.hosts[host].ganeti.drained = value;
                self.hosts[host].ganeti.master_candidate &= !value;
                self.hosts[host].our_drain = false;
                self.touch(host);
            }
            Flag::MasterCapable => self.hosts[host].ganeti.master_capable = value,
            Flag::OobProgram => self.hosts[host].ganeti.oob_program = value.then(|| "/oob".into()),
        }
    }

    /// Carries out one decision. An error is a rejection by Ganeti, which a plan must not cause.
    pub(crate) fn carry_out(&mut self, node: Host, decision: &Decision) -> Result<(), String> {
        if !self.jobs_work {
            return Ok(());
        }
        match decision {
            Decision::Offline { job, power_too, .. } => {
                self.demote(node, job.auto_promote)?;
                self.hosts[node].ganeti.drained = false;
                self.hosts[node].our_drain = false;
                if let Some(powered) = job.powered {
                    self.hosts[node].ganeti.powered = powered;
                }
                self.set_offline(node, true);
                self.hosts[node].our_record = true;
                if power_too.off {
                    self.hosts[node].ganeti.powered = false;
                    self.command(&Command::PowerCut(node));
                }
            }
            Decision::Powered { job, .. } => {
                self.hosts[node].ganeti.powered = job.powered.unwrap_or(self.hosts[node].ganeti.powered);
                self.touch(node);
            }
            Decision::Drain { auto_promote } => {
                self.demote(node, *auto_promote)?;
                self.hosts[node].ganeti.drained = true;
                self.hosts[node].marked = true;
                self.hosts[node].our_drain = true;
                // A flag and a tag.
                self.touch(node);
                self.touch(node);
            }
            Decision::UnDrain => {
                self.hosts[node].ganeti.drained = false;
                self.hosts[node].marked = false;
                self.hosts[node].our_drain = false;
                self.touch(node);
                self.touch(node);
                self.hosts[node].ganeti.master_candidate = self.candidates() < self.pool;
            }
            Decision::ForgetDrain => {
                self.hosts[node].marked = false;
                self.touch(node);
            }
            Decision::Nothing(_) | Decision::Blocked(_) => return Ok(()),
        }
        if self.roles.is_some() {
            self.configuration_changed();
        }
        Ok(())
    }

    fn candidates(&self) -> usize {
        self.hosts.iter().filter(|state| state.ganeti.master_candidate).count()
    }

    /// Ends a node's role as master candidate (`LUNodeSetParams`).
    fn demote(&mut self, node: Host, auto_promote: bool) -> Result<(), String> {
        if node == self.master {
            return Err("Ganeti refuses: the master's flags change only via master-failover".to_owned());
        }
        if !std::mem::take(&mut self.hosts[node].ganeti.master_candidate) {
            return Ok(());
        }
        let others = || self.hosts.iter().enumerate().filter(|(host, _)| *host != node).map(|(_, state)| &state.ganeti);
        let eligible = others().filter(|n| n.master_capable && !n.offline && !n.drained).count();
        let short = self.candidates() < eligible.min(self.pool);
        if short && !auto_promote {
            return Err(format!("Ganeti refuses: too few master candidates without n{}", node + 1));
        }
        if !short && auto_promote {
            return Err(format!("every node is locked for nothing: no promotion is needed without n{}", node + 1));
        }
        if short {
            // Ganeti chooses at random; the worst choice here is one that is dead.
            let choice = (0..self.hosts.len())
                .filter(|host| {
                    let n = &self.hosts[*host].ganeti;
                    *host != node && n.master_capable && !n.offline && !n.drained && !n.master_candidate
                })
                .min_by_key(|host| self.hosts[*host].up);
            if let Some(choice) = choice {
                self.hosts[choice].ganeti.master_candidate = true;
                self.touch(choice);
                self.say(&format!("Ganeti promotes n{}", choice + 1));
            }
        }
        Ok(())
    }
}
