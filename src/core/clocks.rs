//! How far the wall clocks of two hosts may differ: all rules that compare times of two hosts assume the same. Pure.

/// The greatest assumed difference of the wall clocks of two hosts, in milliseconds.
pub const CLOCKS_DIFFER_MS: u64 = 60_000;
