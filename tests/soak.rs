//! Tests `tests/soak`, which runs all tests for a night: which parts an interrupted run repeats.

#![allow(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use tempfile::TempDir;

/// A tree with the script, and beside it programs that stand for cargo, make and two labs: `first` ends at once, and
/// the run is interrupted during `last`.
struct Soak(TempDir);

impl Soak {
    fn new() -> Self {
        let soak = Self(TempDir::new().unwrap());
        for dir in ["tree/tests/e2e", "programs/deps"] {
            fs::create_dir_all(soak.at(dir)).unwrap();
        }
        fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/soak"), soak.at("tree/tests/soak")).unwrap();
        fs::write(soak.at("tree/source"), "as committed").unwrap();
        mkfifo(&soak.at("pipe"), Mode::S_IRWXU).unwrap();
        soak.program("tree/tests/older", "");
        for name in ["programs/make", "programs/dpkg-query"] {
            soak.program(name, "");
        }
        let of_labs = format!(
            r#"{{"manifest_path":"{}","kind":["test"],"executable":"{}"}}"#,
            soak.at("tree/tests/e2e/Cargo.toml").display(),
            soak.at("programs/deps/labs").display()
        );
        soak.program("programs/cargo", &format!("echo '{of_labs}'"));
        let [pipe, fails] = ["pipe", "fails"].map(|name| soak.at(name).display().to_string());
        soak.program(
            "programs/deps/labs",
            &format!(
                "case $* in\n--list*) printf 'first: test\\nlast: test\\n' ;;\n*first*) echo first >>{pipe}.ran; [ ! -e {fails} ] ;;\n\
                 *) cat {pipe}.ran >{pipe}; exec sleep 600 ;;\nesac"
            ),
        );
        soak
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn program(&self, name: &str, text: &str) {
        fs::write(self.at(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(self.at(name), Permissions::from_mode(0o755)).unwrap();
    }

    fn git(&self, words: &[&str]) {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=t", "-c", "user.email=t@example.com"]).args(words);
        assert!(command.current_dir(self.at("tree")).status().unwrap().success(), "{words:?}");
    }

    fn start(&self, hours: &str) -> Child {
        let path = format!("{}:{}", self.at("programs").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(self.at("tree/tests/soak"));
        command.args([self.at("figures").as_os_str(), hours.as_ref()]).env("PATH", path);
        // A commit hook sets these, and git would look there.
        command.env_remove("GIT_DIR").env_remove("GIT_INDEX_FILE").env("GIT_CEILING_DIRECTORIES", self.0.path());
        command.env("CARGO", self.at("programs/cargo")).envs([("TESTED", ""), ("REAL", "")]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs it, interrupts it during the last lab, and returns whether the first one ran.
    fn runs_the_first(&self) -> bool {
        fs::write(self.at("pipe.ran"), "").unwrap();
        let mut running = self.start("1");
        let mut ran = String::new();
        File::open(self.at("pipe")).unwrap().read_to_string(&mut ran).unwrap();
        kill(Pid::from_raw(i32::try_from(running.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(running.wait().unwrap().code(), Some(130));
        !ran.is_empty()
    }
}

fn is_git_installed() -> bool {
    Command::new("git").arg("--version").output().is_ok()
}

/// "Finished" was known by the commit alone: after a fix that was not yet committed, the parts that the old sources had
/// passed did not run again, and the whole passed.
#[test]
fn only_the_same_sources_go_on_where_they_were_interrupted() {
    if !is_git_installed() {
        return;
    }
    let soak = Soak::new();
    soak.git(&["init", "--quiet"]);
    soak.git(&["add", "."]);
    soak.git(&["commit", "--quiet", "--message", "sources"]);
    assert!(soak.runs_the_first());
    assert!(!soak.runs_the_first(), "the same commit");
    fs::write(soak.at("tree/source"), "changed").unwrap();
    assert!(soak.runs_the_first(), "a changed file");
    assert!(!soak.runs_the_first(), "the same change");
    fs::write(soak.at("tree/source"), "changed again").unwrap();
    assert!(soak.runs_the_first(), "another change");
    fs::write(soak.at("tree/added"), "not yet in git").unwrap();
    assert!(soak.runs_the_first(), "a new file");
    fs::write(soak.at("tree/added"), "with other contents").unwrap();
    assert!(soak.runs_the_first(), "other contents");
    assert!(!soak.runs_the_first(), "the same contents");
}

#[test]
fn without_git_all_parts_run() {
    let soak = Soak::new();
    assert!(soak.runs_the_first());
    assert!(soak.runs_the_first());
}

#[test]
fn a_part_that_failed_runs_again() {
    if !is_git_installed() {
        return;
    }
    let soak = Soak::new();
    soak.git(&["init", "--quiet"]);
    soak.git(&["add", "."]);
    soak.git(&["commit", "--quiet", "--message", "sources"]);
    fs::write(soak.at("fails"), "").unwrap();
    assert!(soak.runs_the_first());
    fs::remove_file(soak.at("fails")).unwrap();
    assert!(soak.runs_the_first());
    assert!(!soak.runs_the_first());
}

#[test]
fn a_run_without_a_part_fails() {
    let soak = Soak::new();
    assert_eq!(soak.start("0").wait().unwrap().code(), Some(1));
}
