//! Parses Pacemaker's answers: `crm_mon` and `stonith_admin --history`, both as XML.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde::Serialize;

use crate::error::{Error, Result};

/// A cluster node as one host's Pacemaker sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// The node's name, such as `n1.lab`.
    pub name: String,
    /// The node is a member, and its Pacemaker has joined.
    pub online: bool,
    /// The node is pending: its Pacemaker has not joined yet.
    pub pending: bool,
    /// The node is to be fenced, or its state is unknown.
    pub unclean: bool,
    /// The node is in standby.
    pub standby: bool,
    /// The node is the designated controller (DC).
    pub dc: bool,
}

/// A resource as one host's Pacemaker sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resource {
    /// The resource's id; the instances of a clone have the same id.
    pub id: String,
    /// The role, such as `Started`, `Stopped`, `Promoted`.
    pub role: String,
    /// The resource has failed on its node.
    pub failed: bool,
    /// The resource has failed and Pacemaker will not act on it again.
    pub blocked: bool,
    /// The nodes on which it is active.
    pub nodes: Vec<String>,
}

/// One fencing action of the fence history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FenceEvent {
    /// The action: `off`, `reboot` or `on`.
    pub action: String,
    /// The target of the action.
    pub target: String,
    /// The delegate, which executes it; empty while no host executes it.
    pub delegate: String,
    /// The client that requested it, such as `pacemaker-controld.123`.
    pub client: String,
    /// The node of that client.
    pub origin: String,
    /// The status: `success`, `failed` or `pending`.
    pub status: String,
    /// The local time of its end, as Pacemaker writes it; empty while it is pending.
    pub completed: String,
}

/// The output of `crm_mon --output-as=xml` on one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CrmMon {
    /// Whether the host's partition has quorum.
    pub quorum: bool,
    /// The designated controller's name, if one is elected.
    pub dc: Option<String>,
    /// All configured nodes.
    pub nodes: Vec<Node>,
    /// All resources, those of groups and clones too.
    pub resources: Vec<Resource>,
    /// Fencing actions, the latest first.
    pub fencing: Vec<FenceEvent>,
}

impl CrmMon {
    /// Returns the node of this name, short (`n1`) or full (`n1.lab`).
    pub fn node(&self, name: &str) -> Option<&Node> {
        let short = |name: &str| name.split('.').next().map(str::to_owned);
        self.nodes.iter().find(|node| short(&node.name) == short(name))
    }

    /// Whether the node of this name (short or full) is online, neither pending nor unclean.
    pub fn is_online(&self, name: &str) -> bool {
        self.node(name).is_some_and(|n| n.online && !n.pending && !n.unclean)
    }

    pub(crate) fn parse(xml: &str) -> Result<Self> {
        let mut found = Self::default();
        let mut inside_nodes = false;
        // Attributes, bans and histories name nodes, too.
        let mut inside_resources = false;
        walk(xml, |name, tag, ends| {
            let text = |key: &str| tag.get(key).cloned().unwrap_or_default();
            let flag = |key: &str| tag.get(key).is_some_and(|v| v == "true");
            match name {
                "nodes" => inside_nodes = !ends,
                "resources" => inside_resources = !ends,
                _ if ends => {}
                "current_dc" => {
                    found.quorum = flag("with_quorum");
                    found.dc = tag.get("name").filter(|n| !n.is_empty()).cloned();
                }
                "node" if inside_nodes => found.nodes.push(Node {
                    name: text("name"),
                    online: flag("online"),
                    pending: flag("pending"),
                    unclean: flag("unclean"),
                    standby: flag("standby"),
                    dc: flag("is_dc"),
                }),
                "resource" => found.resources.push(Resource {
                    id: text("id"),
                    role: text("role"),
                    failed: flag("failed"),
                    blocked: flag("blocked"),
                    nodes: Vec::new(),
                }),
                "node" if inside_resources => {
                    if let Some(resource) = found.resources.last_mut() {
                        resource.nodes.push(text("name"));
                    }
                }
                "fence_event" => found.fencing.push(fence_event(tag)),
                _ => {}
            }
        })?;
        Ok(found)
    }
}

/// Returns the events in `stonith_admin --history '*' --output-as=xml`.
pub(crate) fn fence_history(xml: &str) -> Result<Vec<FenceEvent>> {
    let mut events = Vec::new();
    walk(xml, |name, tag, ends| {
        if name == "fence_event" && !ends {
            events.push(fence_event(tag));
        }
    })?;
    Ok(events)
}

type Tag = HashMap<String, String>;

fn fence_event(tag: &Tag) -> FenceEvent {
    let text = |key: &str| tag.get(key).cloned().unwrap_or_default();
    FenceEvent {
        action: text("action"),
        target: text("target"),
        delegate: text("delegate"),
        client: text("client"),
        origin: text("origin"),
        status: text("status"),
        completed: text("completed"),
    }
}

/// Calls back for each start (false) and end (true) of an element; an empty element only starts.
fn walk(xml: &str, mut visit: impl FnMut(&str, &Tag, bool)) -> Result<()> {
    let wrong = |detail: String| Error::Answer { what: "Pacemaker's XML".into(), detail };
    let mut reader = Reader::from_str(xml);
    let mut elements = 0;
    loop {
        let (start, empty) = match reader.read_event().map_err(|e| wrong(e.to_string()))? {
            Event::Start(start) => (start, false),
            Event::Empty(start) => (start, true),
            Event::End(end) => {
                visit(end.name().as_ref(), &Tag::new(), true);
                continue;
            }
            Event::Eof if elements == 0 => return Err(wrong("it is empty".into())),
            Event::Eof => return Ok(()),
            _ => continue,
        };
        elements += 1;
        let tag = attributes(&start).map_err(wrong)?;
        let name = start.name().as_ref().to_owned();
        visit(&name, &tag, false);
        if empty && name == "nodes" {
            visit(&name, &tag, true);
        }
    }
}

fn attributes(start: &BytesStart<'_>) -> std::result::Result<Tag, String> {
    start
        .attributes()
        .map(|attribute| {
            let attribute = attribute.map_err(|e| e.to_string())?;
            let key = attribute.key.as_ref().to_owned();
            let value = quick_xml::escape::unescape(&attribute.value).map_err(|e| e.to_string())?.into_owned();
            Ok((key, value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_resources_and_fencing_are_distinguished() {
        let xml = r#"<pacemaker-result><summary><current_dc present="true" name="n1.lab" with_quorum="true"/></summary>
            <nodes><node name="n1.lab" online="true" unclean="false" is_dc="true"/>
            <node name="n2.lab" online="false" unclean="true"/></nodes>
            <resources><resource id="a" role="Started" failed="false"><node name="n1.lab" id="1"/></resource>
            <resource id="b" role="Stopped"/></resources>
            <node_history><node name="n1.lab"/></node_history>
            <fence_history status="0"><fence_event status="success" action="off" target="n2.lab" delegate="n1.lab"/></fence_history>
            </pacemaker-result>"#;
        let seen = CrmMon::parse(xml).unwrap();
        assert!(seen.quorum && seen.is_online("n1") && !seen.is_online("n2.lab"));
        assert_eq!(seen.dc.as_deref(), Some("n1.lab"));
        assert_eq!(seen.nodes.len(), 2);
        assert_eq!(seen.resources[0].nodes, ["n1.lab"]);
        assert_eq!(seen.resources[1].nodes, [""; 0]);
        assert_eq!(seen.fencing, fence_history(xml).unwrap());
        assert_eq!(seen.fencing[0].status, "success");
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        CrmMon::parse("").unwrap_err();
        CrmMon::parse("<a").unwrap_err();
    }
}
