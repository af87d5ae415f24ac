//! Models of shunning and self-fencing (docs/shunning.md). They run the decisions of [`gnt_ha::core::shun`] as they are, and a
//! world around them that loses, delays and repeats messages, stops processes, flushes rules, boots hosts and lets clocks run
//! wrong.
//!
//! What the argument needs of the world can be taken away ([`timing::Without`], [`rules::Without`], [`boots::Without`]); the tests
//! want the checker to find a counter-example then, and none with all of it. What it needs of the functions themselves is taken
//! away by mutants of them (`tests/mutants`), which have to die in these worlds or in a test that is named.

pub mod boots;
pub mod memory;
pub mod rules;
pub mod timing;

use std::collections::BTreeSet;
use std::net::IpAddr;

use gnt_ha::core::node::NodeName;
use gnt_ha::core::shun::lease_times::LeaseTimes;
use gnt_ha::core::shun::messages::{DatedSelfFenceReport, SelfFenceReport};
use gnt_ha::core::shun::verdict::{Accepted, ProofInput};

/// The node that is shunned.
pub const TARGET: u8 = 9;

/// The address of a node.
#[must_use]
pub fn address(number: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, number])
}

/// The name of a node.
///
/// # Panics
/// Never: it is a name.
#[must_use]
#[allow(clippy::expect_used, reason = "a constant name")]
pub fn name(number: u8) -> NodeName {
    NodeName::new(&format!("n{number}")).expect("a name")
}

/// Self-fencing on a watchdog that can be relied on, as the target attests it.
#[must_use]
pub fn self_fence(
    boot_id: &str,
    terms: LeaseTimes,
    candidates: &BTreeSet<IpAddr>,
    guaranteed_for_ms: u64,
) -> SelfFenceReport {
    SelfFenceReport {
        boot_id: boot_id.to_owned(),
        driver: "hardware".to_owned(),
        nowayout: true,
        terms,
        candidates: candidates.iter().copied().collect(),
        asks_from: Some(address(TARGET)),
        is_virtual: Some(false),
        guaranteed_for_ms,
        lease_age_ms: 0,
    }
}

/// What an asker knows that has no doubts but those of self-fencing.
#[must_use]
pub fn known<'a>(
    addresses: &'a BTreeSet<IpAddr>,
    candidates: &'a BTreeSet<IpAddr>,
    self_fence: Result<&'a DatedSelfFenceReport, &'a str>,
    boot_id: &'a str,
) -> ProofInput<'a> {
    ProofInput {
        target: address(TARGET),
        addresses,
        candidates,
        lists: &[],
        master: None,
        self_fence,
        boot_id: Some(boot_id),
        accepted: Accepted::default(),
    }
}
