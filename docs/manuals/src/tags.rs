//! The page of the tags of the cluster, node groups and instances, and of the files that simulate conditions on one host.

use std::path::Path;

use gnt_ha::core::config::DEFAULT_STATE;
use gnt_ha::core::ganeti::tags::{RECOVER, TAGS};
use gnt_ha::core::recovery::permission::PREFIX as AUTOREPAIR;
use gnt_ha::core::recovery::priority::PREFIX as PRIORITY_PREFIX;
use gnt_ha::core::roles::simulate::Simulated;
use gnt_ha::sys::simulate::DIR;

use crate::page::Page;

/// Returns the page `gnt-ha-tags(7)`.
pub(crate) fn page() -> Page {
    let line = |text: &str| vec![text.to_owned()];
    let mut page = Page::new("gnt-ha-tags", 7, "tags for Ganeti's roles under Pacemaker and for recovery, and simulation files")
        .section("CLUSTER TAGS")
        .paragraph(
            "Set the tags for the whole cluster, on the master. Each node reads its own copy, which Ganeti writes: a node that is \
             recorded offline keeps the tags of that time.",
        )
        .lines(&line("gnt-cluster add-tags ocf:master-role:full"))
        .paragraph("Of two contradictory tags the one that is further down in this list applies.");
    for tag in TAGS {
        page = page.item(tag.text, "", &sentence(tag.meaning));
    }
    page = recovery(page);
    let dir = Path::new(DEFAULT_STATE).join(DIR).display().to_string();
    page = page
        .section("SIMULATION FILES")
        .paragraph(&format!(
            "A file in {dir} on one host simulates a condition: the agents on that host report it, and Pacemaker acts on the \
             report. The content of the file does not matter. Remove the file to end the simulation; the directory survives \
             a boot."
        ))
        .lines(&line(&format!("mkdir -p {dir} && touch {dir}/{}", Simulated::FailedMasterDaemon.file())));
    for condition in Simulated::ALL {
        page = page.item(condition.file(), "", &sentence(condition.meaning()));
    }
    page.section("SEE ALSO")
        .paragraph("ocf_ganeti_ganeti-master-role(7), ocf_ganeti_ganeti-node-role(7), gnt-ha(8), gnt-cluster(8)")
}

/// Adds the section with the tags of recovery, of which some belong to instances and node groups.
fn recovery(page: Page) -> Page {
    let priority = format!("{PRIORITY_PREFIX}N");
    page.section("TAGS OF RECOVERY")
        .paragraph(
            "Recovery starts the instances of a dead host on other hosts. gnt-ha setup --recover shows what recovery would do; with \
             --apply it adds the tags to the cluster.",
        )
        .lines(&[
            format!("gnt-cluster add-tags {RECOVER}"),
            format!("gnt-instance add-tags web1 {PRIORITY_PREFIX}100"),
            format!("gnt-instance add-tags test1 {AUTOREPAIR}:suspend"),
        ])
        .item(
            RECOVER,
            " (cluster)",
            "Switches recovery on. Without this tag gnt-ha starts no instance. After the tag is removed, starts that have not begun \
             are cancelled.",
        )
        .item(
            &priority,
            " (instance)",
            "The order of the starts: N is a number from 0 to 1000, and a higher one starts earlier. Without a tag N is 0. An \
             instance with an invalid tag, or with two different ones, starts as one without a tag, and gnt-ha status names it.",
        )
        .item(
            &format!("{AUTOREPAIR}:TYPE"),
            " (instance, node group, cluster)",
            "Ganeti's own tag (harep(1)). The types failover and reinstall permit the start on another node; fix-storage and migrate \
             do not. gnt-ha never recreates a disk. The tags of the instance apply before those of its node group, and these before \
             those of the cluster. Of several types in one place the weakest applies.",
        )
        .item(
            &format!("{AUTOREPAIR}:suspend[:TIMESTAMP]"),
            " (instance, node group, cluster)",
            "Ganeti's own tag (harep(1)). Forbids the start, until TIMESTAMP (seconds since 1970) or for ever.",
        )
}

/// The tables hold parts of sentences.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    // The name of an agent keeps its letters.
    let first = letters.next().filter(|_| !text.starts_with("ganeti-"));
    first.map_or_else(|| text.to_owned(), |first| format!("{}{}", first.to_uppercase(), letters.as_str())) + "."
}
