//! Pacemaker's answers: `crm_mon` and `stonith_admin --history`, both as XML.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde::Serialize;

use crate::error::{Error, Result};

/// A cluster node as one host's Pacemaker sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Name, such as `n1.lab`.
    pub name: String,
    /// A member whose Pacemaker takes part.
    pub online: bool,
    /// On its way to being online: its Pacemaker has not joined yet.
    pub pending: bool,
    /// To be fenced, or of unknown state.
    pub unclean: bool,
    /// In standby.
    pub standby: bool,
    /// The designated controller.
    pub dc: bool,
}

/// A resource as one host's Pacemaker sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resource {
    /// Its id; those of a clone's instances are the same.
    pub id: String,
    /// Such as `Started`, `Stopped`, `Promoted`.
    pub role: String,
    /// It failed where it is.
    pub failed: bool,
    /// It failed and Pacemaker will not touch it again.
    pub blocked: bool,
    /// Where it is active.
    pub nodes: Vec<String>,
}

/// One fencing action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FenceEvent {
    /// `off`, `reboot` or `on`.
    pub action: String,
    /// The node it is done to.
    pub target: String,
    /// The node that does it; empty while nobody has it.
    pub delegate: String,
    /// Who asked for it, such as `pacemaker-controld.123`.
    pub client: String,
    /// The node that asked for it.
    pub origin: String,
    /// `success`, `failed` or `pending`.
    pub status: String,
    /// Local time of its end, as Pacemaker writes it; empty while it is pending.
    pub completed: String,
}

/// `crm_mon --output-as=xml` of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CrmMon {
    /// The host's partition has quorum.
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
    /// The node of this name, in short (`n1`) or in full (`n1.lab`).
    pub fn node(&self, name: &str) -> Option<&Node> {
        let short = |name: &str| name.split('.').next().map(str::to_owned);
        self.nodes.iter().find(|node| short(&node.name) == short(name))
    }

    /// Is the node of this name (short or in full) online, neither pending nor unclean?
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

/// The events in `stonith_admin --history '*' --output-as=xml`.
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

/// Calls back for each start (false) and end (true) of an element; an empty one only starts.
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
    fn nodes_resources_and_fencing_are_told_apart() {
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
