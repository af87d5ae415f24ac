//! The receipts on a lab's hosts.

use gnt_ha::core::history::{ActionRecord, join_entries};
use gnt_ha::core::receipt::LogEntry;
use lab::{Host, Lab};

/// Where a host has its ledger, and what the disk did not take of it until its next boot.
const FILES: [&str; 2] = ["/var/lib/gnt-ha/receipts.jsonl", "/run/gnt-ha/until-boot/var-lib-gnt-ha/receipts.jsonl"];

/// What a host's ledger holds; empty while there is none.
#[must_use]
pub fn on(host: &Host) -> Vec<ActionRecord> {
    let text: String = FILES.iter().filter_map(|file| host.read_file(file).ok()).collect();
    join_entries(text.lines().filter_map(|line| LogEntry::from_line(line).ok()).collect(), None)
}

/// What all hosts that run have, in the order it began.
#[must_use]
pub fn on_all(lab: &Lab) -> Vec<ActionRecord> {
    let mut all: Vec<ActionRecord> = lab.hosts().iter().flat_map(on).collect();
    all.sort_by_key(|story| story.intent.at.wall_ms);
    all
}
