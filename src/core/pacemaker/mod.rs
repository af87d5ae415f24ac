//! Pacemaker's own words: its configuration, its state, its notifications.

pub mod cib;
pub mod crm_mon;
pub mod fence_score;
pub mod fencing;
pub mod names;
pub mod notification;
mod pattern;
pub mod property;
pub mod resources;
pub mod simulation;
pub mod standby;
pub mod tree;
mod xml;
