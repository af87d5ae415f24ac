//! The page of the configuration file: the sample that is installed, and that a test reads as the programs do.

use gnt_ha::core::config::DEFAULT_PATH;

use crate::page::Page;

const SAMPLE: &str = include_str!("../../config.toml");

/// Returns the page `gnt-ha.toml(5)`.
pub(crate) fn page() -> Page {
    let lines: Vec<String> = SAMPLE.lines().map(str::to_owned).collect();
    Page::new("gnt-ha.toml", 5, "which devices switch which node of a Ganeti cluster")
        .section("DESCRIPTION")
        .paragraph(&format!(
            "{DEFAULT_PATH} is TOML, and the same on every node: gnt-cluster copyfile copies it, and the files with the secrets \
             that it names. An unknown key is an error. The sample below has every key; a line that begins with # shows a \
             default or an example."
        ))
        .section("THE FILE")
        .lines(&lines)
        .section("SEE ALSO")
        .paragraph("ganeti-oob(8), fence_ganeti(8), gnt-ha(8), gnt-cluster(8)")
}
