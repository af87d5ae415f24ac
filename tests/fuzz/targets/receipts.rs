//! A line of the receipt log: any text is rejected, or is an entry that is written and parsed again unchanged.
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
