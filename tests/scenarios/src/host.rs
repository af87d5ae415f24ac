//! What is true of one host, whoever knows it.

use gnt_ha::core::breaker::Breaker;
use gnt_ha::core::ganeti::config::Node;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::reconcile::{Fence, Membership, Memory, PowerReceipt};
use gnt_ha::core::shun::list::ShunList;

use crate::roles::RoleState;

/// What a disk has that takes nothing more.
#[derive(Clone, Debug)]
pub(crate) struct Durable {
    memory: Memory,
    ledger: Vec<(usize, PowerReceipt)>,
    shuns: ShunList,
}

/// One host, and everything about it.
#[derive(Clone, Debug)]
pub(crate) struct HostState {
    pub(crate) name: NodeName,
    // The machine.
    pub(crate) powered: bool,
    pub(crate) up: bool,
    pub(crate) boots_at: Option<u64>,
    pub(crate) linked: bool,
    pub(crate) bmc: bool,
    pub(crate) noded: bool,
    /// Instances run on it.
    pub(crate) instances: bool,
    /// What its wall clock is ahead, in seconds.
    pub(crate) ahead: i64,
    // Pacemaker on it, and Pacemaker's view of it.
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
    // Ganeti's record of it, and its own belief.
    pub(crate) ganeti: Node,
    pub(crate) changed: u64,
    pub(crate) marked: bool,
    pub(crate) believes_master: usize,
    // What it keeps on disk: receipts of what it did to whom, and its memory.
    pub(crate) ledger: Vec<(usize, PowerReceipt)>,
    pub(crate) memory: Memory,
    // The master role on it, its copy of the configuration, its shun list.
    pub(crate) role: RoleState,
    /// Nothing can be written on its disk, which has this: what came later is kept in `/run`, until the next boot.
    pub(crate) full: Option<Box<Durable>>,
    // For the invariants.
    /// Its record is ours, and nobody has touched it.
    pub(crate) our_record: bool,
    /// Every fencing that truly succeeded, and when.
    pub(crate) truly_fenced: Vec<(u64, Grade)>,
    /// When Ganeti last said online again.
    pub(crate) readmitted: Option<u64>,
    /// The drain is ours, and nobody touched it.
    pub(crate) our_drain: bool,
}

impl HostState {
    /// A host that runs, in a cluster where everything is well.
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
            marked: false,
            believes_master: master,
            ledger: Vec::new(),
            role,
            full: None,
            our_record: false,
            memory: Memory::default(),
            truly_fenced: Vec::new(),
            readmitted: None,
            our_drain: false,
        }
    }

    /// Whether the others hear its cluster stack.
    pub(crate) const fn is_heard(&self) -> bool {
        self.up && self.stack && self.linked
    }

    /// Whether it is able to reconcile.
    pub(crate) const fn looks(&self) -> bool {
        self.up && self.stack
    }

    /// It stops, whatever it did.
    pub(crate) fn stop(&mut self) {
        self.role.stop();
        if let Some(durable) = &self.full {
            let Durable { memory, ledger, shuns } = (**durable).clone();
            (self.memory, self.ledger, self.role.shuns) = (memory, ledger, shuns);
        }
        self.up = false;
        self.stack = false;
        self.instances = false;
        self.boots_at = None;
    }

    /// Its disk is full from now on, or takes again what is kept beside it.
    pub(crate) fn fill(&mut self, full: bool) {
        let durable =
            || Durable { memory: self.memory.clone(), ledger: self.ledger.clone(), shuns: self.role.shuns.clone() };
        self.full = full.then(|| Box::new(durable()));
    }

    pub(crate) fn reset_breaker(&mut self) {
        let breaker: Breaker = std::mem::take(&mut self.memory.breaker);
        self.memory.breaker = breaker.reset();
    }
}
