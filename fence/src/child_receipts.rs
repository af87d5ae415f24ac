//! Reads the receipts that the OOB program has written for this action: what its proof was less sure of belongs into the
//! receipt of the fencing.

use std::path::Path;
use std::time::Duration;

use gnt_ha::core::node::NodeName;
use gnt_ha::core::receipt::{LogEntry, Outcome};
use gnt_ha::sys::receipt_log::ReceiptLog;
use gnt_ha::sys::time_limit::within;

/// The most that reading the receipts may take. Without them the fencing is as good.
const READ_LIMIT: Duration = Duration::from_millis(500);

/// The most actions of the node that are read: one fencing calls the program a few times.
const ACTIONS_MOST: usize = 12;

/// Returns the remarks in the receipts of the successful calls of the OOB program for the action `id`. A program of another
/// author, or with another state directory, has none; neither has a log that cannot be read.
pub(crate) fn remarks(state_dir: &Path, node: &NodeName, id: &str) -> Vec<String> {
    let (log, node) = (ReceiptLog::new(state_dir), node.clone());
    let Ok(Ok((contents, _))) = within(READ_LIMIT, move || log.read_last(ACTIONS_MOST, Some(&node))) else {
        return Vec::new();
    };
    of_children(&contents.entries, id)
}

fn of_children(entries: &[LogEntry], id: &str) -> Vec<String> {
    let is_child = |child: &str| {
        entries.iter().any(|entry| match entry {
            LogEntry::Intent(intent) => intent.id == child && intent.requested_by.request.as_deref() == Some(id),
            LogEntry::Receipt(_) => false,
        })
    };
    let mut remarks = Vec::new();
    for entry in entries {
        let LogEntry::Receipt(receipt) = entry else { continue };
        let Some(reason) = &receipt.reason else { continue };
        let is_success = matches!(receipt.outcome, Outcome::Done | Outcome::Unchanged);
        if is_success && is_child(&receipt.id) && !remarks.contains(reason) {
            remarks.push(reason.clone());
        }
    }
    remarks
}
