//! Checks the agents with the tools of resource-agents: the schema of the metadata, and `ocf-tester`.

use std::process::Command;

use crate::common::{MASTER, NODE, Scene};

fn installed(program: &str) -> bool {
    Command::new("which").arg(program).output().is_ok_and(|output| output.status.success())
}

/// The metadata is valid by the DTD and the schema of resource-agents.
#[test]
fn the_metadata_passes_resource_agents_schema_and_dtd() {
    const DIR: &str = "/usr/share/resource-agents";
    if !installed("xmllint") || !std::path::Path::new(DIR).exists() {
        eprintln!("skipped: resource-agents or libxml2-utils is not installed");
        return;
    }
    for agent in [MASTER, NODE] {
        let document = Command::new(agent).arg("meta-data").output().unwrap();
        assert!(document.status.success() && document.stderr.is_empty());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), document.stdout).unwrap();
        for check in [
            ["--dtdvalid", "/usr/share/resource-agents/ra-api-1.dtd"],
            ["--relaxng", "/usr/share/resource-agents/metadata.rng"],
        ] {
            let ended =
                Command::new("xmllint").arg("--noout").arg("--nonet").args(check).arg(file.path()).output().unwrap();
            let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert!(ended.status.success(), "{agent} {check:?}: {stderr}");
        }
    }
}

#[test]
fn ocf_tester_passes_both() {
    if !installed("ocf-tester") || !is_root() {
        eprintln!("skipped: ocf-tester is not installed, or this is not root");
        return;
    }
    for agent in [MASTER, NODE] {
        let scene = Scene::new("n1.lab").alone();
        let ended = scene.ocf_tester(agent);
        assert!(ended.code == 0, "{agent}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.contains("passed all tests"), "{}", ended.stdout);
    }
}

pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}
