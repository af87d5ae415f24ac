//! Builds a lab whose cluster gnt-ha protects: the programs are installed on each host, Ganeti uses `ganeti-oob`, and
//! Pacemaker uses `fence_ganeti` and the roles.

pub mod install;
pub mod observer;
pub mod progress;
pub mod receipts;
pub mod roles;
pub mod seeded_random;

/// Returns the name of a lab; `GNT_HA_LAB_PREFIX` is put before it, so that two of a kind can run on one machine.
#[must_use]
pub fn lab_name(name: &str) -> String {
    std::env::var("GNT_HA_LAB_PREFIX").unwrap_or_default() + name
}
