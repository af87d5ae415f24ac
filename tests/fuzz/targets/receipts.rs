//! A line of the ledger: any text is refused, or is an entry that is written and read again as it was.
#![no_main]

use gnt_ha::core::history::stories;
use gnt_ha::core::receipt::Entry;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let entries: Vec<Entry> = text.lines().filter_map(|line| Entry::from_line(line).ok()).collect();
    for entry in &entries {
        let again = entry.to_line().ok().and_then(|line| Entry::from_line(&line).ok());
        assert_eq!(again.as_ref(), Some(entry));
    }
    let _ = stories(entries, None);
});
