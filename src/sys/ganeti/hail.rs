//! Runs Ganeti's allocator hail, which reads its input from stdin, needs no daemon and changes nothing.

use std::io;
use std::path::Path;

use crate::core::recovery::allocator::{AllocatorError, HailAnswer, answer};
use crate::sys::clock::Deadline;
use crate::sys::command::{ProgramError, run_up_to};

/// The most bytes that are read of the answer: about 400 for each instance, with the jobs that hail proposes.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// Runs hail, which is at `program`, on a document, until the deadline at the latest.
///
/// # Errors
/// [`AllocatorError`] if hail is missing, fails, does not end in time, or prints no complete answer.
pub fn run(program: &Path, document: &str, deadline: Deadline) -> Result<HailAnswer, AllocatorError> {
    match run_up_to(ANSWER_LIMIT, program, &["-"], document.as_bytes(), deadline) {
        Ok(stdout) => answer(Some(0), stdout.as_bytes(), b""),
        Err(ProgramError::Failed { code, output, .. }) => answer(Some(code), b"", output.as_bytes()),
        Err(ProgramError::TimedOut { .. }) => Err(AllocatorError::TimedOut),
        Err(ProgramError::Start { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            Err(AllocatorError::Missing)
        }
        Err(error) => Err(AllocatorError::NotRun(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn ran(script: &str) -> Result<HailAnswer, AllocatorError> {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("hail");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        run(&program, "{}", Deadline::after(Duration::from_secs(10)))
    }

    #[test]
    fn a_missing_and_a_failing_allocator_are_distinguished() {
        let missing = run(Path::new("/nonexistent/hail"), "{}", Deadline::after(Duration::from_secs(10)));
        assert_eq!(missing, Err(AllocatorError::Missing));
        let failed = ran("echo 'Error: no' >&2; exit 1");
        assert!(
            matches!(&failed, Err(AllocatorError::Failed { code: Some(1), text }) if text == "Error: no"),
            "{failed:?}"
        );
        assert_eq!(ran("echo '{\"success\": true, \"result\": [[], [], []]}'"), Ok(HailAnswer::default()));
        assert!(matches!(ran("true"), Err(AllocatorError::Answer(_))));
    }
}
