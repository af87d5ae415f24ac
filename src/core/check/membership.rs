//! Rules that compare Ganeti's and Pacemaker's state of the same nodes.

use super::{CheckInput, Findings};
use crate::core::ganeti::tags::{Mode, Tags};
use crate::core::node;
use crate::core::reconcile::{MasterRoleState, Membership};

pub(super) fn check(view: &CheckInput, findings: &mut Findings) {
    let (Ok(ganeti), Ok(state)) = (&view.ganeti, &view.pacemaker) else { return };
    let all = ganeti.names();
    for known in ganeti.nodes() {
        match state.membership(&known.name, &all) {
            Membership::Unknown if !known.offline => {
                let why = state.called(&known.name, &all).err().map(|why| why.to_string());
                findings.add("node-not-in-pacemaker", &known.name, why.unwrap_or_default());
            }
            Membership::Online if known.offline => {
                findings.add(
                    "offline-but-online",
                    &known.name,
                    "it is online in Pacemaker, and recorded offline in Ganeti",
                );
            }
            Membership::Absent if !known.offline && !known.drained => {
                findings.add("lost-but-not-offline", &known.name, "it is gone from Pacemaker, and online in Ganeti");
            }
            _ => {}
        }
    }
    for known in ganeti.nodes().iter().filter(|known| known.master_capable && !known.offline) {
        if state.called(&known.name, &all).is_ok_and(|name| state.remotes.contains(name)) {
            findings.add(
                "remote-master-capable",
                &known.name,
                "it is a Pacemaker remote node, and master-capable in Ganeti",
            );
        }
    }
    for (name, _) in &state.nodes {
        if node::find(name.name(), ganeti.nodes().iter().map(|known| &known.name)).is_err() {
            findings.add("node-not-in-ganeti", name, "Ganeti has no such node");
        }
    }
    match (&state.master_role, ganeti.master()) {
        (MasterRoleState::Inactive, _) => {
            findings.add("master-inactive", "pacemaker", "it runs the master role on no node")
        }
        (MasterRoleState::ActiveOn(host), Some(master)) if !node::means(host, master, &ganeti.names()) => {
            let what =
                format!("Pacemaker runs the master role on {host}, and by the files here Ganeti's master is {master}");
            findings.add("master-elsewhere", host, what);
        }
        _ => {}
    }
    let mode = Tags::read(view.tags.iter().map(String::as_str)).master_mode;
    if ganeti.nodes().len() == 2 && mode != Mode::Full {
        findings.add("two-nodes-partial-mode", "ganeti", "it has two nodes, and the master role runs in partial mode");
    }
}
