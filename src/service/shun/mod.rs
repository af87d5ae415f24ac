//! Applies shunning on this host, and coordinates it on all nodes; touches the shun list, the kernel's rules and the
//! files that `sys` reads.
//!
//! On this host, [`applier`] is the entry point. `stored` reads the shun list from the disk, and `protected` decides
//! what is never shunned. [`own`] decides which missing answers this host's own rules may cause. [`peer_reports`] keeps
//! the answers of other nodes. [`crate::sys::nft::shun_table`] holds the rules. [`peer`] answers another node.
//!
//! On all nodes, [`coordinator`] sends shun list entries and collects the answers; `proof` evaluates what they prove,
//! and `rehearse` predicts it. [`device`] is the driver `shun` of the power layer. [`after_power`] shuns a node that
//! another device has proven off. [`manual`] and [`readmit`] carry out an administrator's command. [`sync`] keeps every
//! node's shun list up to date. [`receipts`] asks another host for its receipts, and
//! [`drbd_seen`] other nodes for what they have seen of their DRBD disks.

pub mod after_power;
pub mod applier;
pub mod coordinator;
pub mod device;
pub mod drbd_seen;
pub mod error;
pub mod manual;
pub mod order_error;
pub mod own;
pub mod peer;
pub mod peer_reports;
mod proof;
mod protected;
pub mod readmit;
pub mod receipts;
mod rehearse;
pub mod round_result;
mod stored;
pub mod sync;
