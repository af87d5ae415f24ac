//! A check of the master role that failed.

/// A check of full mode that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which.
    pub check: &'static str,
    /// What it found.
    pub found: String,
}
