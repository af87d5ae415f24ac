//! What is long-lived or orders steps: the reconciler, the self-fence daemon, what applies shunning.
//!
//! It stands on `core` and `sys`, and the programs stand on it.

pub mod reconciler;
pub mod self_fence;
pub mod shun;
