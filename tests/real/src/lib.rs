//! A lab whose cluster gnt-ha protects: our programs installed on each host, Ganeti told of `ganeti-oob`, Pacemaker of
//! `fence_ganeti`.

pub mod protect;
pub mod receipts;
pub mod story;
