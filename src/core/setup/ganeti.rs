//! What Ganeti is told, on its master.

use super::part::{GANETI, Part, PartState};
use crate::core::ganeti::config::GanetiConfig;
use crate::core::node::NodeName;

/// Where `make install` puts it.
pub(super) const OOB_PROGRAM: &str = "/usr/lib/gnt-ha/ganeti-oob";

/// A node or group with a program of its own keeps that (gnt-cluster(8)).
pub const SET_OOB_PROGRAM: [&str; 4] =
    ["gnt-cluster", "modify", "--node-parameters", "oob_program=/usr/lib/gnt-ha/ganeti-oob"];

/// The tag by which `ganeti-node-role` publishes a node's health.
const HEALTH: &str = "ocf:health:on";

/// Has it published.
pub const TAG_HEALTH: [&str; 3] = ["gnt-cluster", "add-tags", HEALTH];

/// Of every node: one that has none can be fenced by nobody.
pub(super) fn oob_program(ganeti: &GanetiConfig) -> Part {
    let without = ganeti.nodes().iter().filter(|node| node.oob_program.is_none()).count();
    let state = match without {
        0 => PartState::Same,
        _ if without == ganeti.nodes().len() => PartState::Add,
        some => PartState::Change(format!("{some} of {} nodes have none", ganeti.nodes().len())),
    };
    part(format!("Ganeti's OOB program for every node ({OOB_PROGRAM})"), &SET_OOB_PROGRAM, state)
}

/// Without the tag no node's health is published, and Pacemaker takes each for well.
pub(super) fn health(ganeti: &GanetiConfig) -> Part {
    let state = if ganeti.tags().iter().any(|tag| tag == HEALTH) { PartState::Same } else { PartState::Add };
    part(format!("Ganeti's tag by which each node's health is published ({HEALTH})"), &TAG_HEALTH, state)
}

/// Of a node that is or is to be a remote node: Ganeti fills its pool with any node that is capable, and one that has no vote in
/// Pacemaker and fences nobody can neither hold the master role nor stand in for one that does.
pub(super) fn never_master(node: &NodeName) -> Part {
    let what = format!("Ganeti never makes {node} a master candidate, as a Pacemaker remote node (master-capable=no)");
    part(what, &["gnt-node", "modify", "--master-capable=no", node.as_str()], PartState::Add)
}

fn part(what: String, command: &[&str], state: PartState) -> Part {
    let command = command.join(" ");
    let crm = vec![format!("# {command}")];
    Part { what, section: GANETI, xml: String::new(), pcs: vec![command], crm, state }
}
