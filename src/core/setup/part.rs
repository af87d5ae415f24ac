//! A part of what `gnt-ha setup` makes, and how it differs from the present configuration.

use serde::Serialize;

use super::compare::differs;
use crate::core::config::{Digest, FULL_MEMBERS_MOST};
use crate::core::pacemaker::resources::{Primitive, Resources};

/// The beginning of the id of each element that setup makes.
pub const PREFIX: &str = "gnt-ha-";

/// The options of `gnt-ha setup`, by which the administrator chooses what is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetupOptions {
    /// The master role as one resource, not as a promotable clone.
    pub primitive: bool,
    /// Each node's health, as `ganeti-node-role` sees it, decides where Pacemaker's other resources run.
    pub health: bool,
    /// corosync has a quorum device, which decides which of two separated nodes goes on.
    pub has_device: bool,
    /// How many nodes may all be full members; of more, those that are no master candidates are to be remote nodes.
    pub members: usize,
    /// The configuration for fencing by hosts that are not master candidates; `None` leaves the present one.
    pub digest: Option<Digest>,
}

impl Default for SetupOptions {
    fn default() -> Self {
        Self { primitive: false, health: false, has_device: false, members: FULL_MEMBERS_MOST, digest: None }
    }
}

/// One element of the configuration that `gnt-ha setup` makes, with its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What the element is for, in one line.
    pub description: String,
    /// Its section of the configuration: `crm_config`, `resources`, `constraints`, `alerts`; [`GANETI`] for a change of Ganeti's own configuration.
    pub section: &'static str,
    /// As Pacemaker's XML; of what is to be removed, the id alone.
    pub xml: String,
    /// The commands of pcs(8) that make it, one a line.
    pub pcs: Vec<String>,
    /// For crmsh, a line for `crm configure` each; what is not crmsh's, as a comment.
    pub crm: Vec<String>,
    /// How the part differs from the present configuration.
    #[serde(flatten)]
    pub state: PartState,
}

/// How a part differs from the present configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "why")]
pub enum PartState {
    /// The element is absent, and is to be added.
    Add,
    /// The element was made by setup and differs.
    Change(String),
    /// The element was made by setup and is no longer needed.
    Remove(String),
    /// The element is as it should be.
    Unchanged,
    /// Another administrator's part does the same, and is left as it is.
    Foreign(String),
    /// The element differs, and this program cannot change it.
    Manual(String),
}

impl PartState {
    /// Whether something is to be done.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Add | Self::Change(_) | Self::Remove(_))
    }

    /// Returns whether the administrator has to do it.
    #[must_use]
    pub const fn is_by_hand(&self) -> bool {
        matches!(self, Self::Manual(_))
    }

    /// Whether something is to be taken away.
    #[must_use]
    pub const fn removes(&self) -> bool {
        matches!(self, Self::Remove(_))
    }
}

/// The section of what is not Pacemaker's, but Ganeti's.
pub const GANETI: &str = "ganeti";

/// The reason why no node is preferred.
pub(super) const DECIDED: &str = "corosync's quorum device decides which of two nodes goes on";

pub(super) const DEVICE: &str = "gnt-ha-fence";
pub(super) const MASTER: &str = "gnt-ha-master";
pub(super) const MASTER_CLONE: &str = "gnt-ha-master-clone";
pub(super) const NODE: &str = "gnt-ha-node";
pub(super) const NODE_CLONE: &str = "gnt-ha-node-clone";
pub(super) const ALERT: &str = "gnt-ha-alert";

/// Compares an element of setup's with the present one, as both are read.
pub(super) fn state(xml: &str, outer: &str, theirs: Option<&Primitive>, resources: &Resources) -> PartState {
    if let Some(theirs) = theirs {
        return PartState::Foreign(format!("{} does it", theirs.outer));
    }
    let Some(there) = resources.primitives.iter().find(|primitive| primitive.outer == outer) else {
        let other_kind = resources
            .primitives
            .iter()
            .find(|primitive| outer.starts_with(&primitive.id) || primitive.outer.starts_with(outer));
        return other_kind.filter(|other| other.id == MASTER).map_or(PartState::Add, |other| {
            PartState::Foreign(format!("{} does it in the other form (gnt-ha setup --remove, then again)", other.outer))
        });
    };
    let whole = format!("<cib><configuration><resources>{xml}</resources></configuration></cib>");
    let wanted = Resources::parse(&whole).ok().and_then(|read| read.primitives.into_iter().next());
    let differs =
        wanted.as_ref().map_or_else(|| Some("it cannot be compared".to_owned()), |wanted| differs(wanted, there));
    differs.map_or(PartState::Unchanged, PartState::Change)
}
