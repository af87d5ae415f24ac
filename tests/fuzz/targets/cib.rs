//! Pacemaker's CIB: any text is rejected, or is a whole CIB; no text raises a grade or ends a pause that it does not
//! name.
#![no_main]

use std::collections::BTreeSet;

use gnt_ha::core::grade::Grade;
use gnt_ha::core::pacemaker::cib::Cib;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(found) = Cib::parse(text, &BTreeSet::new()) else { return };
    assert!(text.contains("cib"), "a CIB from nowhere");
    assert!(
        found.fencing.least_of_ours().is_none_or(|least| least >= Grade::Isolated),
        "a device takes that much at least"
    );
    // An attribute's value may have any letter as an entity; the name of an element may not.
    assert!(found.pause.is_none() || text.contains("nvpair"), "a pause from nowhere");
    if let Some(pause) = found.pause {
        assert!(!pause.reason.chars().any(char::is_control), "a pause that moves the cursor");
    }
});
