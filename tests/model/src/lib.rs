//! Models of shunning and self-fencing (docs/shunning.md, docs/self-fencing.md). They run the real decisions of [`gnt_ha::core::shun`] in a
//! world that loses, delays and repeats messages, stops processes, flushes rules, boots hosts and lets clocks run
//! wrong.
//!
//! A test can remove each condition that the proof needs of the world ([`timing::Without`], [`rules::Without`],
//! [`boots::Without`]). The checker must then find a counter-example, and none with all conditions. The conditions on
//! the functions themselves are removed by mutants (`tests/mutants`), each of which these models or a named test must
//! find.

pub mod boots;
pub mod memory;
pub mod rules;
pub mod timing;

use std::collections::BTreeSet;
use std::net::IpAddr;

use gnt_ha::core::node::NodeName;
use gnt_ha::core::shun::evaluation::{AcceptedWatchdogs, ProofInput};
use gnt_ha::core::shun::last_state::LastStateError;
use gnt_ha::core::shun::lease_times::LeaseTimes;
use gnt_ha::core::shun::messages::{DatedSelfFenceReport, SelfFenceReport};

/// The index of the node that is shunned.
pub const TARGET: u8 = 9;

/// Returns the address of a node.
#[must_use]
pub fn address(number: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, number])
}

/// Returns the name of a node.
///
/// # Panics
/// Never: the text is a valid name.
#[must_use]
#[allow(clippy::expect_used, reason = "a constant name")]
pub fn name(number: u8) -> NodeName {
    NodeName::new(&format!("n{number}")).expect("a name")
}

/// Returns the target's report of self-fencing on a reliable watchdog.
#[must_use]
pub fn self_fence(
    boot_id: &str,
    lease_times: LeaseTimes,
    candidates: &BTreeSet<IpAddr>,
    guaranteed_for_ms: u64,
) -> SelfFenceReport {
    SelfFenceReport {
        boot_id: boot_id.to_owned(),
        driver: "hardware".to_owned(),
        nowayout: true,
        lease_times,
        candidates: candidates.iter().copied().collect(),
        asks_from: Some(address(TARGET)),
        is_virtual: Some(false),
        guaranteed_for_ms,
        lease_age_ms: 0,
    }
}

/// Returns the knowledge of an asker that only lacks the target's self-fencing.
#[must_use]
pub fn known<'a>(
    addresses: &'a BTreeSet<IpAddr>,
    candidates: &'a BTreeSet<IpAddr>,
    self_fence: Result<&'a DatedSelfFenceReport, LastStateError>,
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
        accepted: AcceptedWatchdogs::default(),
    }
}
