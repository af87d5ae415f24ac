//! Where the device may run: only master candidates hold Ganeti's configuration. They change while the cluster lives.

use super::{DEVICE, PREFIX, Part, State};
use crate::core::ganeti::config::{GanetiConfig, Node};
use crate::core::node::{self, NodeName};
use crate::core::pacemaker::resources::{Location, Resources};

/// Which nodes the device is kept off, and which no longer.
pub(super) fn locations(resources: &Resources, ganeti: &GanetiConfig) -> Vec<Part> {
    let regular = || ganeti.nodes().iter().filter(|node| !node.master_candidate);
    let is_regular = |location: &&Location| regular().any(|node| is_of(location, node));
    let ours = resources.locations.iter().filter(|location| location.id.starts_with(&format!("{PREFIX}fence-avoids-")));
    let wanted = regular().map(|node| avoids(node, resources));
    wanted.chain(ours.filter(|location| !is_regular(location)).map(gone)).collect()
}

fn is_of(location: &Location, node: &Node) -> bool {
    NodeName::new(&location.node).is_ok_and(|name| node::find(&name, [&node.name]).is_ok())
}

fn avoids(node: &Node, resources: &Resources) -> Part {
    let device = resources.devices().find(|device| device.kind == "fence_ganeti").map_or(DEVICE, |device| &device.id);
    let id = format!("{PREFIX}fence-avoids-{}", node.name);
    let there = resources.locations.iter().find(|location| location.resource == device && is_of(location, node));
    let state = match there {
        None => State::Add,
        Some(there) if there.score == "-INFINITY" => State::Same,
        Some(there) if there.id == id => State::Change(format!("its score is {}", there.score)),
        Some(there) => State::Kept(format!("{} gives it {}", there.id, there.score)),
    };
    // Pacemaker may know it by its short name.
    let node = node::find(&node.name, &resources.nodes).unwrap_or(&node.name);
    Part {
        what: format!("the device stays off {node}, which is no master candidate"),
        section: "constraints",
        xml: format!("  <rsc_location id=\"{id}\" rsc=\"{device}\" node=\"{node}\" score=\"-INFINITY\"/>"),
        pcs: vec![format!("pcs constraint location {device} avoids {node}")],
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
