//! The metadata document, as Pacemaker, pcs and fence-agents' schema read it.

mod common;

use std::path::Path;
use std::process::Command;

use common::{bounded, feed, pacemakers_command};

/// Debian's copy of fence-agents' schema (package fence-agents-common).
const SCHEMA: &str = "/usr/share/cluster/relaxng/metadata.rng";

fn document() -> String {
    let ran = feed(pacemakers_command(), b"action=metadata\n");
    ran.succeeded().stdout.clone()
}

/// fence-agents validates every agent's metadata against this schema when it is built.
#[test]
fn it_is_valid_by_fence_agents_schema() {
    if !Path::new(SCHEMA).exists() {
        println!("skipped: there is no {SCHEMA} (Debian: fence-agents-common)");
        return;
    }
    let mut command = Command::new("xmllint");
    if command.arg("--version").output().is_err() {
        println!("skipped: there is no xmllint (Debian: libxml2-utils)");
        return;
    }
    let mut command = Command::new("xmllint");
    command.args(["--noout", "--relaxng", SCHEMA, "-"]);
    let ran = feed(command, document().as_bytes());
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

/// Both words and both ways of asking give the same document, without a cluster or a node.
#[test]
fn it_is_printed_however_it_is_asked_for() {
    let document = document();
    for action in ["metadata", "meta-data", "manpage", "METADATA"] {
        assert_eq!(feed(pacemakers_command(), format!("option={action}\n").as_bytes()).succeeded().stdout, document);
        let mut command = bounded();
        command.args(["-o", action]);
        assert_eq!(feed(command, b"").succeeded().stdout, document);
    }
}

/// Pacemaker 2.1 searches for `port`, 3 for `plug` first (`stonith__default_host_arg`): the document has both. `on`
/// must not be automatic, or Pacemaker would switch nodes on by itself.
#[test]
fn pacemaker_finds_what_it_searches() {
    let document = document();
    for piece in [
        r#"<parameter name="plug""#,
        r#"<parameter name="port""#,
        r#"<action name="off""#,
        r#"<action name="reboot""#,
        r#"<action name="list""#,
        r#"<action name="status""#,
    ] {
        assert!(document.contains(piece), "no {piece} in\n{document}");
    }
    assert!(!document.contains(r#"automatic="1""#) && !document.contains(r#"on_target="1""#), "{document}");
}
