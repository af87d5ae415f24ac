//! The true state of one simulated host, independent of what others know of it.

use gnt_ha::core::breaker::Breaker;
use gnt_ha::core::ganeti::config::Node;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::reconcile::{Fence, Membership, Memory, PowerReceipt};
use gnt_ha::core::shun::list::ShunList;

use crate::roles::RoleState;

/// The content of a disk that cannot be written any more.
#[derive(Clone, Debug)]
pub(crate) struct Durable {
    memory: Memory,
    receipts: Vec<(usize, PowerReceipt)>,
    shuns: ShunList,
}

/// One host with its whole state.
#[derive(Clone, Debug)]
pub(crate) struct HostState {
    pub(crate) name: NodeName,
    // The state of the machine.
    pub(crate) powered: bool,
    pub(crate) up: bool,
    pub(crate) boots_at: Option<u64>,
    pub(crate) linked: bool,
    pub(crate) bmc: bool,
    pub(crate) noded: bool,
    /// Whether instances run on it.
    pub(crate) instances: bool,
    /// By how many seconds its wall clock is ahead.
    pub(crate) ahead: i64,
    // The state of Pacemaker on it, and Pacemaker's view of it.
    pub(crate) stack: bool,
    pub(crate) autostart: bool,
    pub(crate) stack_started: u64,
    pub(crate) member: Membership,
    pub(crate) standby: bool,
    pub(crate) lost_at: Option<u64>,
    pub(crate) leaves_at: Option<u64>,
    pub(crate) joins_at: Option<u64>,
    pub(crate) fence_at: Option<u64>,
    pub(crate) fences: Vec<Fence>,
    // Ganeti's record of it, and its own copy of the configuration.
    pub(crate) ganeti: Node,
    pub(crate) changed: u64,
    pub(crate) serial: u64,
    pub(crate) marked: bool,
    pub(crate) believes_master: usize,
    // The data on its disk: receipts of its actions, and its memory.
    pub(crate) receipts: Vec<(usize, PowerReceipt)>,
    pub(crate) memory: Memory,
    // The state of the master role on it, its copy of the configuration, its shun list.
    pub(crate) role: RoleState,
    /// Set if its disk cannot be written: the content of the disk. Later data is kept in `/run`, until the next boot.
    pub(crate) full: Option<Box<Durable>>,
    // Values for the invariants.
    /// The record is ours, and no administrator has changed it.
    pub(crate) our_record: bool,
    /// Every fencing that really succeeded, with its time.
    pub(crate) truly_fenced: Vec<(u64, Grade)>,
    /// The last time at which Ganeti recorded it online again.
    pub(crate) readmitted: Option<u64>,
    /// The drain is ours, and no administrator has changed it.
    pub(crate) our_drain: bool,
}

impl HostState {
    /// Returns a running host of a cluster without failures.
    pub(crate) fn new(name: NodeName, master: usize, is_candidate: bool, role: RoleState) -> Self {
        let ganeti = Node {
            name: name.clone(),
            offline: false,
            drained: false,
            powered: true,
            master_candidate: is_candidate,
            master_capable: true,
            oob_program: Some("/oob".into()),
        };
        Self {
            name,
            powered: true,
            up: true,
            boots_at: None,
            linked: true,
            bmc: true,
            noded: true,
            instances: true,
            ahead: 0,
            stack: true,
            autostart: true,
            stack_started: 0,
            member: Membership::Online,
            standby: false,
            lost_at: None,
            leaves_at: None,
            joins_at: None,
            fence_at: None,
            fences: Vec::new(),
            ganeti,
            changed: 0,
            serial: 1,
            marked: false,
            believes_master: master,
            receipts: Vec::new(),
            role,
            full: None,
            our_record: false,
            memory: Memory::default(),
            truly_fenced: Vec::new(),
            readmitted: None,
            our_drain: false,
        }
    }

    /// Whether the others reach its cluster stack.
    pub(crate) const fn is_connected(&self) -> bool {
        self.up && self.stack && self.linked
    }

    /// Whether the host can reconcile.
    pub(crate) const fn reconciles(&self) -> bool {
        self.up && self.stack
    }

    /// Stops the host in any state.
    pub(crate) fn stop(&mut self) {
        self.role.stop();
        if let Some(durable) = &self.full {
            let Durable { memory, receipts, shuns } = (**durable).clone();
            (self.memory, self.receipts, self.role.shuns) = (memory, receipts, shuns);
        }
        self.up = false;
        self.stack = false;
        self.instances = false;
        self.boots_at = None;
    }

    /// Makes its disk full, or writable again, with the data that was kept in `/run`.
    pub(crate) fn fill(&mut self, full: bool) {
        let durable =
            || Durable { memory: self.memory.clone(), receipts: self.receipts.clone(), shuns: self.role.shuns.clone() };
        self.full = full.then(|| Box::new(durable()));
    }

    pub(crate) fn reset_breaker(&mut self) {
        let breaker: Breaker = std::mem::take(&mut self.memory.breaker);
        self.memory.breaker = breaker.reset();
    }
}
