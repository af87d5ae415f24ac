//! A lab whose cluster gnt-ha protects: our programs are installed on each host, Ganeti uses `ganeti-oob`, and
//! Pacemaker uses `fence_ganeti` and the roles.

pub mod dice;
pub mod protect;
pub mod receipts;
pub mod roles;
pub mod story;
pub mod witness;

/// Returns the name of a lab; `GNT_HA_LAB_PREFIX` is put before it, so that two of a kind can run on one machine.
#[must_use]
pub fn lab_name(name: &str) -> String {
    std::env::var("GNT_HA_LAB_PREFIX").unwrap_or_default() + name
}
