//! The commands of `gnt-ha`: a file each.

pub mod history;
