//! Shunning a lost node on this host, and reporting what this host knows.
//!
//! [`applier`] is the way in; `stored` is the shun list on the disk, `protected` what is never shunned, [`own`] which silence is
//! caused by this host's own rules, [`peer_reports`] what other nodes have reported. [`crate::sys::nft::shun_table`] holds the rules.

pub mod applier;
pub mod error;
pub mod own;
pub mod peer_reports;
mod protected;
mod stored;
