//! Runs a program as its users do, and checks its exit code and output.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "for tests only: a broken test stops at once"
)]

pub mod hostile;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// The result of a call.
#[derive(Debug)]
pub struct Ran {
    /// The program's name, with which lines on stderr must begin.
    pub program: String,
    /// The exit code; `None` if a signal ended the program.
    pub code: Option<i32>,
    /// The output on stdout.
    pub stdout: String,
    /// The output on stderr.
    pub stderr: String,
}

impl Ran {
    /// Checks for exit code 0 and nothing on stderr: Pacemaker logs each line there as a warning.
    #[track_caller]
    pub fn succeeded(&self) -> &Self {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self
    }

    /// Checks for success and exactly this text on stdout.
    #[track_caller]
    pub fn printed(&self, stdout: &str) -> &Self {
        assert_eq!(self.stdout, stdout, "{self:?}");
        self
    }

    /// Checks for exit code 0 and no output: Ganeti takes any byte on stdout of a power command for a failure.
    #[track_caller]
    pub fn silent(&self) -> &Self {
        self.succeeded().printed("")
    }

    /// Checks for exit code 0, and returns the JSON on stdout.
    #[track_caller]
    pub fn answered(&self) -> Value {
        self.succeeded();
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks for exit code 1, nothing on stdout, and one line on stderr, which begins with the program's name and
    /// contains every one of `words`.
    #[track_caller]
    pub fn failed(&self, words: &[&str]) -> &Self {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{self:?}");
        self.stderr_has(words)
    }

    /// Checks the same, and that the line names the node.
    #[track_caller]
    pub fn failed_for(&self, node: &str, words: &[&str]) -> &Self {
        self.failed(&[node]).failed(words)
    }

    /// Checks for one line on stderr, which begins with the program's name and contains every one of `words`.
    #[track_caller]
    pub fn stderr_has(&self, words: &[&str]) -> &Self {
        assert_eq!(self.stderr.matches('\n').count(), 1, "one line: {self:?}");
        assert!(self.stderr.starts_with(&format!("{}: ", self.program)), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {self:?}");
        }
        self
    }
}

/// Runs `command` with `input` on stdin. A program that does not read all of it is not an error.
pub fn feed(program: &str, mut command: Command, input: &[u8]) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap_or_default());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    Ran {
        program: program.to_owned(),
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Makes a file executable in another process: a file that a thread of this process still has open cannot be run.
pub fn install(path: &Path, body: &str) -> PathBuf {
    let mut command = Command::new("install");
    command.args(["-m", "0755", "/dev/stdin"]).arg(path);
    let made = feed("install", command, body.as_bytes());
    assert_eq!(made.code, Some(0), "{made:?}");
    path.to_owned()
}

/// Parses the lines of a receipt log.
#[must_use]
pub fn receipt_log(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the one receipt in `receipt_log`, after checking that it follows its intent.
#[must_use]
pub fn receipt(receipt_log: &[Value]) -> Value {
    let [intent, receipt] = receipt_log else { panic!("not one intent and one receipt: {receipt_log:#?}") };
    assert_eq!((&intent["kind"], &receipt["kind"]), (&json!("intent"), &json!("receipt")));
    assert_eq!(intent["id"], receipt["id"]);
    receipt.clone()
}
