//! Runs programs that change something to their end, and reports a failure in one line.

pub mod child;
pub(crate) mod guard;

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::clock::Deadline;
use super::command::child::{ChildProcess, End, ProgramResult};

/// The most bytes that are kept of a program's output.
const OUTPUT_LIMIT: usize = 16 * 1024;

/// A program did not run, failed, or timed out.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The program could not be started.
    #[error("cannot run {}: {error}", program.display())]
    Start {
        /// The path or name of the program.
        program: PathBuf,
        /// The error of the kernel.
        error: io::Error,
    },
    /// The program ended with an exit code other than 0, or by a signal.
    #[error("{what} ended with {code}: {output}")]
    Failed {
        /// The program with its arguments, as it was run.
        what: String,
        /// The exit code. For a signal, [`run`] sets 128 plus its number.
        code: i32,
        /// The last lines of the output.
        output: String,
    },
    /// The program printed more than the limit.
    #[error("{} printed more than {limit} bytes", program.display())]
    Flooded {
        /// The path or name of the program.
        program: PathBuf,
        /// The limit in bytes.
        limit: usize,
    },
    /// The program was still running at the deadline.
    #[error("{what} did not end within {seconds:.1} s: {output}")]
    TimedOut {
        /// The program with its arguments, as it was run.
        what: String,
        /// The time that the program had, in seconds.
        seconds: f64,
        /// The last lines of the output.
        output: String,
    },
}

/// Runs a program that changes something until it ends or the deadline passes, and returns its stdout.
///
/// # Errors
/// [`ProgramError`] if the program cannot be started, fails or times out.
pub fn run(program: &Path, words: &[&str], stdin: &[u8], deadline: Deadline) -> Result<String, ProgramError> {
    let given = deadline.left();
    let ended = end_of(program, words, stdin, deadline, OUTPUT_LIMIT)?;
    match ended.end {
        End::Exited(0) => Ok(String::from_utf8_lossy(&ended.stdout).into_owned()),
        _ => Err(failed(program, words, &ended, given)),
    }
}

/// Runs a program as [`run`] does, with up to `limit` bytes of output. Longer output is an error and is never cut.
///
/// # Errors
/// [`ProgramError::Flooded`] if the output is longer; [`ProgramError`] as for [`run`].
pub fn run_up_to(
    limit: usize,
    program: &Path,
    words: &[&str],
    stdin: &[u8],
    deadline: Deadline,
) -> Result<String, ProgramError> {
    let given = deadline.left();
    let ended = end_of(program, words, stdin, deadline, limit)?;
    match ended.end {
        End::Exited(0) if ended.flooded => Err(ProgramError::Flooded { program: program.to_owned(), limit }),
        End::Exited(0) => Ok(String::from_utf8_lossy(&ended.stdout).into_owned()),
        _ => Err(failed(program, words, &ended, given)),
    }
}

/// Runs a program whose exit code only shows whether its whole report is good, and returns its stdout.
///
/// # Errors
/// [`ProgramError`] if the program cannot be started, times out, prints nothing, or prints too much.
pub fn report(program: &Path, words: &[&str], deadline: Deadline) -> Result<String, ProgramError> {
    let given = deadline.left();
    let ended = end_of(program, words, &[], deadline, OUTPUT_LIMIT)?;
    match ended.end {
        // In a report that was cut, the fault may be in the missing end.
        End::Exited(_) if !ended.stdout.is_empty() && !ended.flooded => {
            Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
        }
        _ => Err(failed(program, words, &ended, given)),
    }
}

fn failed(program: &Path, words: &[&str], ended: &ProgramResult, given: Duration) -> ProgramError {
    let what = format!("{} {}", program.display(), words.join(" "));
    let output = last_lines(&[ended.stdout.as_slice(), b"\n", ended.stderr.as_slice()].concat());
    match ended.end {
        End::Exited(code) => ProgramError::Failed { what, code, output },
        End::Killed(signal) => ProgramError::Failed { what, code: 128 + signal, output },
        End::TimedOut => ProgramError::TimedOut { what, seconds: given.as_secs_f64(), output },
    }
}

fn end_of(
    program: &Path,
    words: &[&str],
    stdin: &[u8],
    deadline: Deadline,
    output_limit: usize,
) -> Result<ProgramResult, ProgramError> {
    let arguments: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
    let job = ChildProcess {
        program,
        arguments: &arguments,
        stdin,
        environment: &[],
        without: &[],
        guarded: true,
        deadline,
        linger: Duration::from_millis(500),
        output_limit,
    };
    job.run().map_err(|error| ProgramError::Start { program: program.to_owned(), error })
}

/// Returns the last three lines of the output as one line, as an exit reason has one line.
fn last_lines(output: &[u8]) -> String {
    const KEPT_CHARACTERS: usize = 300;
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let joined = lines[lines.len().saturating_sub(3)..].join("; ");
    let skip = joined.chars().count().saturating_sub(KEPT_CHARACTERS);
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
        assert_eq!(partly, "/\n", "the exit code shows that the report is partial");
        assert!(matches!(report(Path::new("/bin/false"), &[], late()), Err(ProgramError::Failed { code: 1, .. })));
        let slow = run(Path::new("/bin/sleep"), &["9"], &[], Deadline::after(Duration::from_millis(50))).unwrap_err();
        assert!(matches!(slow, ProgramError::TimedOut { .. }));
    }
}
