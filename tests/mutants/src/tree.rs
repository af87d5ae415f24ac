//! Makes a copy of the sources that decide and of the model, small enough to be built again for each mutant in seconds.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::{Death, workspace};

/// The parts of the library that are copied, below `src/core`.
const CORE: [&str; 6] = ["grade.rs", "node.rs", "power_receipt.rs", "receipt.rs", "shun", "text.rs"];

const LIBRARY: &str = "#![allow(missing_docs, dead_code)]\npub mod core;\n";
const MODULES: &str = "pub mod evidence;\npub mod grade;\npub mod node;\npub mod power_receipt;\npub mod receipt;\npub mod shun;\npub mod text;\n";

/// The one kind of evidence that the copied sources name: the table itself depends on the configuration, which is not
/// copied.
const EVIDENCE: &str = "pub enum Evidence { LeaseEnded }\npub struct Worth { pub grade: super::grade::Grade }\n\
     impl Evidence { pub const fn worth(self) -> Worth { Worth { grade: super::grade::Grade::Bounded } } }\n";

/// The build profile: optimized only as far as the model needs it, as it is built for each mutant.
const PROFILE: &str = "\n[profile.mutants]\ninherits = \"dev\"\nopt-level = 1\ndebug = false\nincremental = true\n\n\
     [profile.mutants.package.\"*\"]\nopt-level = 3\n";

/// The copy of the workspace.
#[derive(Debug)]
pub struct Tree {
    top: PathBuf,
    target: PathBuf,
}

impl Tree {
    /// Makes the copy again in `dir`, and uses earlier build results there.
    ///
    /// # Errors
    /// If the file system reports an error.
    pub fn make(dir: &Path) -> io::Result<Self> {
        let top = dir.join("tree");
        let from = workspace();
        for file in CORE
            .iter()
            .map(|name| format!("src/core/{name}"))
            .chain(["tests/model".to_owned(), "tests/program".to_owned()])
        {
            copy(&from.join(&file), &top.join(&file))?;
        }
        write(&top.join("src/lib.rs"), LIBRARY)?;
        write(&top.join("src/core/mod.rs"), MODULES)?;
        write(&top.join("src/core/evidence.rs"), EVIDENCE)?;
        write(&top.join("Cargo.toml"), &(manifest(&fs::read_to_string(from.join("Cargo.toml"))?) + PROFILE))?;
        if !top.join("Cargo.lock").is_file() {
            fs::copy(from.join("Cargo.lock"), top.join("Cargo.lock"))?;
        }
        Ok(Self { top, target: dir.join("target") })
    }

    /// Returns the text of one of its files.
    ///
    /// # Errors
    /// If the file system reports an error.
    pub fn read(&self, file: &str) -> io::Result<String> {
        fs::read_to_string(self.top.join(file))
    }

    /// Writes one of the copy's files.
    ///
    /// # Errors
    /// If the file system reports an error.
    pub fn write(&self, file: &str, text: &str) -> io::Result<()> {
        write(&self.top.join(file), text)
    }

    /// Returns the digest of all sources: the same only while none of them has changed.
    ///
    /// # Errors
    /// If the file system reports an error.
    pub fn digest(&self) -> io::Result<u64> {
        let mut hasher = DefaultHasher::new();
        for dir in ["src", "tests"] {
            digest(&self.top.join(dir), &mut hasher)?;
        }
        Ok(hasher.finish())
    }

    /// Builds one test in the copy and runs it.
    ///
    /// # Errors
    /// If the system cannot start a program.
    pub fn run(&self, test: Death, only_build: bool) -> io::Result<Output> {
        // A mutant may have a model that never ends.
        let mut cargo = Command::new("timeout");
        cargo.arg("600").arg(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
        cargo.current_dir(&self.top).env("CARGO_TARGET_DIR", &self.target).env("RUSTFLAGS", "-Awarnings");
        cargo.args(["test", "--quiet", "--offline", "--profile", "mutants"]);
        let filter = match test {
            Death::Model(name) => {
                cargo.args(["--package", "model", "--test", "models"]);
                name.to_owned()
            }
            Death::Unit(path) => {
                cargo.args(["--package", "gnt-ha", "--lib"]);
                format!("core::shun::{path}")
            }
        };
        if only_build {
            return cargo.arg("--no-run").output();
        }
        cargo.args(["--", "--exact", &filter]).output()
    }
}

/// Returns the workspace's `Cargo.toml` with three members, and of the library only the dependencies of the decisions.
fn manifest(text: &str) -> String {
    let mut section = String::new();
    let mut lines = String::new();
    for line in text.lines() {
        if line.starts_with('[') {
            section = line.to_owned();
        }
        let is_needed = match section.as_str() {
            "[dependencies]" => line.starts_with('[') || line.starts_with("serde") || line.starts_with("thiserror"),
            "[dev-dependencies]" => {
                line.starts_with('[') || line.starts_with("proptest") || line.starts_with("program-test")
            }
            _ => true,
        };
        let line = match line.split_once(" = ") {
            Some(("members", _)) => "members = [\".\", \"tests/model\", \"tests/program\"]",
            Some(("default-members" | "exclude", _)) => "",
            _ => line,
        };
        if is_needed {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    lines
}

/// Writes a file only if it has changed, so that unchanged files keep their times and are not built again.
fn write(to: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(to).is_ok_and(|before| before == text) {
        return Ok(());
    }
    if let Some(dir) = to.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(to, text)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_file() {
        return write(to, &fs::read_to_string(from)?);
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn digest(path: &Path, hasher: &mut DefaultHasher) -> io::Result<()> {
    if path.is_file() {
        path.file_name().hash(hasher);
        fs::read(path)?.hash(hasher);
        return Ok(());
    }
    let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    entries.iter().try_for_each(|entry| digest(entry, hasher))
}
