//! Constraints: where the fence device may run, and where the master role may not.
//!
//! Each node publishes in a node attribute whether it has what the device needs. So no constraint has to change when
//! candidates come, go or die. The master role never runs on a remote node.

use super::part::{DEVICE, MASTER, MASTER_CLONE, PREFIX, Part, PartState, SetupOptions};
use crate::core::pacemaker::fence_score::ATTRIBUTE;
use crate::core::pacemaker::resources::{AttributeLocation, Location, Resources};

/// Returns the part for the constraint, and the deletions of those that earlier versions made by node names.
pub(super) fn locations(resources: &Resources) -> Vec<Part> {
    let by_names = resources.locations.iter().filter(|location| is_by_name(location));
    [by_score(resources)].into_iter().chain(by_names.map(gone)).collect()
}

/// Returns whether an earlier version has made the constraint, for a node that was not a master candidate.
pub(crate) fn is_by_name(location: &Location) -> bool {
    location.id.starts_with(&format!("{PREFIX}fence-avoids-"))
}

fn by_score(resources: &Resources) -> Part {
    let device = resources.devices().find(|device| device.kind == "fence_ganeti").map_or(DEVICE, |device| &device.id);
    let id = format!("{PREFIX}fence-by-score");
    let is_it = |scored: &&AttributeLocation| scored.resource == device && scored.attribute == ATTRIBUTE;
    let state = match resources.scored.iter().find(is_it) {
        Some(_) => PartState::Unchanged,
        None if resources.location_ids.contains(&id) => PartState::Change("it has another rule".to_owned()),
        None => PartState::Add,
    };
    Part {
        description: "the device runs only on nodes that can fence, on master candidates first".to_owned(),
        section: "constraints",
        xml: format!(
            "  <rsc_location id=\"{id}\" rsc=\"{device}\">\n    <rule id=\"{id}-rule\" score-attribute=\"{ATTRIBUTE}\">\n      \
             <expression id=\"{id}-rule-expr\" attribute=\"{ATTRIBUTE}\" operation=\"defined\"/>\n    </rule>\n  </rsc_location>"
        ),
        // The id has gnt-ha's prefix, so the constraint is recognized later.
        pcs: vec![format!(
            "pcs constraint location {device} rule id={id}-rule constraint-id={id} score-attribute={ATTRIBUTE} defined \
             {ATTRIBUTE}"
        )],
        crm: vec![format!("location {id} {device} rule {ATTRIBUTE}: defined {ATTRIBUTE}")],
        state,
    }
}

/// Returns the constraint that keeps the master role off remote nodes. The role could not become master there, and the
/// agent would find that out at each start.
pub(super) fn off_remotes(resources: &Resources, options: SetupOptions) -> Part {
    const KIND: &str = "remote";
    let made = if options.primitive { MASTER } else { MASTER_CLONE };
    let role = resources.agents("ganeti-master-role").next().map_or(made, |role| &role.outer);
    let id = format!("{PREFIX}master-off-remotes");
    let state = if resources.by_kind.iter().any(|location| location.resource == role && location.kind == KIND) {
        PartState::Unchanged
    } else if resources.location_ids.contains(&id) {
        PartState::Change("it has another rule".to_owned())
    } else {
        PartState::Add
    };
    Part {
        description: "the master role runs on no Pacemaker remote node".to_owned(),
        section: "constraints",
        xml: format!(
            "  <rsc_location id=\"{id}\" rsc=\"{role}\">\n    <rule id=\"{id}-rule\" score=\"-INFINITY\">\n      \
             <expression id=\"{id}-rule-expr\" attribute=\"#kind\" operation=\"eq\" value=\"{KIND}\"/>\n    </rule>\n  </rsc_location>"
        ),
        pcs: vec![format!(
            "pcs constraint location {role} rule id={id}-rule constraint-id={id} score=-INFINITY '#kind' eq {KIND}"
        )],
        crm: vec![format!("location {id} {role} rule -inf: #kind eq {KIND}")],
        state,
    }
}

fn gone(location: &Location) -> Part {
    let Location { id, node, .. } = location;
    Part {
        description: format!("the device may run on {node}"),
        section: "constraints",
        xml: format!("  <rsc_location id=\"{id}\"/>"),
        pcs: vec![format!("pcs constraint delete {id}")],
        crm: vec![format!("delete {id}")],
        state: PartState::Remove("each node reports whether it can fence".to_owned()),
    }
}
