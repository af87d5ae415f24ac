//! The SBOM of this repository.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Runs `sbom` for a program with this content.
fn bill(program: &str) -> Result<Value, String> {
    let dir = tempfile::tempdir().unwrap();
    let (file, given) = (dir.path().join("bill.json"), dir.path().join("program"));
    std::fs::write(&given, program).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sbom")).args([&file, &given]).output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    Ok(serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} of {value}"))
}

fn components(bill: &Value) -> BTreeMap<(String, String), &Value> {
    let all = bill["components"].as_array().unwrap();
    all.iter().map(|one| ((text(one, "name").to_owned(), text(one, "version").to_owned()), one)).collect()
}

/// The SBOM has each linked package, as Cargo.lock has it, with a licence, and no package that only builds or tests.
#[test]
fn the_sbom_has_the_linked_packages_and_no_other() {
    let bill = bill("\0libz.so.1\0libcurl.so.4\0").unwrap();
    assert_eq!((text(&bill, "bomFormat"), text(&bill, "specVersion")), ("CycloneDX", "1.5"));
    let all = components(&bill);
    let names: BTreeSet<&str> = all.keys().map(|(name, _)| name.as_str()).collect();
    for linked in [
        "gnt-ha",
        "fence_ganeti",
        "ganeti-oob",
        "ganeti-agents",
        "noded-call",
        "redfish-call",
        "serde",
        "curl-sys",
        "rust-std",
    ] {
        assert!(names.contains(linked), "{linked}: {names:?}");
    }
    for other in [
        "proptest",
        "tempfile",
        "lab",
        "e2e",
        "clap_mangen",
        "cc",
        "pkg-config",
        "syn",
        "serde_derive",
        "zlib",
        "openssl-src",
    ] {
        assert!(!names.contains(other), "{other} is in no program");
    }

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let words = ["tree", "--locked", "--offline", "--edges", "normal,no-proc-macro", "--prefix", "none", "--no-dedupe"];
    let tree =
        Command::new(env!("CARGO")).args(words).args(["--format", "{p}|{l}"]).current_dir(root).output().unwrap();
    assert!(tree.status.success());
    let tree = String::from_utf8(tree.stdout).unwrap();
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).unwrap();
    let mut linked = BTreeSet::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let (package, licence) = line.split_once('|').unwrap();
        let words: Vec<&str> = package.split_whitespace().collect();
        let (name, version) = (words[0].to_owned(), words[1].trim_start_matches('v').to_owned());
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")), "{line}");
        let one = all.get(&(name.clone(), version.clone())).unwrap_or_else(|| panic!("{line} is not in it"));
        assert_eq!(one["licenses"][0]["expression"], licence.replace('/', " OR "), "{line}");
        if let Some(hash) = one["hashes"][0]["content"].as_str() {
            assert!(lock.contains(&format!("checksum = \"{hash}\"")) && hash.len() == 64, "{line}");
        }
        linked.insert((name, version));
    }
    let beside: Vec<&str> =
        all.keys().filter(|package| !linked.contains(*package)).map(|(name, _)| name.as_str()).collect();
    assert_eq!(beside, ["rust-std"], "the only component that is not a package of cargo");
    assert_valid(&bill);
}

/// Checks two rules of CycloneDX: each reference is unique, and each dependency names a component of the SBOM.
fn assert_valid(bill: &Value) {
    let mut references = BTreeSet::from([text(&bill["metadata"]["component"], "bom-ref")]);
    for component in bill["components"].as_array().unwrap() {
        assert_eq!(text(component, "type"), "library");
        assert!(!text(component, "name").is_empty() && !text(component, "version").is_empty());
        assert_eq!(component["licenses"].as_array().unwrap().len(), 1, "an expression stands alone");
        assert!(references.insert(text(component, "bom-ref")), "{component}");
    }
    let graph = bill["dependencies"].as_array().unwrap();
    for one in graph {
        assert!(references.contains(text(one, "ref")), "{one}");
        for needed in one["dependsOn"].as_array().unwrap() {
            assert!(references.contains(needed.as_str().unwrap()), "{one}");
        }
    }
}

/// The programs themselves are searched: they name the sources of their panics, and contain zlib's notice.
#[test]
fn each_package_that_a_program_names_must_be_in_the_sbom() {
    let path = "\0/build/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/proptest-1.12.0/src/lib.rs\0libz.so.1\0libcurl.so.4\0";
    let refused = bill(path).unwrap_err();
    assert!(refused.contains("a program holds proptest-1.12.0"), "{refused}");
    let inside = bill("\0 inflate 1.3.1 Copyright 1995-2024 Mark Adler \0libcurl.so.4\0").unwrap();
    let zlib = &components(&inside)[&("zlib".to_owned(), "1.3.1".to_owned())].clone();
    assert_eq!(zlib["licenses"][0]["license"]["id"], "Zlib");
    // Only libcurl needs zlib, and a linker may leave out a library of which the program calls no function.
    for without in ["\0libcurl.so.4\0", "\0libz.so.1\0libcurl.so.4\0"] {
        assert!(!components(&bill(without).unwrap()).keys().any(|(name, _)| name == "zlib"), "{without:?}");
    }
    // A library that is part of a program gets no fix from the distribution.
    for without in ["nothing", "\0libz.so.1\0"] {
        let neither = bill(without).unwrap_err();
        assert!(neither.contains("name the built programs"), "{neither}");
    }
}
