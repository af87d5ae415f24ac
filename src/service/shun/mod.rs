//! Applies shunning on this host, and answers with what this host knows; touches the shun list, the kernel's rules and
//! the files that `sys` reads.
//!
//! [`applier`] is the entry point. `stored` reads the shun list from the disk, and `protected` decides what is never
//! shunned. [`own`] decides which missing answers this host's own rules may cause. [`peer_reports`] keeps the answers
//! of other nodes. [`crate::sys::nft::shun_table`] holds the rules.

pub mod applier;
pub mod error;
pub mod own;
pub mod peer_reports;
mod protected;
mod stored;
