//! Pacemaker's cluster properties, by the names that its version has.

use std::path::Path;

use super::compare::is_same;
use super::part::{PREFIX, Part, PartState, SetupOptions};
use crate::core::config::{DIGEST_PROPERTY, Digest};
use crate::core::ganeti::config::GanetiConfig;
use crate::core::ganeti::programs::{PROPERTY, Programs};
use crate::core::pacemaker::property::{FencingProperty, LATER_NAMES};
use crate::core::pacemaker::resources::Resources;

/// The feature set (Pacemaker 3.0.0) from which fencing is concurrent by default and the property is deprecated.
const CONCURRENT: [u32; 3] = [3, 20, 0];

/// The property that delays the fencing of the node with the higher priority, after two nodes have lost each other.
const DELAY: &str = "priority-fencing-delay";

/// Its value: after two nodes have lost each other, the one with the master has this time to fence the other.
const TIME_OF_MASTER: &str = "10s";

/// Returns the wanted properties, and the deletions of gnt-ha's properties that have another name now.
pub(super) fn properties(resources: &Resources, two: bool, options: SetupOptions) -> Vec<Part> {
    let mut parts = fencing(FencingProperty::Enabled, "true", resources);
    // Ganeti gives an OOB program 60 s; Pacemaker gives 1.2 times that to a host that asks a peer.
    parts.extend(fencing(FencingProperty::Timeout, "72s", resources));
    if !resources.knows(CONCURRENT) {
        parts.push(property("concurrent-fencing", "true", resources));
    }
    if two {
        parts.push(property(DELAY, TIME_OF_MASTER, resources));
    }
    if options.health {
        // A health that is only a warning (yellow) moves nothing.
        parts.push(property("node-health-strategy", "migrate-on-red", resources));
    }
    parts
}

/// Returns the part for a property that was renamed. A Pacemaker that knows both names uses the later one; one that
/// knows only the older one ignores the other.
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
        PartState::Unchanged
    } else {
        PartState::Foreign(format!("it is {of_other}, as {other}"))
    };
    vec![Part { state, ..property(wanted, value, resources) }]
}

fn property(name: &str, value: &str, resources: &Resources) -> Part {
    let state = match resources.property(&[name]) {
        None => PartState::Add,
        Some(there) if is_same(name, value, there) => PartState::Unchanged,
        // A value that the administrator has set stays: `gnt-ha check` reports a time budget that does not fit.
        Some(there) => PartState::Foreign(format!("it is {there}")),
    };
    Part {
        description: format!("property {name} = {value}"),
        section: "crm_config",
        xml: format!("  <nvpair id=\"{PREFIX}options-{name}\" name=\"{name}\" value=\"{value}\"/>"),
        pcs: vec![format!("pcs property set {name}={value}")],
        crm: vec![format!("property {name}={value}")],
        state,
    }
}

/// Returns the part for the copy of Ganeti's OOB programs, for hosts that do not have its configuration. `otherwise` is
/// the program of a node that has none, if it is about to be set in Ganeti.
pub(super) fn programs(resources: &Resources, ganeti: &GanetiConfig, otherwise: Option<&Path>) -> Option<Part> {
    let wanted = Programs::of(ganeti, otherwise);
    let is = wanted.as_ref().map_or_else(String::new, |wanted| format!(" = {}", wanted.summary()));
    let differs = |there: &str| match (Programs::of_property(there), &wanted) {
        (Some(there), Some(wanted)) => match there.differing(wanted).as_slice() {
            [node] => format!("it differs for {node}"),
            nodes => format!("it differs for {} nodes", nodes.len()),
        },
        _ => "its value is not such a copy".to_owned(),
    };
    let gone = "Ganeti has no program that can be stored there";
    Some(Part {
        description: format!("property {PROPERTY}{is}, for fencing by hosts that are not master candidates"),
        ..copied(resources, PROPERTY, wanted.as_ref().map(Programs::to_property), differs, gone)?
    })
}

/// Returns the part for the digest of the configuration, for the same hosts: one that has another configuration fences
/// no node.
pub(super) fn digest(resources: &Resources, wanted: Digest) -> Option<Part> {
    let differs =
        |_: &str| "it is that of another config.toml than the one here: go on only if the one here is right".to_owned();
    let part = copied(resources, DIGEST_PROPERTY, Some(wanted.to_string()), differs, "")?;
    Some(Part {
        description: format!(
            "property {DIGEST_PROPERTY}, by which hosts that are not master candidates check their config.toml"
        ),
        ..part
    })
}

/// Returns the part for a property of gnt-ha that is copied from Ganeti's master. `None` if nothing is `wanted` and the
/// property does not exist.
fn copied(
    resources: &Resources,
    name: &str,
    wanted: Option<String>,
    differs: impl Fn(&str) -> String,
    gone: &str,
) -> Option<Part> {
    let there = resources.property(&[name]);
    let set = format!("{PREFIX}options");
    let id = format!("{set}-{name}");
    let is_ours = resources.property_ids.get(name) == Some(&id);
    let tool = format!("crm_attribute --name {name}");
    let (xml, change, state) = match (&wanted, there) {
        (None, None) => return None,
        (Some(wanted), Some(there)) if wanted == there => (String::new(), String::new(), PartState::Unchanged),
        // The first of two properties counts, so one of gnt-ha beside it would have no effect.
        (_, Some(_)) if !is_ours => (
            String::new(),
            String::new(),
            PartState::Manual(format!("it is set elsewhere: {}, then again", resources.delete_command(name))),
        ),
        (Some(wanted), there) => (
            format!("  <nvpair id=\"{id}\" name=\"{name}\" value=\"{wanted}\"/>"),
            format!("{tool} --set-name={set} --update={wanted}"),
            there.map_or(PartState::Add, |there| PartState::Change(differs(there))),
        ),
        (None, Some(_)) => (format!("  <nvpair id=\"{id}\"/>"), deletion(name), PartState::Remove(gone.to_owned())),
    };
    Some(Part {
        description: format!("property {name}"),
        section: "crm_config",
        xml,
        crm: vec![format!("# {change}")],
        pcs: vec![change],
        state,
    })
}

/// Returns whether a part is a property that Pacemaker only stores for gnt-ha. Pacemaker does nothing else with it, so
/// there is nothing to simulate.
#[must_use]
pub fn is_only_kept(part: &Part) -> bool {
    let is_of = |name| part.xml.contains(&format!("id=\"{PREFIX}options-{name}\""));
    part.section == "crm_config" && [PROPERTY, DIGEST_PROPERTY].iter().any(is_of)
}

/// Returns the deletion of the delay for the node with the master. It was set while no quorum device decided a tie, and
/// would delay the fencing at each death of that host.
pub(super) fn preferred(resources: &Resources) -> Option<Part> {
    let (id, value) = (resources.property_ids.get(DELAY)?, resources.property(&[DELAY])?);
    // pcs and crmsh have put setup's own value into their set. Another value there is the administrator's.
    if !id.starts_with(PREFIX) && !is_same(DELAY, TIME_OF_MASTER, value) {
        return None;
    }
    let set = resources.sets_of_property.get(DELAY)?.first()?;
    let deletion = deletion_from(DELAY, set);
    Some(Part {
        description: format!("property {DELAY}"),
        section: "crm_config",
        xml: format!("  <nvpair id=\"{id}\"/>"),
        crm: vec![format!("# {deletion}")],
        pcs: vec![deletion],
        state: PartState::Remove(super::part::DECIDED.to_owned()),
    })
}

/// Returns the command that deletes a property from gnt-ha's set. pcs deletes properties only from
/// `cib-bootstrap-options`; for one in another set it fails, and what is typed after it does not run.
fn deletion(name: &str) -> String {
    deletion_from(name, &format!("{PREFIX}options"))
}

fn deletion_from(name: &str, set: &str) -> String {
    format!("crm_attribute --name {name} --delete --set-name={set}")
}

fn renamed(from: &str, to: &str) -> Part {
    Part {
        description: format!("property {from}"),
        section: "crm_config",
        xml: format!("  <nvpair id=\"{PREFIX}options-{from}\"/>"),
        pcs: vec![deletion(from)],
        crm: vec![format!("# {}", deletion(from))],
        state: PartState::Remove(format!("this Pacemaker calls it {to}")),
    }
}
