//! The roles with a real Pacemaker, a real Ganeti, and fencing by `fence_ganeti`.
//!
//! Each scenario ends with a check of which nodes were fenced, which is master, which are offline or drained, and that
//! no other node was affected.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

mod administration;
mod core;
mod daemon_fails;
mod host_fails;
mod support;
