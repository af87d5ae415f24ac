//! Clusters beyond what corosync carries: candidates are full members, the rest Pacemaker remote nodes.
//!
//! A remote node is fenced as any other, by a device that runs on a full member, and runs resources, `ganeti-node-role` among
//! them; it has no vote, fences nobody, and is never the DC (Pacemaker Remote). The id of the resource that connects to it is
//! the node's name in Pacemaker: it is to be its name in Ganeti, by which it is fenced.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::ganeti::never_master;
use super::{PREFIX, Part, PartState, state};
use crate::core::ganeti::config::{GanetiConfig, Node};
use crate::core::node::{self, NodeName};
use crate::core::pacemaker::names::called;
use crate::core::pacemaker::resources::{Primitive, Resources};

/// As many full members as corosync carries: what its makers and Pacemaker's distributors support.
pub const MEMBERS: usize = 16;

/// How long a connection is tried, and how often it is looked at: a host that died is lost for at most both times of the monitor.
/// It stays where it is: one that moves and cannot be taken over has Pacemaker fence a node that is well.
const WORDS: &str = "op start timeout=60s op monitor interval=5s timeout=5s meta resource-stickiness=INFINITY";

/// Once it is lost and the node fenced, how long until it is tried again. It is also how long a member that failed to connect is passed
/// over: below the time of a start there is always one that may try, and the node is not fenced for having been tried by all.
const AGAIN: &str = "10s";

/// The port of pacemaker_remote (`DEFAULT_REMOTE_PORT`).
pub const PORT: u16 = 3121;

/// The addresses that were asked for a connection at [`PORT`], each with why it takes none.
pub type Reached = BTreeMap<IpAddr, Result<(), String>>;

/// Where the connections are to go that are not there yet.
#[must_use]
pub fn to_connect(resources: &Resources, ganeti: &GanetiConfig, members: usize) -> BTreeSet<IpAddr> {
    let all = ganeti.names();
    let is_there = |node: &Node| resources.called(&node.name, &all).is_ok();
    let wanted = ganeti.nodes().iter().filter(|node| !node.master_candidate && !node.offline && !is_there(node));
    let addresses = wanted.filter_map(|node| ganeti.notes(&node.name).primary_ip);
    if ganeti.nodes().len() > members { addresses.collect() } else { BTreeSet::new() }
}

/// Whether this program has made that connection: its id is the node's name, so that of its parameters tells.
pub(super) fn is_ours(primitive: &Primitive) -> bool {
    primitive.parameter_sets.contains(&mark(&primitive.id))
}

fn mark(node: &str) -> String {
    format!("{PREFIX}remote-{node}")
}

/// The connections that are wanted, and those of ours that no longer are. `reached`: the answers, where they were asked.
pub(super) fn remotes(
    resources: &Resources,
    ganeti: &GanetiConfig,
    members: usize,
    reached: Option<&Reached>,
) -> Vec<Part> {
    let find = |primitive: &Primitive| {
        let name = NodeName::new(&primitive.id).ok()?;
        let found = node::find(&name, ganeti.nodes().iter().map(|node| &node.name)).ok()?;
        ganeti.nodes().iter().find(|node| node.name == *found)
    };
    let there: Vec<(&Primitive, Option<&Node>)> = resources.remotes().map(|remote| (remote, find(remote))).collect();
    let connected = |node: &Node| {
        let mut all = there.iter();
        all.find(|(_, of)| of.is_some_and(|of| of.name == node.name)).map(|(remote, _)| *remote)
    };
    let all = ganeti.names();
    let mut parts = Vec::new();
    for node in ganeti.nodes() {
        let (remote, is_member) = (connected(node), called(&node.name, &resources.nodes, &all).is_ok());
        let part = match remote {
            Some(remote) if node.master_candidate => Some(Part {
                state: PartState::ByHand(format!(
                    "it is a remote node ({}), which fences nobody and cannot become the master",
                    remote.outer
                )),
                ..candidate(node)
            }),
            Some(remote) => Some(connection(node, Some(remote), resources, ganeti, reached)),
            None if is_member || node.offline || ganeti.nodes().len() <= members => None,
            None if node.master_candidate => Some(candidate(node)),
            None => Some(connection(node, None, resources, ganeti, reached)),
        };
        let is_remote = part.as_ref().is_some_and(|part| part.section == "resources" && !part.state.is_by_hand());
        parts.extend((is_remote && node.master_capable && !node.offline).then(|| never_master(&node.name)));
        parts.extend(part);
    }
    let gone = there.iter().filter(|(remote, of)| of.is_none() && is_ours(remote));
    parts.extend(gone.map(|(remote, _)| Part {
        what: format!("{} as a Pacemaker remote node", remote.id),
        section: "resources",
        xml: format!("  <primitive id=\"{}\"/>", remote.id),
        pcs: vec![format!("pcs cluster node remove-remote {}", remote.id)],
        crm: vec![format!("delete {}", remote.id), format!("# crm_node --force --remove {}", remote.id)],
        state: PartState::Remove("Ganeti has it no more".to_owned()),
    }));
    parts
}

fn candidate(node: &Node) -> Part {
    Part {
        what: format!("{}, a master candidate, as a full member of Pacemaker's cluster", node.name),
        section: "nodes",
        xml: String::new(),
        pcs: vec![format!("pcs cluster node add {}", node.name)],
        crm: vec![format!("# crm cluster add {}", node.name)],
        state: PartState::ByHand("Pacemaker does not know it: add it to corosync's nodes".to_owned()),
    }
}

fn connection(
    node: &Node,
    there: Option<&Primitive>,
    resources: &Resources,
    ganeti: &GanetiConfig,
    reached: Option<&Reached>,
) -> Part {
    // As Pacemaker calls it already.
    let name = there.map_or(node.name.as_str(), |remote| &remote.id);
    let mark = mark(name);
    let address = ganeti.notes(&node.name).primary_ip;
    let server = address.map_or_else(|| node.name.to_string(), |ip| ip.to_string());
    let unreached = reached.and_then(|reached| match address.and_then(|address| reached.get(&address)) {
        Some(Ok(())) => None,
        Some(Err(why)) => Some(why.as_str()),
        None => Some("it was not asked"),
    });
    let xml = format!(
        "  <primitive id=\"{name}\" class=\"ocf\" provider=\"pacemaker\" type=\"remote\">\n    <meta_attributes \
         id=\"{mark}-meta\"><nvpair id=\"{mark}-stickiness\" name=\"resource-stickiness\" \
         value=\"INFINITY\"/></meta_attributes>\n    <instance_attributes id=\"{mark}\">\n      \
         <nvpair id=\"{mark}-server\" name=\"server\" value=\"{server}\"/>\n      <nvpair id=\"{mark}-reconnect\" \
         name=\"reconnect_interval\" value=\"{AGAIN}\"/>\n    </instance_attributes>\n    <operations>\n      <op id=\"{mark}-start\" \
         name=\"start\" interval=\"0\" timeout=\"60s\"/>\n      <op id=\"{mark}-monitor\" name=\"monitor\" interval=\"5s\" timeout=\"5s\"/>\n    </operations>\n  </primitive>"
    );
    // An XML id begins with no figure.
    let is_id = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let state = match there {
        // Of one that does not start, be it for its key, Pacemaker has the node fenced, with everything that runs there.
        None if unreached.is_some() => PartState::ByHand(format!(
            "it cannot be connected to at {server} port {PORT}: {}; have pacemaker_remote run there, with the cluster's authkey, or where \
             it has certificates make the connection yourself",
            unreached.unwrap_or_default()
        )),
        None if !is_id => PartState::ByHand("its name is no id for a resource: it begins with a figure".to_owned()),
        Some(there) if !is_ours(there) => match state(&xml, name, None, resources) {
            PartState::Same => PartState::Same,
            _ => PartState::Kept(format!("{} does it", there.outer)),
        },
        _ => state(&xml, name, None, resources),
    };
    Part {
        what: format!(
            "{name} as a Pacemaker remote node (where pacemaker_remote runs, with the cluster's authkey or its certificates)"
        ),
        section: "resources",
        pcs: vec![format!("pcs cluster node add-remote {name} {server} reconnect_interval={AGAIN} {WORDS}")],
        crm: vec![format!(
            "primitive {name} ocf:pacemaker:remote params server={server} reconnect_interval={AGAIN} {WORDS}"
        )],
        state,
        xml,
    }
}
