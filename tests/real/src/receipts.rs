//! The receipts on a lab's hosts.

use gnt_ha::core::history::{Story, stories};
use gnt_ha::core::receipt::Entry;
use lab::{Host, Lab};

/// Where a host has its ledger, and what the disk did not take of it until its next boot.
const FILES: [&str; 2] = ["/var/lib/gnt-ha/receipts.jsonl", "/run/gnt-ha/until-boot/var-lib-gnt-ha/receipts.jsonl"];

/// What a host's ledger holds; empty while there is none.
#[must_use]
pub fn on(host: &Host) -> Vec<Story> {
    let text: String = FILES.iter().filter_map(|file| host.read_file(file).ok()).collect();
    stories(text.lines().filter_map(|line| Entry::from_line(line).ok()).collect(), None)
}

/// What all hosts that run have, in the order it began.
#[must_use]
pub fn on_all(lab: &Lab) -> Vec<Story> {
    let mut all: Vec<Story> = lab.hosts().iter().flat_map(on).collect();
    all.sort_by_key(|story| story.intent.at.wall_ms);
    all
}
