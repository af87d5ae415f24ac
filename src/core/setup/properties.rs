//! Pacemaker's cluster properties, by the names that its version knows.

use super::compare::is_same;
use super::{PREFIX, Part, State, Wish};
use crate::core::pacemaker::property::{FencingProperty, LATER_NAMES};
use crate::core::pacemaker::resources::Resources;

/// From this feature set on (Pacemaker 3.0.0) fencing is concurrent by default, and the property is deprecated.
const CONCURRENT: [u32; 3] = [3, 20, 0];

/// The properties that are wanted, and those of ours that have another name now.
pub(super) fn properties(resources: &Resources, two: bool, wish: Wish) -> Vec<Part> {
    let mut parts = fencing(FencingProperty::Enabled, "true", resources);
    // Ganeti gives an OOB program 60 s, and Pacemaker 1.2 times that to whoever asks a peer.
    parts.extend(fencing(FencingProperty::Timeout, "72s", resources));
    if !resources.knows(CONCURRENT) {
        parts.push(property("concurrent-fencing", "true", resources));
    }
    if two {
        // Of two nodes that have lost each other, the one with the master has 10 s to fence the other.
        parts.push(property("priority-fencing-delay", "10s", resources));
    }
    if wish.health {
        // What is only a warning (yellow) moves nothing.
        parts.push(property("node-health-strategy", "migrate-on-red", resources));
    }
    parts
}

/// One that was renamed. Whoever knows both names takes the later one; whoever knows the older one alone overlooks the other.
fn fencing(what: FencingProperty, value: &str, resources: &Resources) -> Vec<Part> {
    let (older, later) = (what.older(), what.later());
    let is_later = resources.knows(LATER_NAMES);
    let there = |name: &str| resources.property(&[name]).map(str::to_owned);
    let (wanted, other) = if is_later { (later, older) } else { (older, later) };
    let Some(of_other) = there(other).filter(|_| there(wanted).is_none()) else {
        return vec![property(wanted, value, resources)];
    };
    if is_later && resources.property_ids.get(other).is_some_and(|id| id.starts_with(PREFIX)) {
        return vec![property(wanted, &of_other, resources), renamed(other, wanted)];
    }
    if !is_later && resources.feature_set.is_some() {
        return vec![property(wanted, value, resources)];
    }
    let state = if is_same(wanted, value, &of_other) {
        State::Same
    } else {
        State::Kept(format!("it is {of_other}, as {other}"))
    };
    vec![Part { state, ..property(wanted, value, resources) }]
}

fn property(name: &str, value: &str, resources: &Resources) -> Part {
    let state = match resources.property(&[name]) {
        None => State::Add,
        Some(there) if is_same(name, value, there) => State::Same,
        // What the administrator has set is his: the budget says where it does not hold together.
        Some(there) => State::Kept(format!("it is {there}")),
    };
    Part {
        what: format!("property {name} = {value}"),
        section: "crm_config",
        xml: format!("  <nvpair id=\"{PREFIX}options-{name}\" name=\"{name}\" value=\"{value}\"/>"),
        pcs: vec![format!("pcs property set {name}={value}")],
        crm: vec![format!("property {name}={value}")],
        state,
    }
}

fn renamed(from: &str, to: &str) -> Part {
    Part {
        what: format!("property {from}"),
        section: "crm_config",
        xml: format!("  <nvpair id=\"{PREFIX}options-{from}\"/>"),
        pcs: vec![format!("pcs property unset {from}")],
        crm: vec![format!("# crm_attribute --name {from} --delete")],
        state: State::Remove(format!("this Pacemaker calls it {to}")),
    }
}
