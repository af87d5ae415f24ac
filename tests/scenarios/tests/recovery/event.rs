//! The events of the simulated cluster: what happens to hosts, what administrators do, and what fails.

use gnt_ha::core::recovery::memory::RecoveryMemory;
use serde_json::json;

use super::world::{HOSTS, Host, INSTANCES, World, host_name, vm_name};

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Die(usize),
    Cut(usize),
    PowerOn(usize),
    Readmit(usize),
    /// The host is readmitted, added again, starts its instances, and is set offline by hand; then it is cut off.
    BackUnseen(usize),
    MasterDies,
    Stop(usize),
    StartByHand(usize),
    MoveByHand(usize, usize),
    Migrate(usize, usize),
    StartsFail(usize, bool),
    Paused(bool),
    AnswerLost,
    HailFails(bool),
    Nothing,
}

impl World {
    pub(crate) fn event(&mut self, event: &Event) {
        match *event {
            Event::Die(host) if !self.hosts[host].is_dead => {
                self.hosts[host].is_dead = true;
                self.hosts[host].running.clear();
                self.hosts[host].lost_at.get_or_insert(self.now);
            }
            Event::Cut(host) if self.answers(host) && !self.hosts[host].is_offline => {
                self.hosts[host].is_cut = true;
                self.hosts[host].lost_at.get_or_insert(self.now);
            }
            Event::PowerOn(host) if self.hosts[host].proof_at.is_some() => {
                self.hosts[host].is_dead = false;
                self.hosts[host].is_cut = false;
                self.hosts[host].running.clear();
            }
            Event::Readmit(host)
                if self.hosts[host].is_offline && self.answers(host) && self.hosts[host].running.is_empty() =>
            {
                let Host { starts_fail, serial, seen, .. } = self.hosts[host];
                self.hosts[host] = Host { starts_fail, serial: serial + 1, seen, ..Host::default() };
                self.records.remove(&host);
                self.by_hand(json!({"OP_ID": "OP_NODE_ADD", "node_name": host_name(host), "readd": true}));
            }
            Event::BackUnseen(host) if self.hosts[host].is_offline => self.back_unseen(host),
            Event::MasterDies => {
                self.interrupt();
                self.memory = RecoveryMemory::default();
            }
            Event::Stop(vm) => {
                self.submit(vec![json!({"OP_ID": "OP_INSTANCE_SHUTDOWN", "instance_name": vm_name(vm).as_str()})]);
            }
            Event::StartByHand(vm) => {
                self.submit(vec![json!({"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": vm_name(vm).as_str()})]);
            }
            Event::MoveByHand(vm, host) => {
                let (instance, node) = (vm_name(vm), host_name(host));
                self.submit(vec![json!({"OP_ID": "OP_INSTANCE_FAILOVER", "instance_name": instance.as_str(),
                                        "target_node": node})]);
            }
            Event::Migrate(vm, host) => {
                let op = json!({"OP_ID": "OP_INSTANCE_MIGRATE", "instance_name": vm_name(vm).as_str(),
                                "target_node": host_name(host)});
                self.submit(vec![op.clone(), op]);
            }
            Event::StartsFail(host, fails) => self.hosts[host].starts_fail = fails,
            Event::Paused(is_paused) => self.is_paused = is_paused,
            Event::AnswerLost => self.is_answer_lost = true,
            Event::HailFails(fails) => self.hail_fails = fails,
            _ => {}
        }
    }

    /// A random event; most are of hosts and their instances.
    pub(crate) fn random_event(&mut self) -> Event {
        let host = 1 + self.chance(HOSTS - 1);
        let vm = self.chance(INSTANCES);
        let is_so = self.chance(2) == 0;
        if self.has_only_losses {
            return match self.chance(12) {
                0 => Event::Die(host),
                1 | 2 => Event::Cut(host),
                3..9 => Event::AnswerLost,
                _ => Event::Nothing,
            };
        }
        match self.chance(36) {
            0..4 => Event::Die(host),
            4..8 => Event::Cut(host),
            8..10 => Event::PowerOn(host),
            10..13 => Event::Readmit(host),
            13..16 => Event::MasterDies,
            16..18 => Event::Stop(vm),
            18 => Event::StartByHand(vm),
            19 => Event::MoveByHand(vm, host),
            20..24 => Event::Migrate(vm, host),
            24..26 => Event::StartsFail(host, is_so),
            26 => Event::Paused(is_so),
            27 => Event::HailFails(is_so),
            28..32 => Event::AnswerLost,
            32..34 => Event::BackUnseen(host),
            _ => Event::Nothing,
        }
    }
}
