//! Holds what is long-lived or orders steps: the reconciler, the self-fence daemon, and the code that applies shunning.
//!
//! It uses `core` and `sys`; the programs use it.

pub mod reconciler;
pub mod self_fence;
pub mod shun;
