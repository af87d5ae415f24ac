//! Tests `tests/labs`, which runs the labs of `make labs`.

#![allow(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use tempfile::TempDir;

fn program(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// xargs ends no lab: two labs ran on, and the next run replaced them while they ran.
#[test]
fn a_signal_to_the_script_alone_ends_its_labs() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("tests/e2e")).unwrap();
    mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
    let names: String = (0..21).map(|number| format!("lab_{number}: test\\n")).collect();
    program(
        &at("lab"),
        &format!(
            "case $* in\n*--ignored*) ;;\n*--list*) printf '{names}' ;;\n*) exec 3>{}; echo begun >&3; exec sleep 600 ;;\nesac",
            at("pipe").display()
        ),
    );
    let built = format!(
        r#"{{"manifest_path":"{}","kind":["test"],"executable":"{}"}}"#,
        at("tests/e2e/Cargo.toml").display(),
        at("lab").display()
    );
    program(&at("cargo"), &format!("echo '{built}'"));
    let mut running = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/labs"))
        .args([at("logs").as_os_str(), "2".as_ref()])
        .env("CARGO", at("cargo"))
        .env("TESTED", "")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut labs = BufReader::new(File::open(at("pipe")).unwrap()).lines();
    for _ in 0..2 {
        assert_eq!(labs.next().unwrap().unwrap(), "begun");
    }
    kill(Pid::from_raw(i32::try_from(running.id()).unwrap()), Signal::SIGTERM).unwrap();
    running.wait().unwrap();
    // The labs keep the pipe open as long as they run.
    assert!(labs.next().is_none());
}
