//! The simulated Pacemaker, as far as the decisions use it: membership, fencing, the master role, notifications.

use gnt_ha::core::grade::Grade;
use gnt_ha::core::receipt::{Action, Outcome};
use gnt_ha::core::reconcile::{Delegate, Fence, FenceAction, FenceStatus, Membership, PowerReceipt};

use crate::command::{Device, Host};
use crate::world::World;

/// corosync's token timeout, in s.
const TOKEN: u64 = 3;

/// The time from a detected loss to the end of its fencing, in s.
const FENCING: u64 = 1;

/// The time until a failed fencing is tried again, in s.
const FENCING_RETRY: u64 = 60;

/// The time from the start of the cluster stack until the node is online, in s.
const JOIN: u64 = 2;

/// The time that the master role takes to start on another node, in s.
pub(crate) const TAKEOVER: u64 = 10;

impl World {
    /// Simulates 1 s of Pacemaker.
    pub(crate) fn pacemaker(&mut self) {
        for host in 0..self.hosts.len() {
            self.membership(host);
        }
        let mut fenced = Vec::new();
        if self.has_quorum() && !self.maintenance {
            for host in 0..self.hosts.len() {
                let due = self.hosts[host].fence_at.is_some_and(|at| at <= self.now);
                if due && self.hosts[host].member == Membership::Unclean {
                    self.fence(host, self.fence_with, self.hosts[host].bmc || !self.device.has_bmc());
                    if self.hosts[host].member == Membership::Absent {
                        fenced.push(host);
                    }
                }
            }
        }
        // Pacemaker 2.1.5 names only one of them.
        if let Some(named) = fenced.first().filter(|_| !self.muted) {
            self.say(&format!("notify: post-stop, stonith, n{}", named + 1));
            self.triggered.extend(0..self.hosts.len());
        }
        self.role();
    }

    fn membership(&mut self, host: Host) {
        let now = self.now;
        let state = &mut self.hosts[host];
        let connected = state.is_connected();
        match state.member {
            Membership::ShuttingDown if state.leaves_at.is_some_and(|at| at <= now) => {
                state.leaves_at = None;
                state.stack = false;
                state.member = Membership::Absent;
                self.say(&format!("n{} has left", host + 1));
            }
            Membership::Unknown => {}
            Membership::Absent if connected => {
                state.member = Membership::Pending;
                state.joins_at = Some(now + JOIN);
            }
            Membership::Unclean if connected && self.maintenance => {
                state.member = Membership::Pending;
                state.joins_at = Some(now + JOIN);
                state.lost_at = None;
            }
            Membership::Absent | Membership::Unclean => {}
            member if connected => {
                state.lost_at = None;
                if member == Membership::Pending && state.joins_at.is_some_and(|at| at <= now) {
                    state.joins_at = None;
                    state.member = if state.standby { Membership::Standby } else { Membership::Online };
                    self.say(&format!("n{} has joined", host + 1));
                }
            }
            _ => {
                let lost_at = *state.lost_at.get_or_insert(now);
                if lost_at + TOKEN <= now {
                    state.member = Membership::Unclean;
                    state.leaves_at = None;
                    state.fence_at = Some(now + FENCING);
                    self.say(&format!("n{} is lost", host + 1));
                }
            }
        }
    }

    pub(crate) fn has_quorum(&self) -> bool {
        let connected = self.hosts.iter().filter(|host| host.is_connected()).count();
        let of = self.hosts.iter().filter(|host| host.member != Membership::Unknown).count();
        // corosync's two_node: one of two nodes is enough.
        !self.quorum_lost && (connected * 2 > of || of == 2 && connected == 1)
    }

    /// Returns the node that runs the fence agent.
    fn delegate(&self, victim: Host) -> Option<Host> {
        (0..self.hosts.len()).find(|host| *host != victim && self.hosts[*host].is_connected())
    }

    /// Fences a node, by Pacemaker's own decision or at a request.
    pub(crate) fn fence(&mut self, host: Host, action: FenceAction, succeeds: bool) {
        let Some(by) = self.delegate(host) else { return };
        let status = if succeeds { FenceStatus::Success } else { FenceStatus::Failed };
        let (word, end) = match action {
            FenceAction::Off => ("off", "success"),
            FenceAction::Reboot => ("reboot", "success"),
            FenceAction::On => ("on", "success"),
        };
        let end = if succeeds { end } else { "failed" };
        self.say(&format!("fence {word} n{}: {end}, by n{}", host + 1, by + 1));
        let asked = match action {
            FenceAction::Off => Action::Off,
            FenceAction::Reboot => Action::Reboot,
            FenceAction::On => Action::On,
        };
        let grade = match (self.device, action) {
            _ if !succeeds => Grade::Unknown,
            (_, FenceAction::On) => Grade::Unknown,
            (Device::Ganeti | Device::Other, FenceAction::Off) => Grade::Off,
            (Device::Ganeti | Device::Other, _) => Grade::Bounded,
            (Device::Sbd | Device::Watchdog, _) => Grade::Bounded,
            (Device::Shun | Device::Scsi, _) => Grade::Isolated,
            (Device::Unknown, _) => Grade::Unknown,
        };
        if self.device.is_ours() {
            let outcome = if succeeds { Outcome::Done } else { Outcome::Unknown };
            let proven_by = if self.device == Device::Shun { "peers" } else { "bmc" };
            // A receipt has the grade before the host was switched on again.
            let written = if grade == Grade::Bounded { Grade::Off } else { grade };
            let receipt = self.receipt(by, asked, outcome, written, proven_by);
            self.hosts[by].receipts.push((host, receipt));
        }
        let completed_ms = Some(self.wall_ms(by, self.now));
        let delegate = match self.device {
            Device::Watchdog => Delegate::Watchdog,
            _ => Delegate::Host(self.hosts[by].name.clone()),
        };
        self.hosts[host].fences.push(Fence { action, status, completed_ms, delegate });
        if !succeeds {
            self.hosts[host].fence_at = Some(self.now + FENCING_RETRY);
            return;
        }
        match self.device {
            Device::Shun => self.hosts[host].linked = false,
            Device::Scsi | Device::Unknown => {}
            Device::Sbd | Device::Watchdog => self.switch(host, FenceAction::Reboot),
            Device::Ganeti | Device::Other => self.switch(host, action),
        }
        if action != FenceAction::On {
            self.hosts[host].truly_fenced.push((self.now, grade));
            if self.roles.is_some() {
                self.shun(host, by);
            }
            self.is_fenced(host);
        }
    }

    /// Sets Pacemaker's state of a node whose fencing succeeded.
    fn is_fenced(&mut self, host: Host) {
        let state = &mut self.hosts[host];
        state.lost_at = None;
        state.leaves_at = None;
        state.joins_at = None;
        state.fence_at = None;
        if state.member != Membership::Unknown {
            state.member = Membership::Absent;
        }
        // A node that learns that it was fenced stops its cluster stack (fence-reaction=stop).
        state.stack = false;
    }

    /// An administrator confirms the fencing; the machine is not affected.
    pub(crate) fn confirm(&mut self, host: Host) {
        let completed_ms = Some((crate::world::BEGIN + self.now) * 1_000);
        let (action, status) = (FenceAction::Off, FenceStatus::Success);
        self.hosts[host].fences.push(Fence { action, status, completed_ms, delegate: Delegate::Human });
        self.hosts[host].truly_fenced.push((self.now, Grade::Off));
        self.is_fenced(host);
    }

    /// Runs `fence_ganeti` by hand: Pacemaker is not notified.
    pub(crate) fn by_hand(&mut self, host: Host, receipt: PowerReceipt) {
        let stopped = receipt.grade == Grade::Off && matches!(receipt.outcome, Outcome::Done | Outcome::OffOnly);
        match receipt.action {
            Action::On if receipt.outcome == Outcome::Done || receipt.unfinished => self.switch(host, FenceAction::On),
            Action::Off if stopped => self.switch(host, FenceAction::Off),
            Action::Reboot | Action::Cycle if stopped && receipt.outcome == Outcome::OffOnly => {
                self.switch(host, FenceAction::Off);
            }
            Action::Reboot | Action::Cycle if stopped => self.switch(host, FenceAction::Reboot),
            _ => {}
        }
        let proves = matches!(receipt.outcome, Outcome::Done | Outcome::OffOnly | Outcome::Unchanged);
        if proves && receipt.action != Action::On && receipt.grade > Grade::Unknown {
            self.hosts[host].truly_fenced.push((self.now, receipt.grade));
        }
        let master = self.master;
        self.hosts[master].receipts.push((host, receipt));
    }

    pub(crate) fn heal(&mut self, host: Host) {
        self.hosts[host].linked = true;
    }

    pub(crate) fn stop_stack(&mut self, host: Host) {
        let now = self.now;
        let state = &mut self.hosts[host];
        if state.member.is_member() && state.is_connected() {
            state.member = Membership::ShuttingDown;
            state.leaves_at = Some(now + 1);
        }
    }

    pub(crate) fn start_stack(&mut self, host: Host) {
        let now = self.now;
        let state = &mut self.hosts[host];
        if state.up && !state.stack && state.member != Membership::Unknown {
            state.stack = true;
            state.stack_started = now.max(1);
        }
    }

    pub(crate) fn standby(&mut self, host: Host, on: bool) {
        let state = &mut self.hosts[host];
        state.standby = on;
        state.member = match state.member {
            Membership::Online if on => Membership::Standby,
            Membership::Standby if !on => Membership::Online,
            other => other,
        };
    }

    /// Moves the master role: it leaves a node that may not run it, and starts on another after a while.
    fn role(&mut self) {
        if self.roles.is_some() {
            self.role_by_agents();
            return;
        }
        if !self.role_managed || !self.has_quorum() || self.maintenance {
            return;
        }
        if let Some(host) = self.role_on {
            match self.hosts[host].member {
                Membership::Online => return,
                // The role does not move before the node is fenced.
                Membership::Unclean => return,
                _ if self.hosts[host].lost_at.is_some() => return,
                _ => {
                    self.role_on = None;
                    self.role_moves_at = Some(self.now + TAKEOVER);
                }
            }
        }
        if self.role_moves_at.is_some_and(|at| at <= self.now) {
            let next = (0..self.hosts.len()).find(|host| {
                let state = &self.hosts[*host];
                state.member == Membership::Online && state.is_connected() && state.ganeti.master_candidate
            });
            if let Some(next) = next {
                self.role_moves_at = None;
                self.role_on = Some(next);
                self.becomes_master(next);
            }
        }
    }
}
