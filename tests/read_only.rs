//! Commands that only read change nothing: their sources have no function that could.

#![allow(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]

use std::path::{Path, PathBuf};

/// The sources of commands that claim to change nothing.
const READ_ONLY: [&str; 6] = ["status", "report.rs", "rehearse.rs", "recover/planned.rs", "check", "history"];

/// Functions that change a rule, a file or Ganeti's record.
const CHANGES: [&str; 16] = [
    ".reconciler()",
    "Reconciler::new",
    "make_reachable",
    "make_unreachable",
    "nft::apply",
    "Lock::take",
    "state_file::write",
    "Luxi::",
    ".append(",
    ".off(",
    "shun_by_hand",
    "readmit_by_hand",
    "ShunApplier",
    "ShunCoordinator",
    " sync(",
    MEMORY,
];

/// What `check` does all the same, and says in its help: the nodes remember which BMCs were proven.
const MEMORY: &str = "bmc_identities::remember";
const REMEMBERS: &str = "check";

fn sources(path: &Path, into: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            sources(&entry.unwrap().path(), into);
        }
    } else {
        into.push(path.to_owned());
    }
}

#[test]
fn no_command_that_only_reads_contains_what_changes_something() {
    let commands = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands");
    for name in READ_ONLY {
        let mut files = Vec::new();
        sources(&commands.join(name), &mut files);
        files.retain(|file| !file.ends_with("tests.rs"));
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            // Test code may change files.
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            for change in CHANGES.into_iter().filter(|change| *change != MEMORY || name != REMEMBERS) {
                assert!(!text.contains(change), "{}: {change}", file.display());
            }
        }
    }
}
