//! Parsers and types for Pacemaker's configuration, state, simulations and notifications. Pure.

pub mod cib;
pub mod crm_mon;
pub mod duration;
pub mod fence_score;
pub mod fencing;
pub mod names;
pub mod notification;
mod pattern;
pub mod property;
pub mod resources;
pub mod simulation;
pub mod standby;
pub mod state;
pub mod tree;
mod value;
mod xml;
