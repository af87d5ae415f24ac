//! Ganeti's own words: its configuration, its tags, its jobs, its out-of-band contract.

pub mod config;
pub mod drbd;
pub mod hooks;
pub mod instances;
pub mod network;
pub mod offline_job;
pub mod oob;
pub mod programs;
pub mod ssconf;
pub mod tags;
