//! The commands of a script.

use gnt_ha::core::ganeti::tags::Mode;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::receipt::{Action, Outcome};
use gnt_ha::core::reconcile::FenceAction;

/// A node, by its place: n1 is 0.
pub type Host = usize;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The host loses its power; its BMC stays.
    PowerCut(Host),
    /// Somebody presses the button.
    PowerOn(Host),
    /// The kernel dies, the power stays.
    Crash(Host),
    /// The host's network is cut.
    Cut(Host),
    /// And healed.
    Heal(Host),
    /// The BMC answers or not.
    Bmc(Host, bool),
    /// noded answers or not, while the host is up.
    Noded(Host, bool),
    /// The cluster stack is stopped gracefully.
    StopStack(Host),
    /// And started.
    StartStack(Host),
    /// Whether the cluster stack starts at boot.
    Autostart(Host, bool),
    /// Pacemaker's standby.
    Standby(Host, bool),
    /// Somebody has Pacemaker fence it: action, and whether it succeeds.
    Fence(Host, FenceAction, bool),
    /// `stonith_admin --confirm`.
    Confirm(Host),
    /// `fence_ganeti` by hand on the master's host.
    Receipt(Host, Action, Outcome, Grade),
    /// The same, interrupted: it leaves an intent and no receipt.
    Begun(Host, Action),
    /// The pause, with its reason.
    Pause(String),
    /// Its end.
    Resume,
    /// Pacemaker's maintenance mode.
    Maintenance(bool),
    /// Quorum is lost, or as the members make it.
    QuorumLost(bool),
    /// The setting.
    LeastGrade(Grade),
    /// The setting.
    DeviceGrade(Grade),
    /// The setting.
    Drain(bool),
    /// The setting.
    PowerOff(bool),
    /// What Pacemaker fences with; no other device is configured.
    Device(Device),
    /// Another device that is configured, too.
    Beside(Device),
    /// A level of the node's fencing topology: all of these devices.
    Topology(Host, Vec<Device>),
    /// Pacemaker may trust the watchdog, whatever else there is (`stonith-watchdog-timeout`).
    WatchdogTimeout,
    /// The configuration names the agent that is not known as one that switches power.
    PowerAgent,
    /// What Pacemaker does with a lost node.
    FenceWith(FenceAction),
    /// Notifications are muted or not.
    NotifyMuted(bool),
    /// The administrator's `gnt-cluster master-failover`.
    MasterFailover(Host),
    /// Pacemaker manages no master role.
    RoleUnmanaged,
    /// Pacemaker has the nodes by names with a domain, Ganeti without one, or both have the same.
    NamesDiffer(bool),
    /// The node is none of Pacemaker's.
    Outside(Host),
    /// The administrator's `gnt-node add --readd`.
    Readd(Host),
    /// The administrator's `gnt-node modify`.
    Modify(Host, Flag, bool),
    /// The administrator changes something of the node's record that is no flag.
    Touch(Host),
    /// Pacemaker's fence history of the node is gone.
    HistoryGone(Host),
    /// The host's memory is gone.
    Forget(Host),
    /// The host's wall clock is set by so many seconds.
    Clock(Host, i64),
    /// The administrator resets the breaker.
    BreakerReset,
    /// Ganeti's jobs work or fail.
    Jobs(bool),
    /// The receipts of all hosts are read, or only one's own.
    LedgersOfAll(bool),
    /// noded is asked or not.
    AskNoded(bool),
    /// The host looks now.
    Reconcile(Host),
    /// The master role is decided by its agents, in partial or full mode; nodes that were fenced are shunned.
    Roles(Mode),
    /// The host's copy of the configuration names this master, with this serial number.
    Copy(Host, Host, u64),
    /// confd answers or not, while the host is up.
    Confd(Host, bool),
    /// luxid stops serving.
    LuxidStopped(Host),
    /// The administrator's `gnt-ha readmit`.
    Readmit(Host),
    /// Nothing can be written on the host's disk, or again.
    DiskFull(Host, bool),
}

/// What a fence device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// `fence_ganeti`, with a BMC.
    Ganeti,
    /// `fence_virsh`, which is told the host, with a BMC's power: it leaves no receipt.
    Other,
    /// `fence_ganeti`, which only isolates.
    Shun,
    /// `fence_scsi`: the host runs on, without its disks.
    Scsi,
    /// `fence_sbd`: the host resets itself.
    Sbd,
    /// Pacemaker's own watchdog fencing: the host resets itself, and no device was asked.
    Watchdog,
    /// An agent that nobody knows (`fence_mine`): it does nothing at all.
    Unknown,
}

impl Device {
    /// Its words in a script, and its agent in Pacemaker.
    pub const ALL: [(&str, Self, &str); 7] = [
        ("fence_ganeti", Self::Ganeti, "fence_ganeti"),
        ("other", Self::Other, "fence_virsh"),
        ("shun", Self::Shun, "fence_ganeti"),
        ("fence_scsi", Self::Scsi, "fence_scsi"),
        ("sbd", Self::Sbd, "fence_sbd"),
        ("watchdog", Self::Watchdog, "fence_watchdog"),
        ("unknown", Self::Unknown, "fence_mine"),
    ];

    /// Its agent in Pacemaker.
    #[must_use]
    pub fn agent(self) -> &'static str {
        Self::ALL.iter().find(|(_, device, _)| *device == self).map_or("", |(.., agent)| agent)
    }

    /// Its id in Pacemaker: the same for what is the same device.
    #[must_use]
    pub fn id(self) -> &'static str {
        if self == Self::Watchdog { "watchdog" } else { self.agent() }
    }

    /// Whether it leaves a receipt of ours.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Ganeti | Self::Shun)
    }

    /// Whether it needs a BMC.
    #[must_use]
    pub const fn has_bmc(self) -> bool {
        matches!(self, Self::Ganeti | Self::Other)
    }
}

/// A flag of Ganeti's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// `offline`.
    Offline,
    /// `drained`.
    Drained,
    /// `master_capable`.
    MasterCapable,
    /// Whether it has an OOB program.
    OobProgram,
}
