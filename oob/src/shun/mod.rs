//! Shunning from this host: sends shun list entries to every other node and evaluates the answers.
//!
//! [`peers`] sends requests. [`survivors`] knows the other nodes and their answers, `proof` what the answers prove.
//! [`after`] shuns a node that another device has proven off. [`refuse`] and [`readmit`] carry out an administrator's
//! command. [`sync`] keeps every node's shun list up to date.

pub mod after;
pub mod peers;
mod proof;
pub mod readmit;
pub mod refuse;
mod ssh;
pub mod survivors;
pub mod sync;
