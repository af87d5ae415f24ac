//! Runs an OOB program by Ganeti's contract. An answer that breaks the contract is an error with a reason.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::clock::Deadline;
use super::command::child::{ChildProcess, End, ProgramResult};
use super::trusted_file::{UntrustedProgram, check_program};
use crate::core::budget::fence::{ChildLimits, grant};
use crate::core::ganeti::oob::{
    self, BadAnswer, DEADLINE_VARIABLE, HealthItem, OUTPUT_LIMIT, OobCommand, OobStatus, REQUEST_VARIABLE,
};
use crate::core::node::NodeName;

/// The reason why a call has no result. The state of the node is unknown then.
#[derive(Debug, thiserror::Error)]
pub enum OobError {
    /// The file does not exist.
    #[error("there is no OOB program {} on this host: install it on each node that may fence: every master candidate, and other nodes that have the BMCs' secrets", .0.display())]
    Missing(PathBuf),
    /// The path is not an executable file.
    #[error("the OOB program {} is not an executable file: check its type and mode", .0.display())]
    NotExecutable(PathBuf),
    /// A user other than root could replace the program.
    #[error("the OOB program {} is not run: a user other than root can replace it: {error}", program.display())]
    Untrusted {
        /// The path of the program.
        program: PathBuf,
        /// The file or directory that is not safe, with the fault.
        error: UntrustedProgram,
    },
    /// The path is relative: whether Ganeti finds it depends on its working directory.
    #[error("the OOB program {} is not an absolute path: correct the node parameter oob_program", .0.display())]
    NotAbsolute(PathBuf),
    /// The kernel did not start the program.
    #[error("cannot run {}: {error}", program.display())]
    Start {
        /// The path of the program.
        program: PathBuf,
        /// The error of the kernel.
        error: io::Error,
    },
    /// The program did not end in time and was killed.
    #[error("{} {command} timed out after {seconds:.1} s and was killed{}", program.display(), after_colon(reason))]
    TimedOut {
        /// The path of the program.
        program: PathBuf,
        /// The OOB command of the call.
        command: OobCommand,
        /// The time that the program ran, in seconds.
        seconds: f64,
        /// The last line of the program's stderr.
        reason: Option<String>,
    },
    /// The program ended with an exit code other than 0.
    #[error("{} {command} failed with exit code {code}{}", program.display(), after_colon(reason))]
    Failed {
        /// The path of the program.
        program: PathBuf,
        /// The OOB command of the call.
        command: OobCommand,
        /// The exit code of the program.
        code: i32,
        /// The last line of the program's stderr.
        reason: Option<String>,
    },
    /// A signal that we did not send killed the program.
    #[error("{} {command} was killed by signal {signal}{}", program.display(), after_colon(reason))]
    Killed {
        /// The path of the program.
        program: PathBuf,
        /// The OOB command of the call.
        command: OobCommand,
        /// The number of the signal.
        signal: i32,
        /// The last line of the program's stderr.
        reason: Option<String>,
    },
    /// The program printed more on stdout than the limit.
    #[error("{} {command} printed more than {OUTPUT_LIMIT} bytes on stdout", program.display())]
    Flooded {
        /// The path of the program.
        program: PathBuf,
        /// The OOB command of the call.
        command: OobCommand,
    },
    /// The program succeeded, and its output breaks the contract.
    #[error("{} {command} broke the OOB contract: {error}", program.display())]
    Answer {
        /// The path of the program.
        program: PathBuf,
        /// The OOB command of the call.
        command: OobCommand,
        /// The fault in the output.
        error: BadAnswer,
    },
}

impl OobError {
    /// Returns true if another call cannot succeed.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::NotExecutable(_) | Self::Untrusted { .. } | Self::NotAbsolute(_))
    }
}

fn after_colon(reason: &Option<String>) -> String {
    reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"))
}

/// An OOB program on this host.
#[derive(Clone, Debug)]
pub struct OobProgram {
    path: PathBuf,
    request: Option<String>,
}

impl OobProgram {
    /// Checks that `path` is an executable program, as `gnt-cluster verify` does, and that root may run it
    /// ([`check_program`]).
    ///
    /// # Errors
    /// [`OobError::Missing`], [`OobError::NotExecutable`], [`OobError::Untrusted`] or [`OobError::NotAbsolute`], for
    /// the first of these faults that the path has.
    pub fn find(path: &Path) -> Result<Self, OobError> {
        const ANY_EXECUTE: u32 = 0o111;
        if !path.is_absolute() {
            return Err(OobError::NotAbsolute(path.to_owned()));
        }
        let metadata = std::fs::metadata(path).map_err(|_| OobError::Missing(path.to_owned()))?;
        if !metadata.is_file() || metadata.permissions().mode() & ANY_EXECUTE == 0 {
            return Err(OobError::NotExecutable(path.to_owned()));
        }
        check_program(path).map_err(|error| OobError::Untrusted { program: path.to_owned(), error })?;
        Ok(Self { path: path.to_owned(), request: None })
    }

    /// Passes `id` to the program, so that its calls count as parts of that receipt.
    #[must_use]
    pub fn for_request(mut self, id: &str) -> Self {
        self.request = Some(id.to_owned());
        self
    }

    /// Returns the path of the program.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Calls `power-on`, `power-off` or `power-cycle`. Success is an acknowledgement, never proof.
    ///
    /// # Errors
    /// [`OobError`] if the program cannot be run, fails, times out, or prints anything on stdout.
    pub fn act(&self, command: OobCommand, node: &NodeName, deadline: Deadline) -> Result<(), OobError> {
        let stdout = self.call(command, node, deadline)?;
        oob::parse_silence(&stdout).map_err(|error| self.answer(command, error))
    }

    /// Calls `power-status`.
    ///
    /// # Errors
    /// [`OobError`] if the program cannot be run, fails, times out, or prints no valid status.
    pub fn status(&self, node: &NodeName, deadline: Deadline) -> Result<OobStatus, OobError> {
        let command = OobCommand::PowerStatus;
        let stdout = self.call(command, node, deadline)?;
        oob::parse_status(&stdout).map_err(|error| self.answer(command, error))
    }

    /// Calls `health`.
    ///
    /// # Errors
    /// [`OobError`] if the program cannot be run, fails, times out, or prints no valid health.
    pub fn health(&self, node: &NodeName, deadline: Deadline) -> Result<Vec<HealthItem>, OobError> {
        let command = OobCommand::Health;
        let stdout = self.call(command, node, deadline)?;
        oob::parse_health(&stdout).map_err(|error| self.answer(command, error))
    }

    /// Runs the program with Ganeti's limits (60 s, SIGTERM, 5 s, SIGKILL), or with the rest of `deadline` if that is
    /// less. The program has ended when the deadline passes.
    fn call(&self, command: OobCommand, node: &NodeName, deadline: Deadline) -> Result<Vec<u8>, OobError> {
        let ChildLimits { runs, linger, stated } = grant(deadline.left());
        let term = deadline.at_most(runs);
        let mut environment = vec![(DEADLINE_VARIABLE, format!("{:.3}", stated.as_secs_f64()))];
        if let Some(id) = &self.request {
            environment.push((REQUEST_VARIABLE, id.clone()));
        }
        let ended = ChildProcess {
            program: &self.path,
            arguments: &[OsStr::new(command.word()), OsStr::new(node.as_str())],
            stdin: &[],
            environment: &environment,
            without: &[],
            guarded: command.acts(),
            deadline: term,
            linger,
            output_limit: OUTPUT_LIMIT,
        }
        .run()
        .map_err(|error| OobError::Start { program: self.path.clone(), error })?;
        self.judge(command, ended)
    }

    fn judge(&self, command: OobCommand, ended: ProgramResult) -> Result<Vec<u8>, OobError> {
        let program = self.path.clone();
        let reason = oob::reason_in(&ended.stderr);
        match ended.end {
            End::TimedOut => Err(OobError::TimedOut { program, command, seconds: ended.took.as_secs_f64(), reason }),
            End::Killed(signal) => Err(OobError::Killed { program, command, signal, reason }),
            End::Exited(0) if ended.flooded => Err(OobError::Flooded { program, command }),
            End::Exited(0) => Ok(ended.stdout),
            End::Exited(code) => Err(OobError::Failed { program, command, code, reason }),
        }
    }

    fn answer(&self, command: OobCommand, error: BadAnswer) -> OobError {
        OobError::Answer { program: self.path.clone(), command, error }
    }
}

#[cfg(test)]
mod tests;
