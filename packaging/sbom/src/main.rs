//! `make sbom`: reads from cargo what is linked into the programs, compares that with the programs, and writes the SBOM.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use sbom::Sources;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).map(PathBuf::from);
    let done = match words.next() {
        None => Err("usage: sbom FILE PROGRAM...".to_owned()),
        Some(file) => write(&file, &words.collect::<Vec<_>>()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            eprintln!("sbom: {line}");
            ExitCode::FAILURE
        }
    }
}

fn write(file: &Path, programs: &[PathBuf]) -> Result<(), String> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).ok_or("there is no workspace")?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let rustc = output_of(Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned())).arg("-vV"))?;
    let of_rustc = |key: &str| {
        let value = rustc.lines().find_map(|line| line.strip_prefix(key));
        value.ok_or_else(|| format!("the output of rustc -vV has no line {key}"))
    };
    // Both are needed: `metadata` enables the features of the tests' packages, and `tree` has no details.
    let tree =
        ["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none", "--no-dedupe", "--format", "{p}"];
    let tree = output_of(Command::new(&cargo).args(tree).current_dir(root))?;
    let metadata = ["metadata", "--locked", "--format-version", "1", "--filter-platform", of_rustc("host: ")?];
    let metadata = output_of(Command::new(&cargo).args(metadata).current_dir(root))?;
    let lock = read(&root.join("Cargo.lock"))?;
    let sources = Sources {
        tree: &tree,
        metadata: &serde_json::from_str(&metadata)
            .map_err(|error| format!("cannot parse the output of cargo metadata: {error}"))?,
        lock: &String::from_utf8_lossy(&lock),
        rustc: of_rustc("release: ")?,
        programs: &programs.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?,
    };
    let text = serde_json::to_string_pretty(&sbom::bill(&sources)?).map_err(|error| error.to_string())? + "\n";
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    }
    std::fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

fn output_of(command: &mut Command) -> Result<String, String> {
    let words = format!("{command:?}");
    let output = command.output().map_err(|error| format!("cannot run {words}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{words}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("the output of {words} is not valid UTF-8: {error}"))
}
