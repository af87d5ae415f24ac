//! Ganeti on this host: its files, its daemons and their protocols.

pub mod confd;
pub mod daemon_util;
pub mod files;
pub mod hail;
pub mod luxi;
pub mod network;
pub mod noded_call;
pub mod peer_channel;
pub mod programs;
pub mod running_instances;
pub mod ssconf;
mod ssh_options;
