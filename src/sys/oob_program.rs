//! Calling somebody's OOB program by Ganeti's contract; what is not a proven answer is an error with a reason.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::clock::Deadline;
use super::command::child::{ChildProcess, End, Ended};
use super::trusted_file::{UntrustedProgram, check_program};
use crate::core::budget::fence::{ChildLimits, grant};
use crate::core::ganeti::oob::{
    self, BadAnswer, Command, DEADLINE_VARIABLE, HealthItem, OUTPUT_LIMIT, REQUEST_VARIABLE, Status,
};
use crate::core::node::NodeName;

/// Why a call told nothing. Whatever it is, the node's state is unknown.
#[derive(Debug, thiserror::Error)]
pub enum OobError {
    /// No such file.
    #[error("there is no OOB program {} on this host: install it on each node that may fence: every master candidate, and other nodes that have the BMCs' secrets", .0.display())]
    Missing(PathBuf),
    /// Not an executable file.
    #[error("the OOB program {} is no executable file: check its type and mode", .0.display())]
    NotExecutable(PathBuf),
    /// Somebody else than root could exchange it.
    #[error("the OOB program {} is not run: somebody else than root could exchange it: {error}", program.display())]
    Untrusted {
        /// The program.
        program: PathBuf,
        /// By which file or folder, and why.
        error: UntrustedProgram,
    },
    /// A path that Ganeti could run only by chance.
    #[error("the OOB program {} is no absolute path: correct the node parameter oob_program", .0.display())]
    NotAbsolute(PathBuf),
    /// The kernel did not start it.
    #[error("cannot run {}: {error}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It did not end in time.
    #[error("{} {command} timed out after {seconds:.1} s and was killed{}", program.display(), said(reason))]
    TimedOut {
        /// The program.
        program: PathBuf,
        /// The command.
        command: Command,
        /// How long it ran, in seconds.
        seconds: f64,
        /// The last line of its stderr.
        reason: Option<String>,
    },
    /// It ended with an error.
    #[error("{} {command} failed with exit code {code}{}", program.display(), said(reason))]
    Failed {
        /// The program.
        program: PathBuf,
        /// The command.
        command: Command,
        /// Its exit code.
        code: i32,
        /// The last line of its stderr.
        reason: Option<String>,
    },
    /// It died.
    #[error("{} {command} was killed by signal {signal}{}", program.display(), said(reason))]
    Killed {
        /// The program.
        program: PathBuf,
        /// The command.
        command: Command,
        /// The signal.
        signal: i32,
        /// The last line of its stderr.
        reason: Option<String>,
    },
    /// It printed without end.
    #[error("{} {command} printed more than {OUTPUT_LIMIT} bytes on stdout", program.display())]
    Flooded {
        /// The program.
        program: PathBuf,
        /// The command.
        command: Command,
    },
    /// It ended well, but its answer is not one.
    #[error("{} {command} broke the OOB contract: {error}", program.display())]
    Answer {
        /// The program.
        program: PathBuf,
        /// The command.
        command: Command,
        /// What is wrong.
        error: BadAnswer,
    },
}

impl OobError {
    /// True when calling it again cannot help.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::NotExecutable(_) | Self::Untrusted { .. } | Self::NotAbsolute(_))
    }
}

fn said(reason: &Option<String>) -> String {
    reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"))
}

/// An OOB program on this host.
#[derive(Clone, Debug)]
pub struct OobProgram {
    path: PathBuf,
    request: Option<String>,
}

impl OobProgram {
    /// Looks whether `path` is a program that can be run, as `gnt-cluster verify` does, and that root may run ([`check_program`]).
    ///
    /// # Errors
    /// [`OobError::Missing`], [`OobError::NotExecutable`], [`OobError::Untrusted`], [`OobError::NotAbsolute`].
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

    /// The same, with its calls counted as parts of the receipt `id`.
    #[must_use]
    pub fn for_request(mut self, id: &str) -> Self {
        self.request = Some(id.to_owned());
        self
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Asks for `power-on`, `power-off` or `power-cycle`. Success is an acknowledgement, never proof.
    ///
    /// # Errors
    /// [`OobError`].
    pub fn act(&self, command: Command, node: &NodeName, deadline: Deadline) -> Result<(), OobError> {
        let stdout = self.call(command, node, deadline)?;
        oob::parse_silence(&stdout).map_err(|error| self.answer(command, error))
    }

    /// Asks for `power-status`.
    ///
    /// # Errors
    /// [`OobError`].
    pub fn status(&self, node: &NodeName, deadline: Deadline) -> Result<Status, OobError> {
        let command = Command::PowerStatus;
        let stdout = self.call(command, node, deadline)?;
        oob::parse_status(&stdout).map_err(|error| self.answer(command, error))
    }

    /// Asks for `health`.
    ///
    /// # Errors
    /// [`OobError`].
    pub fn health(&self, node: &NodeName, deadline: Deadline) -> Result<Vec<HealthItem>, OobError> {
        let command = Command::Health;
        let stdout = self.call(command, node, deadline)?;
        oob::parse_health(&stdout).map_err(|error| self.answer(command, error))
    }

    /// The limits are Ganeti's (60 s, SIGTERM, 5 s, SIGKILL), or what is left of `deadline` if that is less;
    /// the program is gone when it passes.
    fn call(&self, command: Command, node: &NodeName, deadline: Deadline) -> Result<Vec<u8>, OobError> {
        let ChildLimits { runs, linger, told } = grant(deadline.left());
        let term = deadline.at_most(runs);
        let mut environment = vec![(DEADLINE_VARIABLE, format!("{:.3}", told.as_secs_f64()))];
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

    fn judge(&self, command: Command, ended: Ended) -> Result<Vec<u8>, OobError> {
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

    fn answer(&self, command: Command, error: BadAnswer) -> OobError {
        OobError::Answer { program: self.path.clone(), command, error }
    }
}

#[cfg(test)]
#[path = "oob_program_tests.rs"]
mod tests;
