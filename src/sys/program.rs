//! A program that changes something, run to its end: what it was, and how it failed, in one line.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::clock::Deadline;
use super::process::{End, Job};

/// The most that is kept of a program's output.
const OUTPUT_LIMIT: usize = 16 * 1024;

/// A program ran, and not well.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It was not started.
    #[error("cannot run {}: {error}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It ended with another code than 0.
    #[error("{what} ended with {code}: {said}")]
    Failed {
        /// The command.
        what: String,
        /// The exit code.
        code: i32,
        /// The end of its output.
        said: String,
    },
    /// It was still at it when its time was over.
    #[error("{what} did not end within {seconds:.1} s: {said}")]
    TimedOut {
        /// The command.
        what: String,
        /// How long it had.
        seconds: f64,
        /// The end of its output.
        said: String,
    },
}

/// Runs a program that changes something, to its end or the deadline, and returns its output.
///
/// # Errors
/// [`ProgramError`].
pub fn run(program: &Path, words: &[&str], stdin: &[u8], deadline: Deadline) -> Result<String, ProgramError> {
    run_with(program, words, stdin, &[], deadline)
}

/// As [`run`], with something added to the environment.
///
/// # Errors
/// [`ProgramError`].
pub fn run_with(
    program: &Path,
    words: &[&str],
    stdin: &[u8],
    environment: &[(&str, String)],
    deadline: Deadline,
) -> Result<String, ProgramError> {
    let arguments: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
    let given = deadline.left();
    let job = Job {
        program,
        arguments: &arguments,
        stdin,
        environment,
        without: &[],
        guarded: true,
        deadline,
        linger: Duration::from_millis(500),
        output_limit: OUTPUT_LIMIT,
    };
    let ended = job.run().map_err(|error| ProgramError::Start { program: program.to_owned(), error })?;
    let what = || format!("{} {}", program.display(), words.join(" "));
    let said = || last_lines(&[ended.stdout.as_slice(), b"\n", ended.stderr.as_slice()].concat());
    match ended.end {
        End::Exited(0) => Ok(String::from_utf8_lossy(&ended.stdout).into_owned()),
        End::Exited(code) => Err(ProgramError::Failed { what: what(), code, said: said() }),
        End::Killed(signal) => Err(ProgramError::Failed { what: what(), code: 128 + signal, said: said() }),
        End::TimedOut => Err(ProgramError::TimedOut { what: what(), seconds: given.as_secs_f64(), said: said() }),
    }
}

/// An exit reason is one line: the last three, joined.
fn last_lines(output: &[u8]) -> String {
    const KEPT: usize = 300;
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let joined = lines[lines.len().saturating_sub(3)..].join("; ");
    let skip = joined.chars().count().saturating_sub(KEPT);
    joined.chars().skip(skip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_says_why() {
        let late = || Deadline::after(Duration::from_secs(5));
        let failed = run(Path::new("/bin/ls"), &["/nonexistent"], &[], late()).unwrap_err();
        assert!(failed.to_string().contains("No such file"), "{failed}");
        let absent = run(Path::new("/nonexistent"), &[], &[], late()).unwrap_err();
        assert!(matches!(absent, ProgramError::Start { .. }));
        let slow = run(Path::new("/bin/sleep"), &["9"], &[], Deadline::after(Duration::from_millis(50))).unwrap_err();
        assert!(matches!(slow, ProgramError::TimedOut { .. }));
    }
}
