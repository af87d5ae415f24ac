//! Pacemaker's own words: its configuration, its state, its notifications.

pub mod cib;
pub mod crm_mon;
pub mod notice;
mod xml;
