//! The bill of materials of the programs, as CycloneDX 1.5 JSON (ECMA-424): each package that is linked, with its version,
//! licence and checksum, and what it depends on.
//!
//! The same sources make the same bill: it has no time and no serial number.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// The input of the SBOM.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The output of `cargo tree` for the programs' normal dependencies, one `{p}` on each line.
    pub tree: &'a str,
    /// The output of `cargo metadata`.
    pub metadata: &'a Value,
    /// The content of `Cargo.lock`.
    pub lock: &'a str,
    /// The compiler's version, which is that of its standard library.
    pub rustc: &'a str,
    /// The built programs.
    pub programs: &'a [Vec<u8>],
}

/// The name and version of a package.
type Package = (String, String);

/// Returns the SBOM of the programs.
///
/// # Errors
/// The property of a package that is unknown, or the package that a program contains and cargo does not name.
pub fn bill(sources: &Sources<'_>) -> Result<Value, String> {
    let linked: BTreeSet<Package> = sources.tree.lines().filter_map(package).collect();
    for program in sources.programs {
        named_by(program, &linked)?;
    }
    let checksums = checksums(sources.lock);
    let all = sources.metadata["packages"].as_array().ok_or("cargo metadata names no packages")?;
    let of = |value: &Value| (text(&value["name"]), text(&value["version"]));
    let known: BTreeMap<Package, &Value> = all.iter().map(|value| (of(value), value)).collect();
    let by_id: BTreeMap<&str, &Package> =
        known.iter().filter_map(|(package, value)| Some((value["id"].as_str()?, package))).collect();
    let mut components = vec![standard_library(sources.rustc)];
    let mut dependencies = BTreeMap::new();
    for package in &linked {
        let value = known.get(package).ok_or_else(|| format!("cargo metadata has no package {}", dir(package)))?;
        components.push(component(package, value, checksums.get(package))?);
        let node = sources.metadata["resolve"]["nodes"]
            .as_array()
            .and_then(|nodes| nodes.iter().find(|node| node["id"] == value["id"]));
        let of_it = node.and_then(|node| node["deps"].as_array()).into_iter().flatten();
        let needs = of_it.filter(|edge| is_normal(edge)).filter_map(|edge| by_id.get(edge["pkg"].as_str()?));
        let needs: BTreeSet<String> =
            needs.filter(|other| linked.contains(**other)).map(|other| reference(other)).collect();
        dependencies.insert(reference(package), needs);
    }
    for (holder, bundled) in bundled(&linked, sources)? {
        let needs = dependencies.entry(holder).or_default();
        needs.insert(text(&bundled["bom-ref"]));
        components.push(bundled);
    }
    let ours: BTreeSet<String> = linked.iter().filter(|package| is_ours(known.get(package))).map(reference).collect();
    let version = known.iter().find(|((name, _), value)| name == NAME && is_ours(Some(value)));
    let version = version.map(|((_, version), _)| version.clone()).ok_or("there is no package gnt-ha")?;
    let mut graph = vec![json!({"ref": NAME, "dependsOn": ours})];
    graph.extend(dependencies.into_iter().map(|(of, needs)| json!({"ref": of, "dependsOn": needs})));
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {
            "type": "application", "bom-ref": NAME, "name": NAME, "version": version,
            "licenses": [{"expression": OUR_LICENCE}],
        }},
        "components": components,
        "dependencies": graph,
    }))
}

const NAME: &str = "gnt-ha";
const OUR_LICENCE: &str = "MIT OR Apache-2.0";

/// Parses a line of `cargo tree`: `serde v1.0.229`, and a path behind it for a package of this repository.
fn package(line: &str) -> Option<Package> {
    let mut words = line.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
}

/// Returns the name of the directory of a package's sources, which a program contains for its panics.
fn dir((name, version): &Package) -> String {
    format!("{name}-{version}")
}

/// Checks that the source files that a program names belong to linked packages. A program has these names for its panics.
fn named_by(program: &[u8], linked: &BTreeSet<Package>) -> Result<(), String> {
    const BEFORE: &str = "/registry/src/";
    let dirs: BTreeSet<String> = linked.iter().map(dir).collect();
    let program = String::from_utf8_lossy(program);
    let is_name = |letter: &char| letter.is_ascii_alphanumeric() || "-_.+".contains(*letter);
    // The name of the registry's index is between.
    let named = program.split(BEFORE).skip(1).filter_map(|rest| {
        let rest = rest.split_once('/')?.1;
        Some(rest.chars().take_while(is_name).collect::<String>())
    });
    let mut strange = named.filter(|name| !dirs.contains(name));
    match strange.next() {
        None => Ok(()),
        Some(name) => Err(format!("a program holds {name}, and cargo tree does not name it: build the programs again")),
    }
}

/// Returns the checksum of each package, as the registry has it.
fn checksums(lock: &str) -> BTreeMap<Package, String> {
    let value = |entry: &str, key: &str| {
        let line = entry.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.strip_prefix(" = \"")?.trim_end_matches('"').to_owned())
    };
    let entries = lock.split("[[package]]").skip(1);
    entries
        .filter_map(|entry| Some(((value(entry, "name")?, value(entry, "version")?), value(entry, "checksum")?)))
        .collect()
}

fn is_ours(package: Option<&&Value>) -> bool {
    package.is_some_and(|package| package["source"].is_null())
}

fn is_normal(edge: &Value) -> bool {
    edge["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
}

/// Returns the package URL. A `+` is encoded, as some programs read it as a space.
fn reference((name, version): &Package) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

fn component(package: &Package, value: &Value, checksum: Option<&String>) -> Result<Value, String> {
    let (name, version) = package;
    let licence = value["license"].as_str().ok_or_else(|| format!("{} names no licence", dir(package)))?;
    let mut component = json!({
        "type": "library", "bom-ref": reference(package), "name": name, "version": version,
        // Older manifests have a slash, which is not valid in SPDX expressions.
        "licenses": [{"expression": licence.replace('/', " OR ")}],
    });
    if is_ours(Some(&value)) {
        return Ok(component);
    }
    let checksum = checksum.ok_or_else(|| format!("Cargo.lock has no checksum of {}", dir(package)))?;
    component["purl"] = reference(package).into();
    component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    if let Some(repository) = value["repository"].as_str() {
        component["externalReferences"] = json!([{"type": "vcs", "url": repository}]);
    }
    Ok(component)
}

fn standard_library(version: &str) -> Value {
    json!({
        "type": "library", "bom-ref": format!("rust-std@{version}"), "name": "rust-std", "version": version,
        "licenses": [{"expression": OUR_LICENCE}],
        "externalReferences": [{"type": "vcs", "url": "https://github.com/rust-lang/rust"}],
    })
}

/// Returns the C libraries that packages contain and build, each with its package.
fn bundled(linked: &BTreeSet<Package>, sources: &Sources<'_>) -> Result<Vec<(String, Value)>, String> {
    let find = |name: &str| linked.iter().find(|package| package.0 == name);
    let library = |name: &str, version: &str, licence: &str| {
        let purl = format!("pkg:generic/{name}@{version}");
        json!({
            "type": "library", "bom-ref": purl, "purl": purl, "name": name, "version": version,
            "licenses": [{"license": {"id": licence}}],
        })
    };
    let mut found = Vec::new();
    // If no program names the shared library, the library is linked statically or not used.
    let shares = |name: &[u8]| sources.programs.iter().any(|program| contains(program, name));
    if find("curl-sys").is_some() && !shares(b"libcurl.so") {
        return Err(
            "libcurl is inside of a program: it has to be the distribution's: name the built programs".to_owned()
        );
    }
    // A linker leaves out a shared library of which the program calls no function, as zlib if only libcurl needs it.
    let zlib = sources.programs.iter().find_map(|program| zlib_version(program));
    if let (Some(package), Some(version)) = (find("libz-sys"), zlib) {
        found.push((reference(package), library("zlib", &version, "Zlib")));
    }
    Ok(found)
}

fn contains(program: &[u8], what: &[u8]) -> bool {
    program.windows(what.len()).any(|window| window == what)
}

/// The notice that zlib's licence requires in each program: ` inflate 1.3.1 Copyright 1995-2024 Mark Adler `.
fn zlib_version(program: &[u8]) -> Option<String> {
    let program = String::from_utf8_lossy(program);
    let (before, _) = program.split_once(" Copyright 1995-")?;
    before.rsplit(' ').next().map(str::to_owned)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
