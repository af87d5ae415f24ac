//! How much a node is wanted to run the fence device, by what the node itself says: a transient node attribute that a rule of a
//! location constraint takes as its score.
//!
//! Only the scheduler reads it. Pacemaker's fencer reads the rule without the status section (`pcmk_sched_location_only`,
//! `daemons/fenced/fenced_scheduler.c`; `pe_flag_quick_location` before 2.1.7), so that it keeps no node from fencing: there the
//! device's own answer to `list` counts, which each node gives for itself. So a cluster that has just started, or in which nodes
//! have died faster than anything could be changed, fences from whichever node can.

/// The node attribute. A node that has not said anything yet may run the device.
pub const ATTRIBUTE: &str = "gnt-ha-fence-score";

/// What a node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MayFence {
    /// It lacks what is needed.
    No,
    /// It has what is needed, as a copy.
    Yes,
    /// It has what is needed, and holds Ganeti's configuration.
    Candidate,
}

impl MayFence {
    /// The score, as Pacemaker writes it.
    #[must_use]
    pub const fn score(self) -> &'static str {
        match self {
            Self::No => "-INFINITY",
            Self::Yes => "100",
            Self::Candidate => "200",
        }
    }
}
