//! Node names: an accepted name is harmless in a path, on a command line and in Pacemaker's lists.
#![no_main]

use gnt_ha::core::node::{MAX_LENGTH, NodeName, find};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let names: Vec<NodeName> = text.lines().filter_map(|line| NodeName::new(line).ok()).collect();
    for name in &names {
        let text = name.as_str();
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)));
        assert!(!text.starts_with(['-', '.']) && !text.contains("..") && text.len() <= MAX_LENGTH);
        assert!(!name.short().is_empty());
        if let Ok(found) = find(name, &names) {
            let same = found.as_str().eq_ignore_ascii_case(text);
            assert!(same || found.short().eq_ignore_ascii_case(name.short()), "{name} is not {found}");
        }
    }
});
