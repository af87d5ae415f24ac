//! The view that one host has of the world: the input of a decision.

use gnt_ha::core::ganeti::record_version::RecordVersion;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::receipt::Timestamp;
use gnt_ha::core::reconcile::{Delegate, Fence, MasterRoleState, Membership, NodeState, ReconcileInput};

use crate::command::Host;
use crate::world::{WELL_FOR, World};

impl World {
    /// Returns the state as `here` reads it.
    pub(crate) fn view(&self, here: Host) -> ReconcileInput {
        let own = &self.hosts[here];
        let readable = |host: &Host| {
            *host == here || self.receipts_of_all && own.linked && self.hosts[*host].up && self.hosts[*host].linked
        };
        let readable: Vec<Host> = (0..self.hosts.len()).filter(readable).collect();
        let started = if own.stack_started == 0 {
            self.wall_ms(here, 0) - WELL_FOR * 1_000
        } else {
            self.wall_ms(here, own.stack_started)
        };
        let role = match self.role_on.filter(|_| own.linked) {
            _ if !self.role_managed => MasterRoleState::Unmanaged,
            Some(host) => MasterRoleState::ActiveOn(self.in_pacemaker(&self.hosts[host].name)),
            None => MasterRoleState::Inactive,
        };
        ReconcileInput {
            now: Timestamp { wall_ms: self.wall_ms(here, self.now), boottime_ms: (WELL_FOR + self.now) * 1_000 },
            stack_started_ms: started,
            quorum: own.linked && self.has_quorum(),
            maintenance: self.maintenance,
            here: own.name.clone(),
            master: Some(self.hosts[own.believes_master].name.clone()),
            role,
            pause: self.pause.clone(),
            candidate_pool_size: self.pool,
            nodes: (0..self.hosts.len()).map(|node| self.node(here, node, &readable)).collect(),
        }
    }

    /// Returns Pacemaker's name of a node.
    fn in_pacemaker(&self, name: &NodeName) -> NodeName {
        let full = NodeName::new(&format!("{name}.lab")).ok().filter(|_| self.names_differ);
        full.unwrap_or_else(|| name.clone())
    }

    fn fence_in_pacemaker(&self, fence: &Fence) -> Fence {
        let delegate = match &fence.delegate {
            Delegate::Host(host) => Delegate::Host(self.in_pacemaker(host)),
            other => other.clone(),
        };
        Fence { delegate, ..fence.clone() }
    }

    fn node(&self, here: Host, node: Host, readable: &[Host]) -> NodeState {
        let own = &self.hosts[here];
        let state = &self.hosts[node];
        let member = match state.member {
            member if own.linked => member,
            Membership::Unknown => Membership::Unknown,
            _ if node == here => Membership::Online,
            _ => Membership::Unclean,
        };
        let receipts = readable
            .iter()
            .flat_map(|host| &self.hosts[*host].receipts)
            .filter(|(of, _)| *of == node)
            .map(|(_, receipt)| receipt.clone())
            .collect();
        NodeState {
            ganeti: state.ganeti.clone(),
            changed_ms: Some(self.wall_ms(self.master, state.changed)),
            version: Some(RecordVersion { uuid: state.name.to_string(), serial: state.serial }),
            drained_by_us: state.marked,
            member,
            is_remote: false,
            member_since_ms: None,
            answers: self.ask_noded.then_some(own.linked && state.up && state.linked && state.noded),
            fences: state.fences.iter().map(|fence| self.fence_in_pacemaker(fence)).collect(),
            receipts,
            options: self
                .fencing()
                .options(&state.name, &self.hosts.iter().map(|host| host.name.clone()).collect::<Vec<_>>()),
        }
    }
}
