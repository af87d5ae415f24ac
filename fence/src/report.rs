//! How an action ended, for its caller.

use std::process::ExitCode;

/// How an action ended: what goes to stdout, what to stderr, and the exit code.
///
/// Pacemaker logs each line on stderr as a warning, so a plain success has none there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Lines for stdout.
    pub say: Vec<String>,
    /// Lines for stderr.
    pub complain: Vec<String>,
    /// The exit code.
    pub code: Code,
}

/// The exit codes of a fence agent (`doc/FenceAgentAPI.md`; agents of the library know no others).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Code {
    /// Success; for `status`: on.
    #[default]
    Success,
    /// Failure, or not known.
    Failure,
    /// `status`: off.
    Off,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(match code {
            Code::Success => 0,
            Code::Failure => 1,
            Code::Off => 2,
        })
    }
}

impl Report {
    pub(crate) fn success(line: impl Into<String>) -> Self {
        Self { say: vec![line.into()], ..Self::default() }
    }

    pub(crate) fn failure(line: impl Into<String>) -> Self {
        Self { complain: vec![line.into()], code: Code::Failure, ..Self::default() }
    }
}
