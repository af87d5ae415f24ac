//! What proves that a node is gone: our receipts, and Pacemaker's fence history.

use std::collections::BTreeSet;

use gnt_ha::core::gone;
use gnt_ha::core::history::stories;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::reconcile::{Removal, Written};
use gnt_ha::sys::clock::{Deadline, now};
use gnt_ha::sys::ledger::Ledger;
use gnt_ha::sys::pacemaker;

use crate::site::{Place, Site};

/// What proves that `node` is gone, in words; `None` without a proof. Whoever asks has tried to reach it and could not.
#[must_use]
pub fn proof_that_gone(place: &Place, site: &Site, node: &NodeName, deadline: Deadline) -> Option<String> {
    let pacemaker = pacemaker::status(deadline).ok();
    let fences = pacemaker.as_ref().map(|pacemaker| pacemaker.fences_of(node)).unwrap_or_default();
    let ledger = Ledger::new(&place.state_dir).read();
    let ledgers: BTreeSet<NodeName> = ledger.iter().map(|_| site.here.clone()).collect();
    let stories = ledger.map(|contents| stories(contents.entries, None)).unwrap_or_default();
    let written = Written {
        fences: &fences,
        receipts: &Removal::all_of(&stories, node),
        ledgers: &ledgers,
        device_grade: place.device_grade(),
    };
    let member = pacemaker.map(|pacemaker| pacemaker.membership(node));
    let proof = gone::proof_that_gone(member, &written, now().wall_ms)?;
    Some(format!("{node} is proven {}: {}", proof.grade, proof.word))
}
