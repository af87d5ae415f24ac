//! The result of an action, for its caller.

use std::process::ExitCode;

/// The result of an action: its lines for stdout and stderr, and the exit code.
///
/// Pacemaker logs each line on stderr as a warning, so a plain success has none there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ActionReport {
    /// The lines for stdout.
    pub stdout: Vec<String>,
    /// The lines for stderr.
    pub stderr: Vec<String>,
    /// The exit code of the agent.
    pub code: AgentCode,
}

/// The exit codes of a fence agent (`doc/FenceAgentAPI.md`; agents of fence-agents' library use no others).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AgentCode {
    /// 0: success; for `status`: on.
    #[default]
    Success,
    /// 1: failure, or an unknown state.
    Failure,
    /// 2, of `status` only: off.
    Off,
}

impl From<AgentCode> for ExitCode {
    fn from(code: AgentCode) -> Self {
        Self::from(match code {
            AgentCode::Success => 0,
            AgentCode::Failure => 1,
            AgentCode::Off => 2,
        })
    }
}

impl ActionReport {
    pub(crate) fn success(line: impl Into<String>) -> Self {
        Self { stdout: vec![line.into()], ..Self::default() }
    }

    pub(crate) fn failure(line: impl Into<String>) -> Self {
        Self { stderr: vec![line.into()], code: AgentCode::Failure, ..Self::default() }
    }
}
