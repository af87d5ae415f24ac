//! The self-fence of this node: a watchdog that gets keepalives only while a majority of the master candidates lets this node run.
//!
//! [`daemon`] is the loop, `rounds` asks the candidates, [`arming`] asks them once before the self-fence is armed, [`state`] is what
//! the administrator wants and what the daemon reports of itself, `before_reset` is what is done before the watchdog resets the host,
//! [`measured`] is how long this watchdog was seen to take. [`crate::sys::watchdog`] is the device, [`crate::sys::signed_echo`] what
//! the daemons of two nodes send to each other. [`crate::core::shun::lease`] decides.

pub mod arming;
mod before_reset;
pub mod daemon;
pub mod host;
pub mod measured;
mod rounds;
pub mod state;
