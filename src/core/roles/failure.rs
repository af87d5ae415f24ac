//! A check of the master role that failed.

/// A check of full mode that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The name of the check, such as `luxid` or `noded`; the agent reports it as the reason.
    pub check: &'static str,
    /// The error or the answer that the check got, cut to one line.
    pub found: String,
}
