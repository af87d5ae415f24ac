//! Pacemaker's own tools: what it knows of nodes and fencing, and the few things that an agent tells it.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::daemon_util::{ProgramError, run};
use gnt_ha::sys::process::{End, Job};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// The most that is read of a tool's answer, in bytes.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;

/// A node as Pacemaker sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// A member that takes part.
    pub online: bool,
    /// To be fenced, or of unknown state.
    pub unclean: bool,
}

/// A fencing that is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fenced {
    /// `off` or `reboot`; `on` too.
    pub action: String,
    /// Whom.
    pub target: String,
    /// By whom; `a human` for a confirmation.
    pub delegate: String,
    /// When, as Pacemaker writes it.
    pub completed: String,
}

/// What Pacemaker knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// All nodes.
    pub nodes: Vec<Node>,
    /// Fencings that succeeded, the latest first.
    pub fenced: Vec<Fenced>,
}

/// Asks Pacemaker for its nodes and its fence history; `None` without an answer by the deadline.
#[must_use]
pub fn status(deadline: Deadline) -> Option<Status> {
    // With less than 3 as its level crm_mon leaves out what it takes for the same.
    let words = ["--one-shot", "--fence-history=3", "--output-as=xml"].map(OsStr::new);
    let ended = Job {
        program: Path::new("crm_mon"),
        arguments: &words,
        stdin: &[],
        environment: &[],
        without: &[],
        guarded: false,
        deadline,
        linger: Duration::from_millis(100),
        output_limit: ANSWER_LIMIT,
    }
    .run()
    .ok()?;
    if ended.end != End::Exited(0) || ended.flooded {
        return None;
    }
    parse(std::str::from_utf8(&ended.stdout).ok()?)
}

/// Offers this node for promotion with `score`, or no more.
///
/// # Errors
/// [`ProgramError`].
pub fn offer(resource: &str, score: Option<i32>, deadline: Deadline) -> Result<(), ProgramError> {
    let promotion = format!("--promotion={resource}");
    let number = score.map(|score| score.to_string()).unwrap_or_default();
    let words: &[&str] = match score {
        Some(_) => &[&promotion, "-v", &number],
        None => &[&promotion, "-D"],
    };
    run(Path::new("crm_attribute"), words, &[], deadline).map(drop)
}

/// Has Pacemaker move `resource` to `node`, by constraints that end after a few minutes. An infinite stickiness, as
/// Ganeti's examples have it, is as strong as a preference: the present place is banned as well (`--force`).
///
/// # Errors
/// [`ProgramError`].
pub fn prefer(resource: &str, node: &str, deadline: Deadline) -> Result<(), ProgramError> {
    const LIFETIME: &str = "--lifetime=PT5M";
    let words = ["--move", "--resource", resource, "--node", node, LIFETIME, "--force"];
    run(Path::new("crm_resource"), &words, &[], deadline).map(drop)
}

fn parse(xml: &str) -> Option<Status> {
    let mut status = Status::default();
    let mut in_nodes = false;
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) if tag.name().as_ref() == "nodes" => in_nodes = true,
            Event::End(tag) if tag.name().as_ref() == "nodes" => in_nodes = false,
            Event::Start(tag) | Event::Empty(tag) => match tag.name().as_ref() {
                "node" if in_nodes => status.nodes.push(Node {
                    name: attribute(&tag, "name"),
                    online: attribute(&tag, "online") == "true",
                    unclean: attribute(&tag, "unclean") == "true",
                }),
                "fence_event" if attribute(&tag, "status") == "success" => status.fenced.push(Fenced {
                    action: attribute(&tag, "action"),
                    target: attribute(&tag, "target"),
                    delegate: attribute(&tag, "delegate"),
                    completed: attribute(&tag, "completed"),
                }),
                _ => {}
            },
            Event::Eof => break,
            _ => {}
        }
    }
    // A cluster without nodes is no answer.
    (!status.nodes.is_empty()).then_some(status)
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> String {
    let found = tag.attributes().flatten().find(|attribute| attribute.key.as_ref() == name);
    found.and_then(|found| Some(quick_xml::escape::unescape(&found.value).ok()?.into_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_fencings_that_succeeded_are_read() {
        let xml = r#"<pacemaker-result><nodes><node name="n1.lab" online="false" unclean="false"/>
            <node name="n2.lab" online="true" unclean="false"/></nodes>
            <resources><resource id="x"><node name="n2.lab"/></resource></resources>
            <fence_history><fence_event status="success" action="reboot" target="n1.lab" delegate="n2.lab" completed="t"/>
            <fence_event status="failed" action="reboot" target="n2.lab"/></fence_history></pacemaker-result>"#;
        let status = parse(xml).unwrap();
        assert_eq!(status.nodes.len(), 2);
        assert!(!status.nodes[0].online && status.nodes[1].online);
        assert_eq!(status.fenced.len(), 1);
        assert_eq!(status.fenced[0].delegate, "n2.lab");
        assert_eq!(parse("<a/>"), None);
        assert_eq!(parse("<a"), None);
    }
}
