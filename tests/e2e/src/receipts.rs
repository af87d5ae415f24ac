//! Reads the receipts on a lab's hosts.

use gnt_ha::core::history::{ActionRecord, join_entries};
use gnt_ha::core::receipt::LogEntry;
use lab::{Host, Lab};

/// The paths of a host's receipt log, and of the entries that the disk could not store, which are kept until the next
/// boot.
const FILES: [&str; 2] = ["/var/lib/gnt-ha/receipts.jsonl", "/run/gnt-ha/until-boot/var-lib-gnt-ha/receipts.jsonl"];

/// Returns the entries of a host's receipt log; empty if the host has no log.
#[must_use]
pub fn on(host: &Host) -> Vec<ActionRecord> {
    let text: String = FILES.iter().filter_map(|file| host.read_file(file).ok()).collect();
    join_entries(text.lines().filter_map(|line| LogEntry::from_line(line).ok()).collect(), None)
}

/// Returns the entries of all running hosts, in the order of their start.
#[must_use]
pub fn on_all(lab: &Lab) -> Vec<ActionRecord> {
    let mut all: Vec<ActionRecord> = lab.hosts().iter().flat_map(on).collect();
    all.sort_by_key(|action| action.intent.at.wall_ms);
    all
}
