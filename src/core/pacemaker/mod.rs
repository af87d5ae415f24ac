//! Pacemaker's own words: its configuration, its state, its notifications.

pub mod cib;
pub mod crm_mon;
pub mod notice;
pub mod resources;
pub mod standby;
pub mod tree;
mod xml;
