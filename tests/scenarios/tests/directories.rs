//! Runs every directory of `cases`: its commands, and the expected log. `UPDATE=1` writes the logs again.

#![allow(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]

use std::fs;
use std::path::{Path, PathBuf};

use scenarios::{Script, run};

fn dirs() -> Vec<PathBuf> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut dirs: Vec<PathBuf> =
        fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    dirs.sort();
    dirs
}

#[test]
fn every_scenario_is_decided_as_expected() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for dir in dirs() {
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        let commands = fs::read_to_string(dir.join("cmdlist")).unwrap();
        let script = match Script::parse(&commands) {
            Ok(script) => script,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let outcome = run(&script).unwrap();
        wrong.extend(outcome.broken.iter().map(|broken| format!("{name}: broken: {broken}")));
        if outcome.checks <= script.until as usize {
            wrong.push(format!("{name}: its invariants were not checked after each step"));
        }
        let path = dir.join("log.expect");
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if update {
            fs::write(&path, &outcome.log).unwrap();
        } else if expected != outcome.log {
            wrong.push(format!("{name}: {}\n{}", script.guards, diff(&expected, &outcome.log)));
        }
    }
    assert!(wrong.is_empty(), "{}\nUPDATE=1 writes the logs anew; read them before", wrong.join("\n"));
}

#[test]
fn there_are_enough_and_each_guards_something_of_its_own() {
    let mut guards: Vec<String> = dirs()
        .iter()
        .map(|dir| Script::parse(&fs::read_to_string(dir.join("cmdlist")).unwrap()).unwrap().guards)
        .collect();
    let all = guards.len();
    guards.sort();
    guards.dedup();
    assert_eq!(guards.len(), all, "two scenarios guard the same");
    assert!(all >= 150, "there are {all}");
}

/// Returns the lines that differ, with those around them.
fn diff(expected: &str, found: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            common[i][j] = if a == b { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(format!("   {}", old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || i < old.len() && common[i + 1][j] >= common[i][j + 1] {
            lines.push(format!("  -{}", old[i]));
            i += 1;
        } else {
            lines.push(format!("  +{}", new[j]));
            j += 1;
        }
    }
    lines.join("\n")
}
