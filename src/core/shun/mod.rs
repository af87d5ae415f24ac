//! Shunning: every survivor refuses a lost node, and what that proves.
//!
//! [`register`] is what each node remembers of who is refused; [`words`] is what nodes ask of each other; [`terms`] holds
//! the times and the wait that self-fencing asks for; [`readmission`] who comes back, [`lease`] decides on the armed node whether it may run on; [`verdict`]
//! decides on the shunning side what is proven, by [`stand`] (how each peer stands) and [`last_state`] (what is known of the
//! self-fencing); [`memory`] is for how long it may be remembered. [`expiry`] is the time of a watchdog, [`measurement`] how it is measured, and [`readiness`] when a boot may serve. The argument is in `docs/shunning.md`, and the model that checks it
//! (`tests/model`) runs these very functions.

pub mod belief;
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
pub mod verdict;
