//! Text from outside (a file, a node, a device) never reaches a terminal raw: the programs print it without control
//! characters. Help texts are short.

#![allow(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use gnt_ha::commands::Cli;
use gnt_ha::core::text::is_hidden;
use tempfile::TempDir;

/// A text that renames a terminal's window, clears the screen, reverses a line, hides text, and forges a line.
const HOSTILE: &str = "x\u{1b}]0;owned\u{7}\u{9b}2J\u{7f}\u{202e}\u{200b}\u{2028}\nn9.lab: is off\r\n";

/// The printed form of that text; the form of its line ends depends on the place.
const SHOWN: &str = "x\\u001b]0;owned\\u0007\\u009b2J\\u007f\\u202e\\u200b\\u2028";

struct Site(TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        let dir = site.0.path().display();
        site.write("config.toml", &format!("state_directory = \"{dir}/state\"\nrun_directory = \"{dir}/state\"\n"));
        std::fs::create_dir(site.0.path().join("state")).unwrap();
        site
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    /// Returns stdout and stderr, and checks that they have no control characters for a terminal.
    fn run(&self, words: &[&str], stdin: &str) -> (String, String) {
        let path = |word: &&str| word.replace("{dir}", &self.0.path().display().to_string());
        let mut child = Command::new(env!("CARGO_BIN_EXE_gnt-ha"))
            .args(words.iter().map(path))
            .arg("--config")
            .arg(self.0.path().join("config.toml"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let ended = child.wait_with_output().unwrap();
        let [stdout, stderr] = [ended.stdout, ended.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        let is_http = words.contains(&"--http");
        for text in [&stdout, &stderr] {
            let raw =
                text.chars().find(|letter| is_hidden(*letter) && *letter != '\n' && !(is_http && *letter == '\r'));
            assert_eq!(raw, None, "{words:?}: {text:?}");
            assert!(!text.lines().any(|line| line.starts_with("n9.lab")), "{words:?}: {text}");
        }
        (stdout, stderr)
    }
}

/// A receipt may be from another node: its fields are printed in each of the forms without control characters.
#[test]
fn a_hostile_receipt_is_shown_and_not_obeyed() {
    let site = Site::new();
    let at = serde_json::json!({"wall_ms": 1_000, "boottime_ms": 10});
    let intent = serde_json::json!({"kind": "intent", "version": 1, "id": "a", "program": HOSTILE, "action": "off",
        "node": "n3.lab", "requested_by": {"program": HOSTILE, "pid": 7, "user": HOSTILE}, "host": HOSTILE, "boot_id": HOSTILE, "at": at});
    let receipt = serde_json::json!({"kind": "receipt", "version": 1, "id": "a", "node": "n3.lab", "outcome": "done",
        "grade": "off", "proven_by": HOSTILE, "steps": [{"at_ms": 3, "actor": HOSTILE, "request": HOSTILE, "response": HOSTILE}],
        "reason": HOSTILE, "record": HOSTILE, "at": at, "duration_ms": 300});
    site.write("state/receipts.jsonl", &format!("{intent}\n{receipt}\n{{\"version\": 1, \"{HOSTILE}"));
    for form in [&["--all"][..], &["--incident", "last"], &["--incident", "last", "--html"], &["--json"]] {
        let (stdout, _) = site.run(&[&["history", "--state-dir", "{dir}/state"], form].concat(), "");
        assert!(stdout.contains(SHOWN), "{form:?}: {stdout}");
        if form.contains(&"--json") {
            let read: serde_json::Value = serde_json::from_str(&stdout).unwrap();
            assert_eq!(read["receipt"]["outcome"], "done");
        }
    }
}

/// In a trial a name in the shun list renamed the terminal's window in `gnt-ha shun status`.
#[test]
fn a_hostile_shun_list_is_shown_and_not_obeyed() {
    let site = Site::new();
    let entry = serde_json::json!({"epoch": 1, "addresses": ["192.0.2.3"], "scope": "all", "grade": "isolated",
        "boot_id": HOSTILE, "since_ms": 1, "by": HOSTILE});
    site.write("state/shun-list.json", &serde_json::json!({"n3.lab": entry}).to_string());
    let (stdout, stderr) = site.run(&["shun", "status"], "");
    // A user who may not read the kernel's rules gets an error.
    assert!(stdout.contains(SHOWN) || stderr.starts_with("gnt-ha: "), "{stdout}{stderr}");
    site.run(&["shun", "status", "--json"], "");
    site.write("state/shun-list.json", &serde_json::json!({HOSTILE: entry}).to_string());
    let (stdout, stderr) = site.run(&["shun", "status"], "");
    assert!(stdout.is_empty() && stderr.starts_with("gnt-ha: "), "{stdout}{stderr}");
}

/// An error quotes the file with the fault.
#[test]
fn a_hostile_configuration_is_quoted_and_not_obeyed() {
    let site = Site::new();
    for text in
        [format!("{HOSTILE} = 1\n"), format!("deadline = \"{HOSTILE}\"\n"), format!("[devices.\"{HOSTILE}\"]\n")]
    {
        site.write("config.toml", &text);
        let (stdout, stderr) = site.run(&["shun", "status"], "");
        assert!(stdout.is_empty() && stderr.starts_with("gnt-ha: ") && stderr.lines().count() == 1, "{stdout}{stderr}");
    }
}

/// No answer repeats a request over HTTP, or a command line, unchanged.
#[test]
fn what_is_asked_is_not_echoed_raw() {
    let site = Site::new();
    let (stdout, _) = site.run(&["report", "--http"], &format!("GET /{HOSTILE} HTTP/1.1\r\n\r\n"));
    assert!(stdout.starts_with("HTTP/1.1 4"), "{stdout}");
    let (_, stderr) = site.run(&["history", HOSTILE], "");
    assert!(stderr.starts_with("gnt-ha: "), "{stderr}");
    let (_, stderr) = site.run(&[HOSTILE], "");
    assert!(stderr.starts_with("gnt-ha: ") && Path::new(&stderr).file_name().is_some(), "{stderr}");
}

/// The list of commands in a help text has one line for each, on a terminal of 100 columns.
#[test]
fn the_first_line_of_a_commands_help_is_short() {
    fn first_lines(command: &clap::Command) -> Vec<String> {
        let own = command.get_about().map(ToString::to_string);
        own.into_iter().chain(command.get_subcommands().flat_map(first_lines)).collect()
    }
    let long: Vec<String> =
        first_lines(&<Cli as clap::CommandFactory>::command()).into_iter().filter(|line| line.len() > 72).collect();
    assert!(long.is_empty(), "more than 72 characters: {long:#?}");
}
