//! The roles with a real Pacemaker, a real Ganeti, and fencing by `fence_ganeti`.
//!
//! Each scenario ends with a check of which nodes were fenced, which is master, which are offline or drained, and that
//! no other node was affected.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

mod bmc_dead;
mod breaker;
mod by_hand;
mod cib;
mod core;
mod cut;
mod death;
mod disk;
mod examples;
mod failures;
mod flows;
mod forms;
mod full;
mod graceful;
mod held_back;
mod last_candidates;
mod moves;
mod outside;
mod page;
mod planted;
mod quorum_device;
mod remotes;
mod scene;
mod setup;
mod shunned;
mod simulate;
mod storm;
mod tutorial;
mod two_nodes;
