//! The parts of the plan that are set in Ganeti, on its master.

use super::part::{GANETI, Part, PartState};
use crate::core::ganeti::config::GanetiConfig;
use crate::core::node::NodeName;
use crate::core::paths::{OOB_PARAMETER, OOB_PROGRAM};

/// The command that sets the OOB program. A node or group with a program of its own keeps that (gnt-cluster(8)).
pub const SET_OOB_PROGRAM: [&str; 4] = ["gnt-cluster", "modify", "--node-parameters", OOB_PARAMETER];

/// The tag by which `ganeti-node-role` publishes a node's health.
const HEALTH: &str = "ocf:health:on";

/// The command that sets this tag.
pub const TAG_HEALTH: [&str; 3] = ["gnt-cluster", "add-tags", HEALTH];

/// Returns the part for the OOB program of every node. A node without one cannot be fenced.
pub(super) fn oob_program(ganeti: &GanetiConfig) -> Part {
    let without = ganeti.nodes().iter().filter(|node| node.oob_program.is_none()).count();
    let state = match without {
        0 => PartState::Unchanged,
        _ if without == ganeti.nodes().len() => PartState::Add,
        some => PartState::Change(format!("{some} of {} nodes have none", ganeti.nodes().len())),
    };
    part(format!("Ganeti's OOB program for every node ({OOB_PROGRAM})"), &SET_OOB_PROGRAM, state)
}

/// Returns the part for the health tag. Without it no node's health is published, and Pacemaker assumes that each node
/// is well.
pub(super) fn health(ganeti: &GanetiConfig) -> Part {
    let state = if ganeti.tags().iter().any(|tag| tag == HEALTH) { PartState::Unchanged } else { PartState::Add };
    part(format!("Ganeti's tag by which each node's health is published ({HEALTH})"), &TAG_HEALTH, state)
}

/// Returns the part that keeps a remote node from becoming a candidate. Ganeti fills its pool with any node that is
/// master-capable. A remote node has no vote in Pacemaker and fences no node. It can neither hold the master role nor
/// replace a candidate that does.
pub(super) fn never_master(node: &NodeName) -> Part {
    let what = format!("Ganeti never makes {node} a master candidate, as a Pacemaker remote node (master-capable=no)");
    part(what, &["gnt-node", "modify", "--master-capable=no", node.as_str()], PartState::Add)
}

fn part(description: String, command: &[&str], state: PartState) -> Part {
    let command = command.join(" ");
    let crm = vec![format!("# {command}")];
    Part { description, section: GANETI, xml: String::new(), pcs: vec![command], crm, state }
}
