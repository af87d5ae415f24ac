//! Tests `tests/parts`, which runs the parts of `make test` and of CI.

#![allow(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]

use std::env;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parts");

/// Runs it in a directory of its own; a part that waits too long is ended.
fn parts(dir: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.arg("60").arg(SCRIPT).args(words).current_dir(dir);
    command
}

fn run(words: &[&str]) -> (Output, String) {
    let dir = TempDir::new().unwrap();
    let output = parts(dir.path(), words).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

/// Returns the rows of the table, without the times.
fn names(text: &str) -> Vec<&str> {
    let (_, table) = text.split_once("Min:sec   Part\n").unwrap();
    table.lines().map(|row| row.trim_start().split_once("  ").unwrap().1).collect()
}

#[test]
fn one_part_after_the_other_until_one_fails() {
    let (output, text) = run(&["echo first", "exit 3", "echo never"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text.starts_with("first\n"), "{text}");
    assert_eq!(names(&text), ["echo first", "exit 3 (failed: exit code 3)"]);
}

#[test]
fn a_part_beside_runs_beside_those_after_it() {
    // Each part waits for the other: they must run at the same time.
    let (output, text) = run(&["mkfifo pipe", "--beside", "read word <pipe; echo \"beside: $word\"", "echo met >pipe"]);
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("\nbeside: met\n"), "{text}");
    assert_eq!(names(&text).len(), 3, "{text}");
    assert!(text.ends_with("(beside)\n"), "{text}");
}

#[test]
fn a_part_beside_that_fails_fails_the_whole_and_ends_no_part_that_runs() {
    let beside = "echo $PPID >pipe; echo why; echo also why >&2; exit 4";
    // Waits until its process has ended, whether or not a parent has waited for it.
    let until_it_has_failed =
        "read -r pid <pipe; while grep -qv ') Z ' /proc/$pid/stat 2>/dev/null; do sleep 0.02; done; echo here still";
    let (output, text) = run(&["mkfifo pipe", "--beside", beside, until_it_has_failed, "echo never >&2"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(text.contains("here still\n"), "{text}");
    assert!(text.contains("\nwhy\nalso why\n"), "{text}");
    assert!(text.ends_with("exit 4 (beside) (failed: exit code 4)\n"), "{text}");
    assert_eq!(names(&text).len(), 3, "{text}");
    assert_eq!(output.stderr, b"");
}

#[test]
fn a_part_that_fails_ends_those_beside_it() {
    let (output, text) = run(&["--beside", "exec sleep 600", "exit 5", "echo never"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(text.ends_with("ended  exec sleep 600 (beside)\n"), "{text}");
}

/// A part that was not yet a process group was left behind: it ran for ever on a loaded machine.
#[test]
fn a_part_that_has_just_begun_is_ended() {
    let dir = TempDir::new().unwrap();
    let slow = dir.path().join("setsid");
    let pid = dir.path().join("pid");
    let of_beside = format!("case $* in *' 600'*) echo $$ >{}; sleep 0.3 ;; esac", pid.display());
    let text = format!("#!/bin/sh\n{of_beside}\nexec /usr/bin/setsid \"$@\"\n");
    fs::write(&slow, text).unwrap();
    fs::set_permissions(&slow, Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", dir.path().display(), env::var("PATH").unwrap());
    let fail = format!("until [ -s {} ]; do sleep 0.01; done; exit 5", pid.display());
    let output = Command::new(SCRIPT).args(["--beside", "exec sleep 600", &fail]).env("PATH", path).output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    let process = Path::new("/proc").join(fs::read_to_string(&pid).unwrap().trim());
    let end = Instant::now() + Duration::from_secs(10);
    while process.exists() {
        assert!(Instant::now() < end, "{} runs on", process.display());
        thread::sleep(Duration::from_millis(10));
    }
}

/// Sends a signal to the foreground's process group, as Ctrl-C does. A shell's background processes ignore it by
/// themselves.
#[test]
fn ctrl_c_ends_all_parts() {
    interrupt(Signal::SIGINT, killpg);
}

/// A CI ends a job so. The part in the foreground ran on, with its labs.
#[test]
fn a_signal_to_the_script_alone_ends_all_parts() {
    interrupt(Signal::SIGTERM, kill);
}

fn interrupt(signal: Signal, send: fn(Pid, Signal) -> nix::Result<()>) {
    let dir = TempDir::new().unwrap();
    let [pipe, other] = ["pipe", "other"].map(|name| dir.path().join(name));
    [&pipe, &other].into_iter().for_each(|pipe| mkfifo(pipe, Mode::S_IRWXU).unwrap());
    let begin = |pipe: &str| format!("exec 3>{pipe}; echo begun >&3; exec sleep 600");
    let words = ["--beside", &begin("pipe"), &begin("other")];
    // A test in the background of a shell has inherited that SIGINT is ignored, and a shell cannot trap it then.
    let mut command = Command::new("env");
    command.args(["--default-signal=INT", SCRIPT]);
    let mut running =
        command.args(words).current_dir(dir.path()).stdout(Stdio::null()).process_group(0).spawn().unwrap();
    let mut beside = BufReader::new(File::open(pipe).unwrap()).lines();
    assert_eq!(beside.next().unwrap().unwrap(), "begun");
    // A shell that does not yet wait for its part may miss the signal.
    let mut part = BufReader::new(File::open(other).unwrap()).lines();
    assert_eq!(part.next().unwrap().unwrap(), "begun");
    send(Pid::from_raw(i32::try_from(running.id()).unwrap()), signal).unwrap();
    assert_eq!(running.wait().unwrap().signal(), Some(signal as i32));
    // The process keeps the pipe open as long as it runs.
    assert!(beside.next().is_none());
    assert!(part.next().is_none());
}
