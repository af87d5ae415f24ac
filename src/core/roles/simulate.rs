//! The conditions that a file on one host simulates, to rehearse what the roles would do. Names only: an adapter reads
//! the directory.

/// A simulated condition. Its file is in `/var/lib/gnt-ha/simulate/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Simulated {
    /// luxid does not answer.
    FailedMasterDaemon,
    /// The master IP is not on this host.
    MissingMasterIp,
    /// This node is neither the master nor a master candidate.
    WrongRole,
    /// noded does not answer.
    UnresponsiveNoded,
    /// confd does not answer.
    UnresponsiveConfd,
    /// The root file system cannot be written.
    ReadOnlyRoot,
}

impl Simulated {
    /// All conditions, in the order of the manual page.
    pub const ALL: [Self; 6] = [
        Self::FailedMasterDaemon,
        Self::MissingMasterIp,
        Self::WrongRole,
        Self::UnresponsiveNoded,
        Self::UnresponsiveConfd,
        Self::ReadOnlyRoot,
    ];

    /// Returns the name of the condition's file.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::FailedMasterDaemon => "failed-master-daemon",
            Self::MissingMasterIp => "missing-master-ip",
            Self::WrongRole => "wrong-role",
            Self::UnresponsiveNoded => "unresponsive-noded",
            Self::UnresponsiveConfd => "unresponsive-confd",
            Self::ReadOnlyRoot => "read-only-root",
        }
    }

    /// Returns what the condition simulates, for the manual page.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::FailedMasterDaemon => "ganeti-master-role: luxid does not answer (full mode)",
            Self::MissingMasterIp => "ganeti-master-role: the master IP is not on this host (full mode)",
            Self::WrongRole => "ganeti-master-role: this node is neither the master nor a master candidate",
            Self::UnresponsiveNoded => "ganeti-node-role: noded does not answer (full mode)",
            Self::UnresponsiveConfd => "ganeti-node-role: confd does not answer (full mode)",
            Self::ReadOnlyRoot => "ganeti-node-role: the root file system cannot be written (full mode)",
        }
    }
}
