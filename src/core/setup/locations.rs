//! Where the device may run: only master candidates hold Ganeti's configuration. They change while the cluster lives.

use super::{DEVICE, PREFIX, Part, State};
use crate::core::ganeti::config::{GanetiConfig, Node};
use crate::core::node::{NodeName, means};
use crate::core::pacemaker::names::PacemakerName;
use crate::core::pacemaker::resources::{Location, Resources};

/// Which nodes the device is kept off, and which no longer.
pub(super) fn locations(resources: &Resources, ganeti: &GanetiConfig) -> Vec<Part> {
    let all = ganeti.names();
    let regular = || ganeti.nodes().iter().filter(|node| !node.master_candidate);
    let is_regular = |location: &&Location| regular().any(|node| is_of(location, node, resources, &all));
    let ours = resources.locations.iter().filter(|location| location.id.starts_with(&format!("{PREFIX}fence-avoids-")));
    let wanted = regular().map(|node| avoids(node, resources, &all));
    let is_wanted = |location: &&Location| regular().any(|node| location.id == id_of(node));
    wanted.chain(ours.filter(|location| !is_regular(location) && !is_wanted(location)).map(gone)).collect()
}

fn id_of(node: &Node) -> String {
    format!("{PREFIX}fence-avoids-{}", node.name)
}

/// Whether a constraint is about a node: by Pacemaker's name of it, or, of one that Pacemaker does not have yet, by any that
/// means it. One that has another name counts for nobody.
fn is_of(location: &Location, node: &Node, resources: &Resources, all: &[NodeName]) -> bool {
    match resources.called(&node.name, all) {
        Ok(name) => name.as_str().eq_ignore_ascii_case(&location.node),
        Err(_) => NodeName::new(&location.node).is_ok_and(|name| means(&name, &node.name, all)),
    }
}

fn avoids(node: &Node, resources: &Resources, all: &[NodeName]) -> Part {
    let device = resources.devices().find(|device| device.kind == "fence_ganeti").map_or(DEVICE, |device| &device.id);
    let id = id_of(node);
    let there = resources
        .locations
        .iter()
        .find(|location| location.resource == device && is_of(location, node, resources, all));
    let misnamed = resources.locations.iter().find(|location| location.id == id);
    let state = match there {
        None => misnamed.map_or(State::Add, |location| {
            State::Change(format!("it names {}, which is no node of Pacemaker's", location.node))
        }),
        Some(there) if there.keeps_off() => State::Same,
        Some(there) if there.id == id => State::Change(format!("its score is {}", there.score)),
        Some(there) => State::Kept(format!("{} gives it {}", there.id, there.score)),
    };
    // One that Pacemaker does not have yet is expected by Ganeti's name.
    let node = resources.called(&node.name, all).map_or(node.name.as_str(), PacemakerName::as_str);
    Part {
        what: format!("the device stays off {node}, which is no master candidate"),
        section: "constraints",
        xml: format!("  <rsc_location id=\"{id}\" rsc=\"{device}\" node=\"{node}\" score=\"-INFINITY\"/>"),
        // With an id of ours: by that it is known again, and taken out when the node becomes a candidate.
        pcs: vec![format!("pcs constraint location add {id} {device} {node} -- -INFINITY")],
        crm: vec![format!("location {id} {device} -inf: {node}")],
        state,
    }
}

fn gone(location: &Location) -> Part {
    let Location { id, node, .. } = location;
    Part {
        what: format!("the device may run on {node} again"),
        section: "constraints",
        xml: format!("  <rsc_location id=\"{id}\"/>"),
        pcs: vec![format!("pcs constraint delete {id}")],
        crm: vec![format!("delete {id}")],
        state: State::Remove("it is a master candidate, or gone".to_owned()),
    }
}
