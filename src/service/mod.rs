//! Holds what is long-lived or orders steps: the reconciler, the self-fence daemon, the code that applies and
//! coordinates shunning, recorded power actions, the setup, the steps of Ganeti's hooks and the survey of the other
//! nodes.
//!
//! It uses `core`, `sys` and `power`; the programs use it.

pub mod bmc_identities;
pub mod hook;
pub mod power_action;
pub mod reconciler;
pub mod recovery;
pub mod self_fence;
pub mod setup;
pub mod shun;
pub mod simulation;
pub mod survey;
