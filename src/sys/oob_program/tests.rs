//! Foreign OOB programs that misbehave. Each is a real process.

use std::time::Duration;

use super::*;
use crate::core::grade::Grade;
use crate::core::power::Power;

struct Script {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn script(body: &str) -> Script {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("oob");
    std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    Script { _dir: dir, path }
}

fn node() -> NodeName {
    NodeName::new("n1.lab").unwrap()
}

fn status(body: &str, limit_ms: u64) -> Result<OobStatus, OobError> {
    let script = script(body);
    let deadline = Deadline::after(Duration::from_millis(limit_ms));
    OobProgram::find(&script.path).unwrap().status(&node(), deadline)
}

#[test]
fn it_is_called_as_ganeti_calls_it() {
    let script = script(
        r#"[ "$#" = 2 ] && [ "$LC_ALL" = C ] && [ "$PWD" = / ] || exit 9
        read nothing && exit 8
        case "$1 $2" in "power-status n1.lab") printf '{"powered": true}\n';; *) exit 7;; esac"#,
    );
    let program = OobProgram::find(&script.path).unwrap();
    let status = program.status(&node(), Deadline::after(Duration::from_secs(10))).unwrap();
    assert_eq!(status, OobStatus { power: Power::On, grade: None, may_lag: false });
}

/// In other software, a wrong word, a crash, silence and a rejection were each read as "off".
#[test]
fn what_is_no_answer_is_an_error_that_says_so() {
    let cases = [
        ("exit 1", "failed with exit code 1"),
        ("echo 'BMC: no route to host' >&2; exit 3", "exit code 3: BMC: no route to host"),
        ("kill -SEGV $$", "killed by signal 11"),
        ("true", "printed nothing"),
        ("echo off", "not JSON"),
        ("echo '{\"powered\": false}'; exit 1", "exit code 1"),
        ("exec head -c 200000 /dev/zero", "printed more than 65536 bytes"),
    ];
    for (body, expected) in cases {
        let error = status(body, 10_000).unwrap_err().to_string();
        assert!(error.contains(expected), "{body}: {error}");
    }
}

#[test]
fn a_program_that_hangs_is_killed_with_everything_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("pid");
    // The program ignores SIGTERM, and so does its child, which would outlive it.
    let body = format!(
        "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > {}; sleep 600; sleep 600' & wait; wait; sleep 600",
        mark.display()
    );
    let error = status(&body, 800).unwrap_err();
    assert!(matches!(error, OobError::TimedOut { .. }), "{error}");
    let pid: i32 = std::fs::read_to_string(&mark).unwrap().trim().parse().unwrap();
    // A signal ends a process when the kernel next schedules it. The killed child is gone then, or a zombie that its new
    // parent has not reaped yet; a child that was not killed sleeps for ten minutes.
    let ends = Deadline::after(Duration::from_secs(10));
    let state = loop {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") || ends.passed() {
            break state;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
}

/// `lib/utils/process.py`: Ganeti waits without end for a grandchild that holds the pipes; gnt-ha does not.
#[test]
fn a_grandchild_that_holds_the_pipes_does_not_hold_the_answer() {
    let status = status("printf '{\"powered\": false}'; sleep 600 &", 30_000).unwrap();
    assert_eq!(status.proves(), Grade::Off);
}

#[test]
fn a_flood_on_stderr_is_drained() {
    let status = status("head -c 1000000 /dev/zero >&2; printf '{\"powered\": true}'", 10_000).unwrap();
    assert_eq!(status.power, Power::On);
}

#[test]
fn output_of_a_command_that_acts_is_an_error() {
    let script = script("echo done");
    let program = OobProgram::find(&script.path).unwrap();
    let deadline = Deadline::after(Duration::from_secs(10));
    let error = program.act(OobCommand::PowerOff, &node(), deadline).unwrap_err();
    assert!(error.to_string().contains("where the contract allows nothing"), "{error}");
}

#[test]
fn missing_and_unusable_programs_are_distinguished() {
    let found = |path: &str| OobProgram::find(Path::new(path)).unwrap_err();
    assert!(matches!(found("/nonexistent/oob"), OobError::Missing(_)));
    assert!(matches!(found("/etc/passwd"), OobError::NotExecutable(_)));
    assert!(matches!(found("/etc"), OobError::NotExecutable(_)));
    assert!(matches!(found("oob"), OobError::NotAbsolute(_)));
}

/// Root runs the program, so a user who may write to it would become root.
#[test]
fn a_program_that_others_may_write_is_not_run() {
    let script = script("true");
    std::fs::set_permissions(&script.path, std::fs::Permissions::from_mode(0o775)).unwrap();
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: who is not root runs it");
        return;
    }
    let error = OobProgram::find(&script.path).unwrap_err();
    assert!(error.is_final() && matches!(error, OobError::Untrusted { .. }), "{error}");
    assert!(error.to_string().contains("its mode is 0775 and others may write it: chmod go-w"), "{error}");
}

#[test]
fn a_program_learns_its_deadline_and_its_request() {
    let script = script(
        r#"case "$GNT_HA_PARENT_RECEIPT" in 0a-1) ;; *) exit 5;; esac
        case "$GNT_HA_DEADLINE" in [0-9]*.[0-9]*) printf '{"powered": true}';; esac"#,
    );
    let program = OobProgram::find(&script.path).unwrap().for_request("0a-1");
    program.status(&node(), Deadline::after(Duration::from_secs(10))).unwrap();
}
