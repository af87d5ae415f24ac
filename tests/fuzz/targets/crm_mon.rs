//! crm_mon's XML: any text is rejected, or names at least one node; a missing value allows nothing.
#![no_main]

use gnt_ha::core::pacemaker::crm_mon::CrmMon;
use gnt_ha::core::reconcile::{FenceStatus, Membership};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(found) = CrmMon::parse(text) else { return };
    assert!(!found.nodes.is_empty());
    // An attribute's value may have any letter as an entity; the name of an attribute may not.
    assert!(!found.quorum || text.contains("with_quorum"), "quorum from nowhere");
    assert!(found.maintenance || text.contains("maintenance-mode"), "no maintenance from nowhere");
    let all: Vec<_> = found.nodes.iter().map(|(name, _)| name.name().clone()).collect();
    for (name, membership) in &found.nodes {
        if *membership == Membership::Online {
            assert!(text.contains("online"), "{name} is online from nowhere");
        }
        let _ = found.membership(name.name(), &all);
        for fence in found.fences_of(name.name(), &all) {
            assert!(fence.status != FenceStatus::Success || text.contains("fence_event"), "a fencing from nowhere");
        }
    }
});
