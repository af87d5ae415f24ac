//! Controls the power of a node: the devices of its levels, power commands, and the readings that prove a state.
//!
//! It uses `core`, `sys` and the crate `ipmi-lan`; `service` and the programs use it. [`device`] has a driver in each
//! file, [`level`] switches and reads the devices of one level, [`topology`] walks over the levels. [`commands`],
//! [`health`], [`check`] and [`query_nodes`] are what a program calls. The driver `shun` changes no power and needs the other nodes, so
//! it is in `service`, and a caller passes it as [`device::OpenShun`].

pub mod bmc_memory;
pub mod check;
pub mod commands;
pub mod device;
pub mod error;
pub mod health;
pub mod level;
pub mod owner;
pub mod query_nodes;
pub mod reading_memory;
pub mod topology;
