//! A program that changes something, run to its end: what it was, and how it failed, in one line.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::clock::Deadline;
use super::command::child::{ChildProcess, End, Ended};

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
    /// It printed more than is read.
    #[error("{} printed more than {limit} bytes", program.display())]
    Flooded {
        /// The program.
        program: PathBuf,
        /// The most that is read, in bytes.
        limit: usize,
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

/// As [`run`], of a program that may have something to say though nothing failed: returns what it printed on stderr.
///
/// # Errors
/// [`ProgramError`].
pub fn run_and_hear(program: &Path, words: &[&str], deadline: Deadline) -> Result<String, ProgramError> {
    let given = deadline.left();
    let ended = end_of(program, words, &[], &[], deadline, OUTPUT_LIMIT)?;
    match ended.end {
        End::Exited(0) => Ok(String::from_utf8_lossy(&ended.stderr).into_owned()),
        _ => Err(failed(program, words, &ended, given)),
    }
}

/// As [`run`], of a program whose output has up to `limit` bytes; more than that is an error, and not an output that was cut.
///
/// # Errors
/// [`ProgramError`].
pub fn run_up_to(
    limit: usize,
    program: &Path,
    words: &[&str],
    stdin: &[u8],
    deadline: Deadline,
) -> Result<String, ProgramError> {
    let given = deadline.left();
    let ended = end_of(program, words, stdin, &[], deadline, limit)?;
    match ended.end {
        End::Exited(0) if ended.flooded => Err(ProgramError::Flooded { program: program.to_owned(), limit }),
        End::Exited(0) => Ok(String::from_utf8_lossy(&ended.stdout).into_owned()),
        _ => Err(failed(program, words, &ended, given)),
    }
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
    let given = deadline.left();
    let ended = end_of(program, words, stdin, environment, deadline, OUTPUT_LIMIT)?;
    match ended.end {
        End::Exited(0) => Ok(String::from_utf8_lossy(&ended.stdout).into_owned()),
        _ => Err(failed(program, words, &ended, given)),
    }
}

/// What a program prints on stdout whose exit code says whether all of it is good.
///
/// # Errors
/// [`ProgramError`], also where it prints nothing.
pub fn report(program: &Path, words: &[&str], deadline: Deadline) -> Result<String, ProgramError> {
    let given = deadline.left();
    let ended = end_of(program, words, &[], &[], deadline, OUTPUT_LIMIT)?;
    match ended.end {
        // Of an output that was cut short the end may be what is bad.
        End::Exited(_) if !ended.stdout.is_empty() && !ended.flooded => {
            Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
        }
        _ => Err(failed(program, words, &ended, given)),
    }
}

fn failed(program: &Path, words: &[&str], ended: &Ended, given: Duration) -> ProgramError {
    let what = format!("{} {}", program.display(), words.join(" "));
    let said = last_lines(&[ended.stdout.as_slice(), b"\n", ended.stderr.as_slice()].concat());
    match ended.end {
        End::Exited(code) => ProgramError::Failed { what, code, said },
        End::Killed(signal) => ProgramError::Failed { what, code: 128 + signal, said },
        End::TimedOut => ProgramError::TimedOut { what, seconds: given.as_secs_f64(), said },
    }
}

fn end_of(
    program: &Path,
    words: &[&str],
    stdin: &[u8],
    environment: &[(&str, String)],
    deadline: Deadline,
    output_limit: usize,
) -> Result<Ended, ProgramError> {
    let arguments: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
    let job = ChildProcess {
        program,
        arguments: &arguments,
        stdin,
        environment,
        without: &[],
        guarded: true,
        deadline,
        linger: Duration::from_millis(500),
        output_limit,
    };
    job.run().map_err(|error| ProgramError::Start { program: program.to_owned(), error })
}

/// An exit reason is one line: the last three, joined.
fn last_lines(output: &[u8]) -> String {
    const KEPT: usize = 300;
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let joined = lines[lines.len().saturating_sub(3)..].join("; ");
    let skip = joined.chars().count().saturating_sub(KEPT);
    let kept: String = joined.chars().skip(skip).collect();
    match kept.split_once(' ') {
        Some((_, whole)) if skip > 0 => format!("... {whole}"),
        _ => kept,
    }
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
        let partly = report(Path::new("/bin/ls"), &["-d", "/", "/nonexistent"], late()).unwrap();
        assert_eq!(partly, "/\n", "it says by its exit code that this is not all");
        assert!(matches!(report(Path::new("/bin/false"), &[], late()), Err(ProgramError::Failed { code: 1, .. })));
        let slow = run(Path::new("/bin/sleep"), &["9"], &[], Deadline::after(Duration::from_millis(50))).unwrap_err();
        assert!(matches!(slow, ProgramError::TimedOut { .. }));
    }

    /// `ganeti-oob sync` ends with 0 where a node refuses whom it has to, and its disk did not take that.
    #[test]
    fn what_a_program_says_that_ends_well_is_heard() {
        let late = || Deadline::after(Duration::from_secs(5));
        let said = run_and_hear(Path::new("/bin/sh"), &["-c", "echo out; echo 'n2: not durable' >&2"], late()).unwrap();
        assert_eq!(said, "n2: not durable\n");
        assert!(run_and_hear(Path::new("/bin/sh"), &["-c", "exit 1"], late()).is_err());
    }
}
pub mod child;
pub(crate) mod guard;
