//! Runs self-fencing on this node: a watchdog that gets keepalives only while a majority of the master candidates
//! grants the lease of this node.
//!
//! [`daemon`] is the loop and touches the watchdog. `rounds` asks the candidates; [`arming`] asks them once before
//! self-fencing is armed. [`state`] holds what the administrator wants and what the daemon reports of itself.
//! `before_reset` stops the instances before the watchdog resets the host. [`measured`] keeps how long the watchdog was
//! seen to take, and [`host`] reads whether the host is virtual. [`crate::sys::watchdog`] is the device.
//! [`crate::sys::signed_echo`] is what the daemons of two nodes send each other. [`crate::core::shun::lease`] decides.

pub mod arming;
mod before_reset;
pub mod daemon;
pub mod error;
pub mod host;
pub mod measured;
mod rounds;
pub mod state;
