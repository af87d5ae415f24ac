//! The commands of a scenario script.

use gnt_ha::core::ganeti::tags::Mode;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::receipt::{Action, Outcome};
use gnt_ha::core::reconcile::FenceAction;

/// The index of a node: n1 is 0.
pub type Host = usize;

/// One command of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The host loses its power; its BMC stays.
    PowerCut(Host),
    /// A person presses the power button.
    PowerOn(Host),
    /// The kernel crashes, and the power stays on.
    Crash(Host),
    /// The host's network is cut off.
    Cut(Host),
    /// The host's network works again.
    Heal(Host),
    /// Sets whether the BMC answers.
    Bmc(Host, bool),
    /// Sets whether noded answers, while the host is up.
    Noded(Host, bool),
    /// The cluster stack is stopped gracefully.
    StopStack(Host),
    /// The cluster stack is started.
    StartStack(Host),
    /// Sets whether the cluster stack starts at boot.
    Autostart(Host, bool),
    /// Sets or ends Pacemaker's standby.
    Standby(Host, bool),
    /// An administrator has Pacemaker fence the node: action, and whether it succeeds.
    Fence(Host, FenceAction, bool),
    /// An administrator confirms with `stonith_admin --confirm`.
    Confirm(Host),
    /// An administrator runs `fence_ganeti` by hand on the master's host.
    Receipt(Host, Action, Outcome, Grade),
    /// The same run is interrupted: it leaves an intent and no receipt.
    Begun(Host, Action),
    /// An administrator pauses reconciliation, with a reason.
    Pause(String),
    /// The administrator ends the pause.
    Resume,
    /// Sets or ends Pacemaker's maintenance mode.
    Maintenance(bool),
    /// Quorum is lost, or follows from the members.
    QuorumLost(bool),
    /// Changes the setting of this name.
    LeastGrade(Grade),
    /// Changes the setting of this name.
    DeviceGrade(Grade),
    /// Changes the setting of this name.
    Drain(bool),
    /// Changes the setting of this name.
    PowerOff(bool),
    /// Pacemaker's fence device; no other device is configured.
    Device(Device),
    /// Adds a fence device.
    Beside(Device),
    /// Adds a level of the node's fencing topology: all of these devices.
    Topology(Host, Vec<Device>),
    /// Pacemaker may rely on the watchdog, with or without devices (`stonith-watchdog-timeout`).
    WatchdogTimeout,
    /// gnt-ha's configuration names the unknown agent as one that switches power.
    PowerAgent,
    /// Sets Pacemaker's fencing action for a lost node.
    FenceWith(FenceAction),
    /// Sets whether notifications are muted.
    NotifyMuted(bool),
    /// The administrator runs `gnt-cluster master-failover`.
    MasterFailover(Host),
    /// Pacemaker manages no master role.
    RoleUnmanaged,
    /// Sets whether Pacemaker's node names have a domain and Ganeti's have none, or both are the same.
    NamesDiffer(bool),
    /// Pacemaker does not have the node.
    Outside(Host),
    /// The administrator runs `gnt-node add --readd`.
    Readd(Host),
    /// The administrator runs `gnt-node modify`.
    Modify(Host, Flag, bool),
    /// The administrator changes a part of the node's record that is not a flag.
    Touch(Host),
    /// Pacemaker's fence history of the node is deleted.
    HistoryGone(Host),
    /// The host's stored memory is deleted.
    Forget(Host),
    /// The host's wall clock is moved by so many seconds.
    Clock(Host, i64),
    /// The administrator resets the breaker.
    BreakerReset,
    /// Sets whether Ganeti's jobs succeed.
    Jobs(bool),
    /// Sets whether the receipts of all hosts are read, or only the own ones.
    ReceiptsOfAll(bool),
    /// Sets whether noded is asked.
    AskNoded(bool),
    /// The host reconciles now.
    Reconcile(Host),
    /// The master role is decided by its agents, in partial or full mode; nodes that were fenced are shunned.
    Roles(Mode),
    /// The host's copy of the configuration names this master, with this serial number.
    Copy(Host, Host, u64),
    /// Sets whether confd answers, while the host is up.
    Confd(Host, bool),
    /// luxid stops serving.
    LuxidStopped(Host),
    /// The administrator runs `gnt-ha readmit`.
    Readmit(Host),
    /// Sets whether the host's disk can be written.
    DiskFull(Host, bool),
}

/// The kinds of fence devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// `fence_ganeti`, with a BMC.
    Ganeti,
    /// `fence_virsh`, with the host as its plug and a BMC's power: it leaves no receipt.
    Other,
    /// `fence_ganeti`, which only isolates.
    Shun,
    /// `fence_scsi`: the host runs on, without its disks.
    Scsi,
    /// `fence_sbd`: the host resets itself.
    Sbd,
    /// Pacemaker's own watchdog fencing: the host resets itself, and no device was used.
    Watchdog,
    /// An unknown agent (`fence_mine`): it does nothing at all.
    Unknown,
}

impl Device {
    /// The kinds, with their names in a script and their agents in Pacemaker.
    pub const ALL: [(&str, Self, &str); 7] = [
        ("fence_ganeti", Self::Ganeti, "fence_ganeti"),
        ("other", Self::Other, "fence_virsh"),
        ("shun", Self::Shun, "fence_ganeti"),
        ("fence_scsi", Self::Scsi, "fence_scsi"),
        ("sbd", Self::Sbd, "fence_sbd"),
        ("watchdog", Self::Watchdog, "fence_watchdog"),
        ("unknown", Self::Unknown, "fence_mine"),
    ];

    /// Returns the agent's name in Pacemaker.
    #[must_use]
    pub fn agent(self) -> &'static str {
        Self::ALL.iter().find(|(_, device, _)| *device == self).map_or("", |(.., agent)| agent)
    }

    /// Returns the device's id in Pacemaker: the same for the same device.
    #[must_use]
    pub fn id(self) -> &'static str {
        if self == Self::Watchdog { "watchdog" } else { self.agent() }
    }

    /// Whether it leaves a receipt of gnt-ha.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Ganeti | Self::Shun)
    }

    /// Whether the device needs a BMC that answers.
    #[must_use]
    pub const fn has_bmc(self) -> bool {
        matches!(self, Self::Ganeti | Self::Other)
    }
}

/// A flag of a node in Ganeti.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// The flag `offline`.
    Offline,
    /// The flag `drained`.
    Drained,
    /// The flag `master_capable`.
    MasterCapable,
    /// Whether the node has an OOB program.
    OobProgram,
}
