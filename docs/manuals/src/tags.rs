//! The page of what sets the roles: cluster tags, and files on one host.

use std::path::Path;

use gnt_ha::core::config::DEFAULT_STATE;
use gnt_ha::core::ganeti::tags::TAGS;
use gnt_ha::core::roles::simulate::Simulated;
use gnt_ha::sys::simulate::DIR;

use crate::page::Page;

/// Returns the page `gnt-ha-tags(7)`.
pub(crate) fn page() -> Page {
    let line = |text: &str| vec![text.to_owned()];
    let mut page = Page::new("gnt-ha-tags", 7, "cluster tags and simulation files of Ganeti's roles under Pacemaker")
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

/// The tables hold parts of sentences.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    // The name of an agent keeps its letters.
    let first = letters.next().filter(|_| !text.starts_with("ganeti-"));
    first.map_or_else(|| text.to_owned(), |first| format!("{}{}", first.to_uppercase(), letters.as_str())) + "."
}
