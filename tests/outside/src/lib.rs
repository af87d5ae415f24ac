//! Running a program from the outside, as its users do, and what tests ask of how it ended.
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

/// How a call ended.
#[derive(Debug)]
pub struct Ran {
    /// Whose lines stderr must hold.
    pub program: String,
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Ran {
    /// Exit code 0 and nothing on stderr: Pacemaker logs each line there as a warning.
    #[track_caller]
    pub fn succeeded(&self) -> &Self {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self
    }

    /// Exactly this on stdout.
    #[track_caller]
    pub fn said(&self, stdout: &str) -> &Self {
        assert_eq!(self.stdout, stdout, "{self:?}");
        self
    }

    /// Exit code 0 and no word: Ganeti takes any byte on stdout of a power command for a failure.
    #[track_caller]
    pub fn silent(&self) -> &Self {
        self.succeeded().said("")
    }

    /// Exit code 0, and JSON on stdout.
    #[track_caller]
    pub fn answered(&self) -> Value {
        self.succeeded();
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Exit code 1, nothing on stdout, and one line on stderr, which begins with the program's name and holds every one of `words`.
    #[track_caller]
    pub fn failed(&self, words: &[&str]) -> &Self {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{self:?}");
        self.complained(words)
    }

    /// The same, and the node is named.
    #[track_caller]
    pub fn failed_for(&self, node: &str, words: &[&str]) -> &Self {
        self.failed(&[node]).failed(words)
    }

    /// One line on stderr, which begins with the program's name and holds every one of `words`.
    #[track_caller]
    pub fn complained(&self, words: &[&str]) -> &Self {
        assert_eq!(self.stderr.matches('\n').count(), 1, "one line: {self:?}");
        assert!(self.stderr.starts_with(&format!("{}: ", self.program)), "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in {self:?}");
        }
        self
    }
}

/// Runs `command` with `input` on stdin. A reader that does not want all of it is no error.
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

/// Makes an executable file by another process: a file that a thread of ours still has open cannot be run.
pub fn install(path: &Path, body: &str) -> PathBuf {
    let mut command = Command::new("install");
    command.args(["-m", "0755", "/dev/stdin"]).arg(path);
    let made = feed("install", command, body.as_bytes());
    assert_eq!(made.code, Some(0), "{made:?}");
    path.to_owned()
}

/// Every line of the receipts in `text`.
#[must_use]
pub fn ledger(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The one receipt in `ledger`, after checking that it follows its intent.
#[must_use]
pub fn receipt(ledger: &[Value]) -> Value {
    let [intent, receipt] = ledger else { panic!("not one intent and one receipt: {ledger:#?}") };
    assert_eq!((&intent["kind"], &receipt["kind"]), (&json!("intent"), &json!("receipt")));
    assert_eq!(intent["id"], receipt["id"]);
    receipt.clone()
}
