//! Imports in `src` point down: a layer names only itself and the layers below it (`ARCHITECTURE.md`). In no crate do files name
//! each other in a circle: each can be read after those that it names. One arrow is not counted: a private module may name the
//! types of the module that declares it (`mod x;` without `pub`). Nothing else names it, and both are read as one.

#![allow(clippy::unwrap_used, reason = "a test ends where its sources cannot be read")]

mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sources::{CRATES, rust_files};

/// The layers of the library, lowest first: each may name those before it.
const LAYERS: [&[&str]; 5] = [&["core"], &["sys"], &["power"], &["service"], &["cli", "commands"]];

/// What `core` may not use: no clock, no I/O, no process, no environment.
const NOT_IN_CORE: [&str; 8] = [
    "std::fs",
    "std::process",
    "std::env",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::thread",
    "std::os",
    "TcpStream",
];

/// The code of a file: without comments, and without its own tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The files of a layer that are no tests, by their path below `src`, with their code.
fn files_of(layer: &[&str]) -> Vec<(String, String)> {
    let names: Vec<String> = layer.iter().flat_map(|name| [(*name).to_owned(), format!("{name}.rs")]).collect();
    read("src", &names)
}

/// These files and directories of a crate, without tests: their paths below `top`, with their code.
fn read(top: &str, names: &[String]) -> Vec<(String, String)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join(top);
    let files = names.iter().map(|name| top.join(name)).filter(|path| path.exists()).flat_map(|path| rust_files(&path));
    let is_test = |path: &str| path.ends_with("tests.rs") || path.contains("/tests/");
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&top).unwrap().to_str().unwrap().to_owned();
        (name, code(&std::fs::read_to_string(path).unwrap()))
    };
    files.map(read).filter(|(name, _)| !is_test(name)).collect()
}

/// The modules of the crate that a text names: the word after each `crate::`, in a group of imports each first word.
fn named(text: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                let (mut depth, mut begins) = (0, true);
                for (at, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        c if begins && depth == 0 && !c.is_whitespace() => {
                            found.push(word(&group[at..]));
                            begins = false;
                        }
                        _ => {}
                    }
                }
            }
            None => found.push(word(rest)),
        }
    }
    found
}

#[test]
fn no_layer_names_one_above_it() {
    let mut wrong = Vec::new();
    for (below, layer) in LAYERS.iter().enumerate() {
        let above: Vec<&str> = LAYERS.iter().skip(below + 1).flat_map(|layer| layer.iter().copied()).collect();
        let files = files_of(layer);
        assert!(!files.is_empty(), "no files of {layer:?}");
        for (file, text) in files {
            wrong.extend(
                named(&text)
                    .into_iter()
                    .filter(|name| above.contains(&name.as_str()))
                    .map(|name| format!("src/{file} names {name}")),
            );
        }
    }
    assert!(wrong.is_empty(), "imports that point up:\n{}", wrong.join("\n"));
}

#[test]
fn core_has_no_clock_and_no_io() {
    let mut wrong = Vec::new();
    for (file, text) in files_of(LAYERS[0]) {
        wrong.extend(
            NOT_IN_CORE.iter().filter(|word| text.contains(**word)).map(|word| format!("src/{file} uses {word}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_a_text_names_is_found() {
    let text =
        "use crate::sys::{a, b};\nuse crate::{cli, core::node::{self, X}, service};\nfn f() { crate::commands::g() }";
    assert_eq!(named(text), ["sys", "cli", "core", "service", "commands"]);
    assert_eq!(named(&code("// crate::sys\nlet x = 1; // crate::sys\n")), [""; 0]);
}

/// The module of a file, by its path below `src`.
fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').filter(|part| !matches!(*part, "lib" | "main")).map(str::to_owned).collect()
}

/// The paths that a list of imports holds: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expanded(list: &str) -> Vec<String> {
    let list = list.trim();
    let Some((before, group)) =
        list.split_once('{').and_then(|(before, rest)| Some((before, rest.rsplit_once('}')?.0)))
    else {
        return vec![list.split(" as ").next().unwrap_or_default().to_owned()];
    };
    let (mut depth, mut one, mut found) = (0, String::new(), Vec::new());
    for c in group.chars().chain([',']) {
        match c {
            ',' if depth == 0 => {
                found.extend(expanded(&std::mem::take(&mut one)).into_iter().map(|path| format!("{before}{path}")))
            }
            c => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                one.push(c);
            }
        }
    }
    found
}

/// The modules that a module declares, and whether each is private.
fn declared(code: &str) -> Vec<(String, bool)> {
    let of = |line: &str| {
        let (before, name) = line.trim().strip_suffix(';')?.rsplit_once("mod ")?;
        let is_declaration = before.is_empty() || before.starts_with("pub");
        is_declaration.then(|| (name.to_owned(), before.is_empty()))
    };
    code.lines().filter_map(of).collect()
}

/// The modules that a module's code names, as paths from the crate's root. Its own re-exports of the modules in it are left out.
fn paths(module: &[String], code: &str) -> Vec<Vec<String>> {
    let imports = code.split(';').filter_map(|statement| {
        let statement = statement.rsplit_once("use ").filter(|(before, _)| !before.ends_with("pub "))?.1;
        Some(expanded(statement))
    });
    let children = declared(code).into_iter().map(|(name, _)| format!("{name}::"));
    let roots: Vec<String> = ["crate::", "super::"].into_iter().map(str::to_owned).chain(children).collect();
    let begins = |at: usize| {
        let before = &code[..at];
        let is_in_a_path = before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        // A re-export, and who may see an item.
        let statement = before.rsplit([';', '}']).next().unwrap_or_default().trim_start();
        !is_in_a_path
            && !before.ends_with("(in ")
            && !statement.starts_with("pub use ")
            && !statement.starts_with("pub(super) use ")
    };
    let inline = roots.iter().flat_map(|root| {
        // The second `super` of a path belongs to the first.
        code.match_indices(root.as_str()).filter(|(at, _)| begins(*at)).map(|(at, _)| {
            let end =
                code[at..].find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(code.len() - at);
            code[at..at + end].to_owned()
        })
    });
    // What ends in `::` has a group or `*` behind it: an import, which is read above.
    let inline = inline.filter(|path| !path.ends_with("::"));
    let absolute = |path: String| {
        let mut parts: Vec<String> = path.split("::").map(|part| part.trim().to_owned()).collect();
        parts.retain(|part| !part.is_empty() && part != "*" && part != "self");
        let mut from = match parts.first().map(String::as_str) {
            Some("crate") => {
                parts.remove(0);
                Vec::new()
            }
            _ => module.to_vec(),
        };
        while parts.first().is_some_and(|part| part == "super") {
            parts.remove(0);
            from.pop();
        }
        from.extend(parts);
        from
    };
    imports.flatten().chain(inline).map(absolute).collect()
}

/// Files that name each other in a circle, each circle by one of its files.
fn circles(files: &[(String, String)]) -> Vec<String> {
    let modules: BTreeMap<Vec<String>, &str> = files.iter().map(|(file, _)| (module_of(file), file.as_str())).collect();
    let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (file, text) in files {
        let of = |path: Vec<String>| (1..=path.len()).rev().find_map(|length| modules.get(&path[..length]).copied());
        let module = module_of(file);
        let own_parent = module.split_last().and_then(|(name, parent)| {
            let parent = *modules.get(parent)?;
            let text = &files.iter().find(|(file, _)| file == parent)?.1;
            declared(text).contains(&(name.clone(), true)).then_some(parent)
        });
        let named = paths(&module, text).into_iter().filter_map(of);
        let named = named.filter(|named| named != file && Some(*named) != own_parent);
        names.entry(file).or_default().extend(named);
    }
    let reaches = |from: &str| {
        let (mut seen, mut next): (BTreeSet<&str>, Vec<&str>) =
            (BTreeSet::new(), names[from].iter().copied().collect());
        while let Some(file) = next.pop() {
            if seen.insert(file) {
                next.extend(names.get(file).into_iter().flatten().copied());
            }
        }
        seen
    };
    files.iter().filter(|(file, _)| reaches(file).contains(file.as_str())).map(|(file, _)| file.clone()).collect()
}

#[test]
fn no_files_name_each_other_in_a_circle() {
    let mut found = Vec::new();
    for top in CRATES {
        let files = read(top, &[String::new()]);
        assert!(files.len() > 1, "no files in {top}");
        found.extend(circles(&files).into_iter().map(|file| format!("{top}/{file}")));
    }
    assert!(found.is_empty(), "files in a circle:\n{}", found.join("\n"));
}

#[test]
fn a_circle_is_found() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let two = [
        file("core/a.rs", "use super::b::{X, Y};"),
        file("core/b.rs", "fn f(_: crate::core::a::Z) {}"),
        file("core/c.rs", "use super::a;"),
    ];
    assert_eq!(circles(&two), ["core/a.rs", "core/b.rs"]);
    assert_eq!(
        circles(&[file("core/d/mod.rs", "pub mod e;\npub use e::E;"), file("core/d/e.rs", "use super::F;")]),
        [""; 0]
    );
}

#[test]
fn a_call_of_a_module_in_it_is_counted() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let parent = "mod e;\npub mod g;\nfn f() { e::h(); g::h() }";
    let own = [file("d/mod.rs", parent), file("d/e.rs", "use super::F;"), file("d/g.rs", "")];
    assert_eq!(circles(&own), [""; 0], "a private module names its own parent");
    let public = [file("d/mod.rs", parent), file("d/e.rs", ""), file("d/g.rs", "use super::F;")];
    assert_eq!(circles(&public), ["d/mod.rs", "d/g.rs"]);
    let round = [file("d/mod.rs", parent), file("d/e.rs", "use crate::i::J;"), file("i.rs", "use crate::d::F;")];
    assert_eq!(circles(&round), ["d/mod.rs", "d/e.rs", "i.rs"]);
    let visible = [file("d/mod.rs", parent), file("d/g.rs", "pub(in crate::d) fn h() {}")];
    assert_eq!(circles(&visible), [""; 0], "the visibility of a function names nothing");
}

/// The types of `Result<_, String>` in a text of code: the errors that are text.
fn text_errors(code: &str) -> usize {
    let code: String = code.split_whitespace().collect();
    let is_text = |rest: &&str| {
        let mut depth = 1;
        let end = rest.replace("->", "..").find(|letter| {
            depth += i32::from(letter == '<') - i32::from(letter == '>');
            depth == 0
        });
        end.and_then(|end| rest.get(..end)).is_some_and(|of| of.trim_end_matches(',').ends_with(",String"))
    };
    code.split("Result<").skip(1).filter(is_text).count()
}

/// Errors are types (`CONTRIBUTING.md`). Text is one only where its reason is stated: where `core` takes it from an adapter, or where it is
/// printed and decides nothing.
#[test]
fn few_errors_are_text() {
    let files: Vec<_> = ["src", "fence", "oob", "agents"]
        .into_iter()
        .flat_map(|top| {
            read(top, &[String::new()]).into_iter().map(move |(file, code)| (format!("{top}/{file}"), code))
        })
        .map(|(file, code)| (text_errors(&code), file))
        .filter(|(count, _)| *count > 0)
        .collect();
    let count: usize = files.iter().map(|(count, _)| count).sum();
    assert!((1..=15).contains(&count), "{count} results with text as error: {files:#?}");
}

#[test]
fn an_error_that_is_text_is_found() {
    assert_eq!(text_errors("fn f() -> Result<Vec<(u8, A)>, String>;\nx: Result<\n    u8,\n    String,\n>"), 2);
    assert_eq!(text_errors("io::Result<String>, Result<Vec<String>, E>, Result<BTreeMap<A, String>, E>"), 0);
}
