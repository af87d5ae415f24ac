//! Pacemaker's state and fence history, from the output of `crm_mon --output-as=xml`
//! (`/usr/share/pacemaker/api/*.rng`). Pure.

use std::collections::BTreeSet;

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::core::fence_agents::WATCHDOG;
use crate::core::node::{self, NodeName};
use crate::core::pacemaker::names::{NoPacemakerName, PacemakerName, called};
use crate::core::pacemaker::state::{Delegate, Fence, FenceAction, FenceStatus, MasterRoleState, Membership};
use crate::core::pacemaker::tree::BadCib;
use crate::core::pacemaker::tree::Element;
use crate::core::pacemaker::xml;

/// The state that Pacemaker reports on this host (`crm_mon --output-as=xml`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrmMon {
    /// Whether this host's partition has quorum.
    pub quorum: bool,
    /// The `maintenance-mode` of the whole cluster.
    pub maintenance: bool,
    /// The nodes with their states.
    pub nodes: Vec<(PacemakerName, Membership)>,
    /// The Pacemaker remote nodes among them, which have no vote.
    pub remotes: BTreeSet<PacemakerName>,
    /// The remote nodes whose connections (`ocf:pacemaker:remote`) are started, and are not being started.
    pub connections: BTreeSet<PacemakerName>,
    /// The fence history, the latest first, each with its target.
    pub fences: Vec<(NodeName, Fence)>,
    /// Where Pacemaker has the master role.
    pub master_role: MasterRoleState,
}

/// The reason why an output cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadCrmMon {
    /// The output is not XML.
    #[error("the output of crm_mon is not XML: {0}")]
    Xml(#[from] quick_xml::Error),
    /// The output is XML of another kind, or of a cluster that is not up.
    #[error("crm_mon's answer names no node")]
    NoNodes,
}

impl CrmMon {
    /// Parses the whole output. Missing quorum counts as no quorum, and missing maintenance as maintenance.
    ///
    /// # Errors
    /// [`BadCrmMon`] if the output is not XML or has no node.
    pub fn parse(xml: &str) -> Result<Self, BadCrmMon> {
        let mut found = Self {
            quorum: false,
            maintenance: true,
            nodes: Vec::new(),
            remotes: BTreeSet::new(),
            connections: BTreeSet::new(),
            fences: Vec::new(),
            master_role: MasterRoleState::Unmanaged,
        };
        let mut reader = Reader::from_str(xml);
        let mut in_nodes = false;
        let mut role_here = false;
        loop {
            let (tag, is_empty) = match reader.read_event()? {
                Event::Eof => break,
                Event::Start(tag) => (tag, false),
                Event::Empty(tag) => (tag, true),
                Event::End(tag) => {
                    in_nodes &= tag.name().as_ref() != "nodes";
                    role_here &= tag.name().as_ref() != "resource";
                    continue;
                }
                _ => continue,
            };
            match tag.name().as_ref() {
                "nodes" => in_nodes = !is_empty,
                "current_dc" => found.quorum = flag(&tag, "with_quorum"),
                "cluster_options" => found.maintenance = attribute(&tag, "maintenance-mode") != "false",
                "resource" if is_master_role(&tag) => {
                    role_here = !is_empty && holds_role(&tag);
                    if found.master_role == MasterRoleState::Unmanaged {
                        found.master_role = MasterRoleState::Inactive;
                    }
                }
                "resource" if is_connection(&tag) => {
                    found.connections.extend(PacemakerName::read(&attribute(&tag, "id")));
                }
                "node" if in_nodes => {
                    if let Some(node) = PacemakerName::read(&attribute(&tag, "name")) {
                        if attribute(&tag, "type") == "remote" {
                            found.remotes.insert(node.clone());
                        }
                        found.nodes.push((node, membership(&tag)));
                    }
                }
                "node" if role_here => {
                    if let Some(host) = name(&tag, "name") {
                        found.master_role = MasterRoleState::ActiveOn(host);
                    }
                }
                "fence_event" => found.fences.extend(fence(&tag)),
                _ => {}
            }
        }
        found.name_the_watchdog();
        if found.nodes.is_empty() { Err(BadCrmMon::NoNodes) } else { Ok(found) }
    }

    /// Adds what the CIB has of the state of each node (`//node_state`, without children).
    ///
    /// While Pacemaker tries a connection to a remote node, `crm_mon` shows the node online for as long as that takes.
    /// The host may have been fenced, and be shunned or without power. The controller that holds the connection writes
    /// whether it exists (`in_ccm`). Where that value is a time (from Pacemaker 2.1.7 on), it is 0 for a remote node also
    /// while it is connected (seen with 3.0.0): the connection has to be started, and to have existed after the last
    /// fencing, because Pacemaker sets `node_fenced` to 0 then (`remote_node_up`).
    ///
    /// # Errors
    /// [`BadCib`] if the text is not XML or has no node states.
    pub fn with_states(mut self, states: &str) -> Result<Self, BadCib> {
        let states = Element::parse(states)?;
        if !matches!(states.name.as_str(), "xpath-query" | "node_state") {
            return Err(BadCib::Shape);
        }
        let all = std::iter::once(&states).chain(&states.children);
        let mut connected: BTreeSet<PacemakerName> = BTreeSet::new();
        for state in all {
            let Some(name) = state.get("uname").and_then(PacemakerName::read) else { continue };
            let is_in = match state.get("in_ccm") {
                None | Some("" | "false") => false,
                Some("0") => self.connections.contains(&name) && !was_fenced(state),
                Some(_) => true,
            };
            connected.extend(is_in.then_some(name));
        }
        for (name, member) in &mut self.nodes {
            if self.remotes.contains(name) && !connected.contains(name) && member.is_member() {
                *member = Membership::Absent;
            }
        }
        Ok(self)
    }

    /// Recognizes the delegate of watchdog fencing, which has a name like a node's.
    fn name_the_watchdog(&mut self) {
        let is_it = |name: &str| name == WATCHDOG;
        if self.nodes.iter().any(|(name, _)| is_it(name.as_str())) {
            return;
        }
        for (_, fence) in &mut self.fences {
            if matches!(&fence.delegate, Delegate::Host(host) if is_it(host.as_str())) {
                fence.delegate = Delegate::Watchdog;
            }
        }
    }

    /// Returns the state of `wanted`, one of Ganeti's nodes `all`; [`Membership::Unknown`] if Pacemaker does not have
    /// it, or its name there may mean another node.
    #[must_use]
    pub fn membership(&self, wanted: &NodeName, all: &[NodeName]) -> Membership {
        self.called(wanted, all).map_or(Membership::Unknown, |name| self.of(name))
    }

    /// Returns Pacemaker's name of `wanted`, one of Ganeti's nodes `all`.
    ///
    /// # Errors
    /// [`NoPacemakerName`] if no name means the node, or it is unknown which one does.
    pub fn called(&self, wanted: &NodeName, all: &[NodeName]) -> Result<&PacemakerName, NoPacemakerName> {
        called(wanted, self.nodes.iter().map(|(name, _)| name), all)
    }

    /// Returns the state of one of Pacemaker's own nodes.
    #[must_use]
    pub fn of(&self, name: &PacemakerName) -> Membership {
        let found = self.nodes.iter().find(|(known, _)| known == name);
        found.map_or(Membership::Unknown, |(_, membership)| *membership)
    }

    /// Returns the fence history of `wanted`, one of Ganeti's nodes `all`. An entry whose target may be another of them
    /// is left out.
    #[must_use]
    pub fn fences_of(&self, wanted: &NodeName, all: &[NodeName]) -> Vec<Fence> {
        let same = |target: &NodeName| node::means(target, wanted, all);
        self.fences.iter().filter(|(target, _)| same(target)).map(|(_, fence)| fence.clone()).collect()
    }
}

fn membership(tag: &BytesStart<'_>) -> Membership {
    match () {
        () if flag(tag, "unclean") => Membership::Unclean,
        () if !flag(tag, "online") => Membership::Absent,
        () if flag(tag, "pending") => Membership::Pending,
        () if flag(tag, "shutdown") => Membership::ShuttingDown,
        () if flag(tag, "standby") => Membership::Standby,
        () => Membership::Online,
    }
}

/// Returns whether a node was fenced, and was not connected to after that.
fn was_fenced(state: &Element) -> bool {
    !matches!(state.get("node_fenced"), None | Some("" | "0" | "false"))
}

/// Returns whether the resource is the connection to a remote node, and is started. While it is being started, the
/// connection is only tried (`pending`).
fn is_connection(tag: &BytesStart<'_>) -> bool {
    attribute(tag, "resource_agent").ends_with("pacemaker:remote")
        && flag(tag, "active")
        && !flag(tag, "failed")
        && attribute(tag, "role") == "Started"
        && matches!(attribute(tag, "pending").as_str(), "" | "Monitoring")
}

fn is_master_role(tag: &BytesStart<'_>) -> bool {
    attribute(tag, "resource_agent").ends_with(":ganeti-master-role")
}

/// Returns whether the resource is a primitive that runs, or the promoted instance of a clone. The names of roles
/// changed in Pacemaker 2.1.
fn holds_role(tag: &BytesStart<'_>) -> bool {
    flag(tag, "active")
        && matches!(attribute(tag, "role").as_str(), "Started" | "Starting" | "Promoted" | "Promoting" | "Master")
}

fn fence(tag: &BytesStart<'_>) -> Option<(NodeName, Fence)> {
    let fence = Fence {
        action: match attribute(tag, "action").as_str() {
            "off" => FenceAction::Off,
            "reboot" => FenceAction::Reboot,
            "on" => FenceAction::On,
            _ => return None,
        },
        status: match attribute(tag, "status").as_str() {
            "success" => FenceStatus::Success,
            "failed" => FenceStatus::Failed,
            _ => FenceStatus::Pending,
        },
        completed_ms: completed_ms(&attribute(tag, "completed")),
        delegate: match attribute(tag, "delegate").as_str() {
            "" => Delegate::Unnamed,
            Delegate::HUMAN => Delegate::Human,
            host => NodeName::new(host).map_or(Delegate::Unnamed, Delegate::Host),
        },
    };
    Some((name(tag, "target")?, fence))
}

/// Parses a time of Pacemaker into milliseconds since 1970: with its offset, or in UTC (`crm_time_as_string`).
#[must_use]
pub fn completed_ms(text: &str) -> Option<u64> {
    const WITH_OFFSET: [&str; 2] = ["%Y-%m-%d %H:%M:%S%.f %:z", "%Y-%m-%d %H:%M:%S%.f%:z"];
    let with_offset = |format: &&str| strtime::parse(format, text).ok()?.to_timestamp().ok();
    let in_utc = || {
        let time = strtime::parse("%Y-%m-%d %H:%M:%S%.fZ", text).ok()?.to_datetime().ok()?;
        Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    let time = WITH_OFFSET.iter().find_map(with_offset).or_else(in_utc)?;
    u64::try_from(time.as_millisecond()).ok()
}

fn flag(tag: &BytesStart<'_>, name: &str) -> bool {
    attribute(tag, name) == "true"
}

fn name(tag: &BytesStart<'_>, attribute_name: &str) -> Option<NodeName> {
    NodeName::new(&attribute(tag, attribute_name)).ok()
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> String {
    xml::attribute(tag, name).unwrap_or_default()
}

#[cfg(test)]
mod tests;
