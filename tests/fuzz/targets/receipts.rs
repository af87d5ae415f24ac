//! A line of the ledger: any text is refused, or is an entry that is written and read again as it was.
#![no_main]

use gnt_ha::core::history::join_entries;
use gnt_ha::core::receipt::LogEntry;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let entries: Vec<LogEntry> = text.lines().filter_map(|line| LogEntry::from_line(line).ok()).collect();
    for entry in &entries {
        let again = entry.to_line().ok().and_then(|line| LogEntry::from_line(&line).ok());
        assert_eq!(again.as_ref(), Some(entry));
    }
    let _ = join_entries(entries, None);
});
