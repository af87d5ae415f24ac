//! What Pacemaker reports of the nodes: membership, the master role, the fence history.

use serde::Serialize;

use crate::core::fence_agents::WATCHDOG;
use crate::core::node::NodeName;

/// Pacemaker's state of a node (`crm_mon`'s `<node online standby pending unclean shutdown>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// Pacemaker has no such node, or could not be asked.
    Unknown,
    /// No member, and clean: it was fenced, or left gracefully. Only the fence history shows which.
    Absent,
    /// To be fenced, whether it is a member or not.
    Unclean,
    /// In the membership, and not yet in the cluster.
    Pending,
    /// A member that may run resources.
    Online,
    /// A member that shall run nothing.
    Standby,
    /// A member that is leaving gracefully.
    ShuttingDown,
}

impl Membership {
    /// Returns whether the node is seen in the membership: then it runs.
    #[must_use]
    pub const fn is_member(self) -> bool {
        matches!(self, Self::Pending | Self::Online | Self::Standby | Self::ShuttingDown)
    }
}

/// One entry of Pacemaker's fence history (`<fence_event>` of `stonith_admin -H`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fence {
    /// The action that was requested of the fence device.
    pub action: FenceAction,
    /// How the fencing ended, as the fencer of the delegate reported it.
    pub status: FenceStatus,
    /// When it ended, in milliseconds since 1970; none while it is pending.
    pub completed_ms: Option<u64>,
    /// The host that executed the fencing, or the administrator who confirmed it.
    pub delegate: Delegate,
}

/// The action of a [`Fence`], which decides what its success can prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FenceAction {
    /// The target is switched off and stays off.
    Off,
    /// The target is switched off, then on: it runs again soon.
    Reboot,
    /// On: unfencing, no proof of anything.
    On,
}

/// The status of a [`Fence`]: only a success can be a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FenceStatus {
    /// The fence device reported success; its kind decides what that proves.
    Success,
    /// The fencing failed: the state of the node is unknown.
    Failed,
    /// The fencing has not ended, so that nothing is known of the target.
    Pending,
}

/// Who executed a [`Fence`], which decides whose receipt can prove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delegate {
    /// A device, run by this host.
    Host(NodeName),
    /// `a human`: `stonith_admin --confirm`.
    Human,
    /// `watchdog`: the node is trusted to have reset itself.
    Watchdog,
    /// The history does not name it.
    Unnamed,
}

impl Delegate {
    /// Who fenced a node that was confirmed to be off (`stonith_admin --confirm`), as Pacemaker has it.
    pub const HUMAN: &str = "a human";
}

/// As Pacemaker names it; null for an unnamed delegate.
impl Serialize for Delegate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Host(name) => name.serialize(serializer),
            Self::Human => serializer.serialize_str(Self::HUMAN),
            Self::Watchdog => serializer.serialize_str(WATCHDOG),
            Self::Unnamed => serializer.serialize_none(),
        }
    }
}

/// Where Pacemaker has the master role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterRoleState {
    /// Pacemaker manages no such resource: Ganeti's own configuration decides alone.
    Unmanaged,
    /// The role is active on no host: it is stopped, or moves.
    Inactive,
    /// Active there: starting, started or promoted.
    ActiveOn(NodeName),
}
