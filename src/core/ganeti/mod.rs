//! Parsers and types for Ganeti's configuration, tags, hooks, jobs and out-of-band contract. Pure.

pub mod config;
pub mod drbd;
pub mod hooks;
pub mod instances;
pub mod network;
pub mod offline_job;
pub mod oob;
pub mod programs;
pub mod record_version;
pub mod ssconf;
pub mod tags;

/// The UDP port of Ganeti's confd (`DEFAULT_CONFD_PORT`, `src/Ganeti/Constants.hs`).
pub const CONFD_PORT: u16 = 1814;
