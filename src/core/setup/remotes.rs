//! Clusters larger than corosync carries: candidates are full members, the other nodes Pacemaker remote nodes.
//!
//! A remote node is fenced like any other, by a device that runs on a full member. It runs resources,
//! `ganeti-node-role` among them. It has no vote, fences no node, and is never the DC (Pacemaker Remote). The id of the
//! resource that connects to it is the node's name in Pacemaker. It is to be the node's name in Ganeti, by which it is
//! fenced.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::ganeti::never_master;
use super::part::{PREFIX, Part, PartState, state};
use crate::core::ganeti::config::{GanetiConfig, Node};
use crate::core::node::{self, NodeName};
use crate::core::pacemaker::names::{NoPacemakerName, PacemakerName, called};
use crate::core::pacemaker::resources::{Primitive, Resources};
use crate::core::survey::Survey;

/// How long a connection is tried, and how often it is checked: a host that died is lost for at most both times of the monitor.
/// The connection does not migrate: to move it, Pacemaker stops it and starts it elsewhere. If a migrating connection, Pacemaker's
/// default, cannot be taken over, Pacemaker fences the node.
const WORDS: &str =
    "op start timeout=60s op monitor interval=5s timeout=5s meta resource-stickiness=INFINITY allow-migrate=false";

/// How long after the loss of a connection and the fencing of its node the connection is tried again. For the same time
/// a member that failed to connect is passed over. It is shorter than the timeout of a start, so there is always a
/// member that may try. The node is then not fenced because all members have tried.
const RECONNECT_INTERVAL: &str = "10s";

/// The port of pacemaker_remote (`DEFAULT_REMOTE_PORT`).
pub const PORT: u16 = 3121;

/// The results of the checks before a connection is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteChecks {
    /// The addresses that were asked for a connection at [`PORT`], each with the reason if it accepted none.
    // Text: the reason is an error of a TLS connection, which `core` does not name, and setup prints it.
    pub addresses: BTreeMap<IpAddr, Result<(), String>>,
    /// The reason why a full member may have another key than the one that was used for asking ([`other_key`]).
    pub other_key: Option<String>,
}

/// Returns why a full member may have another key than this host `here`, whose key was used for asking the nodes.
///
/// Pacemaker may start a connection on any full member. If that fails because of the key, Pacemaker fences the remote
/// node at once. `None` means that all members report the same key.
#[must_use]
pub fn other_key(
    resources: &Resources,
    ganeti: &GanetiConfig,
    here: Option<&NodeName>,
    survey: &Survey,
) -> Option<String> {
    let all = ganeti.names();
    resources.nodes.iter().find_map(|member| {
        let Ok(node) = node::find(member.name(), &all) else {
            return Some(format!("{member} cannot be asked for its key for remote nodes: Ganeti has no such node"));
        };
        match survey.remote_key(node, here) {
            Ok(Some(key)) if survey.own.remote_key.as_deref() == Some(key) => None,
            Ok(_) => Some(format!("{node} has another key for remote nodes, or none")),
            Err(why) => Some(format!("{node} does not report which key for remote nodes it has: {why}")),
        }
    })
}

/// Returns the addresses of the wanted connections that do not exist yet.
#[must_use]
pub fn to_connect(resources: &Resources, ganeti: &GanetiConfig, members: usize) -> BTreeSet<IpAddr> {
    let there = PacemakerNodes::of(resources, ganeti);
    let is_wanted = |node: &&Node| !node.master_candidate && !node.offline && !there.is_there(node);
    let wanted = ganeti.nodes().iter().filter(is_wanted);
    let addresses = wanted.filter_map(|node| ganeti.notes(&node.name).primary_ip);
    if ganeti.nodes().len() > members { addresses.collect() } else { BTreeSet::new() }
}

/// Returns how many of Ganeti's nodes are, or are to be, full members of Pacemaker's cluster. In a cluster of up to
/// `members` nodes all of them may be.
#[must_use]
pub fn full_members(resources: &Resources, ganeti: &GanetiConfig, members: usize) -> usize {
    let there = PacemakerNodes::of(resources, ganeti);
    let fit = ganeti.nodes().len() <= members;
    let is_full =
        |node: &&Node| there.connection(node).is_none() && (node.master_candidate || fit || there.is_member(node));
    ganeti.nodes().iter().filter(is_full).count()
}

/// Ganeti's nodes as Pacemaker has them. Pacemaker keeps an entry among its nodes for a remote node whose connection
/// was removed: that is neither a member nor a connection.
struct PacemakerNodes<'a> {
    members: &'a [PacemakerName],
    all: Vec<NodeName>,
    /// Each connection, with the node to which it leads.
    connections: Vec<(&'a Primitive, Option<&'a Node>)>,
}

impl<'a> PacemakerNodes<'a> {
    fn of(resources: &'a Resources, ganeti: &'a GanetiConfig) -> Self {
        let node = |primitive: &Primitive| {
            let name = NodeName::new(&primitive.id).ok()?;
            let found = node::find(&name, ganeti.nodes().iter().map(|node| &node.name)).ok()?;
            ganeti.nodes().iter().find(|node| node.name == *found)
        };
        let connections = resources.remotes().map(|remote| (remote, node(remote))).collect();
        Self { members: &resources.nodes, all: ganeti.names(), connections }
    }

    fn connection(&self, node: &Node) -> Option<&'a Primitive> {
        let mut all = self.connections.iter();
        all.find(|(_, of)| of.is_some_and(|of| of.name == node.name)).map(|(remote, _)| *remote)
    }

    /// Returns whether the node is, or may be, a full member. If it is unknown which member the node is, no second
    /// connection to it is made.
    fn is_member(&self, node: &Node) -> bool {
        !matches!(called(&node.name, self.members, &self.all), Err(NoPacemakerName::Unknown { .. }))
    }

    /// Returns whether Pacemaker has the node as a full member, or a connection to it.
    fn is_there(&self, node: &Node) -> bool {
        self.connection(node).is_some() || self.is_member(node)
    }
}

/// Returns whether gnt-ha has made this connection. Its id is the node's name, so the id of its parameters shows that.
pub(crate) fn is_ours(primitive: &Primitive) -> bool {
    primitive.parameter_sets.contains(&mark(&primitive.id))
}

fn mark(node: &str) -> String {
    format!("{PREFIX}remote-{node}")
}

/// Returns the parts for the wanted connections, and for those of gnt-ha that are no longer wanted. `reached`: the
/// answers, if the nodes were asked.
pub(super) fn remotes(
    resources: &Resources,
    ganeti: &GanetiConfig,
    members: usize,
    reached: Option<&RemoteChecks>,
) -> Vec<Part> {
    let there = PacemakerNodes::of(resources, ganeti);
    let mut parts = Vec::new();
    for node in ganeti.nodes() {
        let part = match there.connection(node) {
            Some(remote) if node.master_candidate => Some(Part {
                state: PartState::Manual(format!(
                    "it is a remote node ({}), which fences no node and cannot become the master",
                    remote.outer
                )),
                ..candidate(node)
            }),
            Some(remote) => Some(connection(node, Some(remote), resources, ganeti, reached)),
            None if there.is_there(node) || node.offline || ganeti.nodes().len() <= members => None,
            None if node.master_candidate => Some(candidate(node)),
            None => Some(connection(node, None, resources, ganeti, reached)),
        };
        let is_remote = part.as_ref().is_some_and(|part| part.section == "resources" && !part.state.is_by_hand());
        parts.extend((is_remote && node.master_capable && !node.offline).then(|| never_master(&node.name)));
        parts.extend(part);
    }
    let gone = there.connections.iter().filter(|(remote, of)| of.is_none() && is_ours(remote));
    parts.extend(gone.map(|(remote, _)| Part {
        description: format!("{} as a Pacemaker remote node", remote.id),
        section: "resources",
        xml: format!("  <primitive id=\"{}\"/>", remote.id),
        pcs: vec![format!("pcs cluster node remove-remote {}", remote.id)],
        crm: vec![format!("delete {}", remote.id), format!("# crm_node --force --remove {}", remote.id)],
        state: PartState::Remove("it is not in Ganeti any more".to_owned()),
    }));
    parts
}

fn candidate(node: &Node) -> Part {
    Part {
        description: format!("{}, a master candidate, as a full member of Pacemaker's cluster", node.name),
        section: "nodes",
        xml: String::new(),
        pcs: vec![format!("pcs cluster node add {}", node.name)],
        crm: vec![format!("# crm cluster add {}", node.name)],
        state: PartState::Manual("Pacemaker has no such node: add it to corosync's nodes".to_owned()),
    }
}

fn connection(
    node: &Node,
    there: Option<&Primitive>,
    resources: &Resources,
    ganeti: &GanetiConfig,
    reached: Option<&RemoteChecks>,
) -> Part {
    // The name that Pacemaker already uses.
    let name = there.map_or(node.name.as_str(), |remote| &remote.id);
    let mark = mark(name);
    let address = ganeti.notes(&node.name).primary_ip;
    let server = address.map_or_else(|| node.name.to_string(), |ip| ip.to_string());
    let unreached = reached.and_then(|reached| match address.and_then(|address| reached.addresses.get(&address)) {
        Some(Ok(())) => None,
        Some(Err(why)) => Some(why.as_str()),
        None => Some("it was not asked"),
    });
    let xml = format!(
        "  <primitive id=\"{name}\" class=\"ocf\" provider=\"pacemaker\" type=\"remote\">\n    <meta_attributes \
         id=\"{mark}-meta\"><nvpair id=\"{mark}-stickiness\" name=\"resource-stickiness\" \
         value=\"INFINITY\"/><nvpair id=\"{mark}-migrate\" name=\"allow-migrate\" value=\"false\"/></meta_attributes>\n    <instance_attributes id=\"{mark}\">\n      \
         <nvpair id=\"{mark}-server\" name=\"server\" value=\"{server}\"/>\n      <nvpair id=\"{mark}-reconnect\" \
         name=\"reconnect_interval\" value=\"{RECONNECT_INTERVAL}\"/>\n    </instance_attributes>\n    <operations>\n      <op id=\"{mark}-start\" \
         name=\"start\" interval=\"0\" timeout=\"60s\"/>\n      <op id=\"{mark}-monitor\" name=\"monitor\" interval=\"5s\" timeout=\"5s\"/>\n    </operations>\n  </primitive>"
    );
    let other_key = reached.and_then(|reached| reached.other_key.as_deref());
    // An XML id cannot begin with a digit.
    let is_id = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let state = match there {
        // If a connection does not start, because of its key or another fault, Pacemaker fences the node with
        // everything that runs there.
        None if unreached.is_some() => PartState::Manual(format!(
            "it cannot be connected to at {server} port {PORT}: {}; have pacemaker_remote run there, with the cluster's authkey, or where \
             it has certificates make the connection yourself",
            unreached.unwrap_or_default()
        )),
        None if !is_id => {
            PartState::Manual("its name is not valid as the id of a resource: it begins with a digit".to_owned())
        }
        None if other_key.is_some() => PartState::Manual(other_key.unwrap_or_default().to_owned()),
        Some(there) if !is_ours(there) => match state(&xml, name, None, resources) {
            PartState::Unchanged => PartState::Unchanged,
            _ => PartState::Foreign(format!("{} does it", there.outer)),
        },
        _ => state(&xml, name, None, resources),
    };
    Part {
        description: format!(
            "{name} as a Pacemaker remote node (where pacemaker_remote runs, with the cluster's authkey or its certificates)"
        ),
        section: "resources",
        pcs: vec![format!(
            "pcs cluster node add-remote {name} {server} reconnect_interval={RECONNECT_INTERVAL} {WORDS}"
        )],
        crm: vec![format!(
            "primitive {name} ocf:pacemaker:remote params server={server} reconnect_interval={RECONNECT_INTERVAL} {WORDS}"
        )],
        state,
        xml,
    }
}
