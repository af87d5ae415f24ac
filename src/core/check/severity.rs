//! How bad a finding is.

use serde::Serialize;

/// The severity of a finding; the worst is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Checked, and as it should be.
    Ok,
    /// Protection works, but is slower, weaker or not watched.
    Warning,
    /// A dead host will not be fenced, taken over or recorded; or too much will be.
    Error,
}

impl Severity {
    /// Returns the exit code of `gnt-ha check`, if this is its worst finding.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Returns the word in front of a line of the report.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "ERROR",
        }
    }
}
