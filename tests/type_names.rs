//! A public type has a name of its own: no two types of the library and the programs share one (`CONTRIBUTING.md`).

#![allow(clippy::unwrap_used, reason = "a test ends where its sources cannot be read")]

mod sources;

use std::collections::BTreeMap;
use std::path::Path;

use sources::{CRATES, rust_files};

/// The names that several types have, each for one meaning.
const SHARED: [&str; 4] = [
    // The command line of a program, its subcommands, and the options of one of them.
    "Cli",
    "Command",
    "Arguments",
    // IPMI's privilege level, in the configuration and in `ipmi-lan`, which knows nothing of gnt-ha.
    "Privilege",
];

/// The names of the public types that a text defines.
fn defined(text: &str) -> Vec<String> {
    let of = |line: &str| {
        let rest = line.trim_start().strip_prefix("pub ")?;
        let name = ["struct ", "enum ", "trait "].iter().find_map(|kind| rest.strip_prefix(kind))?;
        Some(name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
    };
    text.lines().filter_map(of).collect()
}

#[test]
fn a_public_type_has_a_name_of_its_own() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = CRATES.iter().flat_map(|of| rust_files(&top.join(of)));
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in files {
        let file = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
        for name in defined(&std::fs::read_to_string(&path).unwrap()) {
            by_name.entry(name).or_default().push(file.clone());
        }
    }
    assert!(by_name.len() > 100, "only {} types found", by_name.len());
    let twice = |name: &str| by_name.get(name).is_some_and(|files| files.len() > 1);
    let unused: Vec<&str> = SHARED.into_iter().filter(|name| !twice(name)).collect();
    assert!(unused.is_empty(), "stated as shared, and are not: {unused:?}");
    by_name.retain(|name, files| files.len() > 1 && !SHARED.contains(&name.as_str()));
    assert!(by_name.is_empty(), "one name, several public types: {by_name:#?}");
}

#[test]
fn a_definition_is_found() {
    let text =
        "pub struct A<T>(T);\n    pub enum B {\npub trait C: D {}\nstruct E;\npub(super) struct F;\n/// pub struct G\n";
    assert_eq!(defined(text), ["A", "B", "C"]);
}
