//! Holds what is long-lived or orders steps: the reconciler, the self-fence daemon, the code that applies and
//! coordinates shunning, recorded power actions and the survey of the other nodes.
//!
//! It uses `core`, `sys` and `power`; the programs use it.

pub mod power_action;
pub mod reconciler;
pub mod recovery;
pub mod self_fence;
pub mod shun;
pub mod survey;
