//! Holds the decisions of shunning and self-fencing; touches no clock, no file and no network.
//!
//! Every survivor shuns a lost node, and these modules decide what that proves:
//!
//! - [`list`]: the shun list of a node, with an epoch for each entry.
//! - [`messages`]: what nodes ask each other, and what they answer.
//! - [`belief`]: what counts of another node's statement.
//! - [`lease`]: whether an armed node may go on; [`lease_times`]: the times of a lease, and the wait time.
//! - [`peer_state`]: the state of each peer towards the target; [`last_state`]: what is known of the target's
//!   self-fencing.
//! - [`evaluation`]: what is proven of the target, on the side that shuns.
//! - [`memory`]: for how long a proof may be remembered.
//! - [`readmission`]: when a shunned node may be readmitted; [`readiness`]: when a boot may start instances.
//! - [`expiry`]: within which time a watchdog resets its host; [`measurement`]: how that time is measured.
//!
//! The argument is in `docs/shunning.md` and `docs/self-fencing.md`. The model that checks it (`tests/model`) runs these functions.

pub mod belief;
pub mod evaluation;
pub mod expiry;
pub mod last_state;
pub mod lease;
pub mod lease_times;
pub mod list;
pub mod measurement;
pub mod memory;
pub mod messages;
pub mod peer_state;
pub mod readiness;
pub mod readmission;
