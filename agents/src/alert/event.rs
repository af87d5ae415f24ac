//! What Pacemaker says has happened, and who says what of it to people.

use gnt_ha::core::node::{self, NodeName};

/// An event, as the environment has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What kind, and what is particular to it.
    pub kind: Kind,
    /// The node that it is about.
    pub node: String,
    /// Pacemaker's words.
    pub description: String,
    /// Seconds since 1970, by the host that saw it.
    pub at_s: Option<u64>,
}

/// What kind of event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Corosync's membership changed, or the connection to a remote node.
    Node {
        /// It is a remote node: only the DC and the host that holds or held its connection hear of it.
        is_remote: bool,
    },
    /// Somebody was to be fenced.
    Fencing {
        /// It succeeded.
        succeeded: bool,
    },
    /// An operation on a resource ended.
    Resource {
        /// The resource.
        id: String,
        /// The operation.
        operation: String,
        /// It ended as it was to end.
        as_wanted: bool,
        /// It only looked whether the resource runs.
        probe: bool,
    },
    /// Anything else.
    Other,
}

/// Who is asked.
#[derive(Clone, Debug)]
pub struct Here {
    /// This host.
    pub host: Option<NodeName>,
    /// Ganeti's master.
    pub master: Option<NodeName>,
    /// Ganeti's nodes.
    pub nodes: Vec<NodeName>,
}

/// What people are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Somebody has to do something.
    pub urgent: bool,
    /// In one line.
    pub text: String,
    /// The node that it is about.
    pub node: String,
    /// `node`, `fencing` or `resource`.
    pub kind: &'static str,
    /// Pacemaker's words.
    pub description: String,
    /// Seconds since 1970, by the host that saw it.
    pub at_s: Option<u64>,
}

impl Event {
    /// Reads what Pacemaker says.
    ///
    /// # Errors
    /// When it says nothing: somebody else has started this.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let get = |name: &str| variable(&format!("CRM_alert_{name}")).unwrap_or_default();
        let number = |name: &str| get(name).parse::<i64>().ok();
        let kind = match get("kind").as_str() {
            "" => return Err("CRM_alert_kind is not set: Pacemaker starts this, as an alert agent".to_owned()),
            // Remote nodes have no number among the members.
            "node" => Kind::Node { is_remote: get("nodeid") == "0" },
            "fencing" => Kind::Fencing { succeeded: number("rc") == Some(0) },
            "resource" => Kind::Resource {
                id: get("rsc"),
                operation: get("task"),
                as_wanted: number("rc").is_some() && number("rc") == number("target_rc") && number("status") == Some(0),
                probe: get("task") == "monitor" && number("interval").is_none_or(|interval| interval == 0),
            },
            _ => Kind::Other,
        };
        let at_s = get("timestamp_epoch").parse().ok();
        Ok(Self { kind, node: get("node"), description: get("desc"), at_s })
    }

    /// What this host tells people; nothing, where another one does, or there is nothing to tell.
    #[must_use]
    pub fn told(&self, here: &Here) -> Option<Notice> {
        let (kind, urgent, text) = match &self.kind {
            Kind::Node { .. } => {
                let (urgent, text) = self.membership()?;
                ("node", urgent, text)
            }
            Kind::Fencing { succeeded } => {
                let (urgent, text) = self.fencing(*succeeded);
                ("fencing", urgent, text)
            }
            Kind::Resource { id, operation, as_wanted, probe } => {
                let (urgent, text) = self.resource(id, operation, *as_wanted, *probe, here)?;
                ("resource", urgent, text)
            }
            Kind::Other => return None,
        };
        let (node, description) = (self.node.clone(), self.description.clone());
        self.is_for(here).then_some(Notice { urgent, text, node, kind, description, at_s: self.at_s })
    }

    /// Every host hears of it, and one tells: told twice is better than not at all.
    fn is_for(&self, here: &Here) -> bool {
        let is_here = |name: &str| here.host.as_ref().is_some_and(|host| is_same(host, name));
        match self.kind {
            // Only the host that ran it hears of it.
            Kind::Resource { .. } | Kind::Other => true,
            // Whether the master does nobody else knows.
            Kind::Node { is_remote: true } => true,
            // Who asked for it is alive; that may be the one that is fenced (an unfencing, a fencing of oneself).
            Kind::Fencing { .. } => match origin(&self.description) {
                Some(origin) if !origin.eq_ignore_ascii_case(&self.node) => is_here(origin),
                _ => true,
            },
            // Of the master, each of the others.
            Kind::Node { is_remote: false } => match &here.master {
                Some(master) if !is_same(master, &self.node) => is_here(master.as_str()),
                _ => !is_here(&self.node),
            },
        }
    }

    fn membership(&self) -> Option<(bool, String)> {
        let node = &self.node;
        match self.description.as_str() {
            "lost" => Some((true, format!("{node} has left the cluster's membership, and may still run"))),
            "member" => Some((false, format!("{node} is in the cluster's membership"))),
            _ => None,
        }
    }

    /// An attempt is no fencing, and a human's word is one of his.
    fn fencing(&self, succeeded: bool) -> (bool, String) {
        let (node, description) = (&self.node, &self.description);
        let action = description.strip_prefix("Operation ").and_then(|rest| rest.split(' ').next());
        match (succeeded, action) {
            (true, Some("on")) => (false, format!("{node} was switched on: {description}")),
            (true, Some(_)) if description.contains(" by a human ") => {
                (false, format!("a human has said to Pacemaker that {node} is off: {description}"))
            }
            (true, Some("off" | "reboot")) => (true, format!("{node} was fenced: {description}")),
            (true, _) => (true, format!("Pacemaker says of {node}: {description}")),
            (false, Some("on")) => (true, format!("{node} was NOT switched on: {description}")),
            (false, _) => (
                true,
                format!("{node} was NOT fenced, and what ran on it stays down until it is proven off: {description}"),
            ),
        }
    }

    fn resource(&self, id: &str, operation: &str, as_wanted: bool, probe: bool, here: &Here) -> Option<(bool, String)> {
        let node = &self.node;
        // The connection to a remote node has the node's name. While the node is away each attempt fails, and that the node was lost
        // has been told.
        if operation == "start" && here.nodes.iter().any(|node| is_same(node, id)) {
            return None;
        }
        match (as_wanted, operation) {
            (true, "promote") => Some((false, format!("{id} was promoted on {node}"))),
            // What was cancelled has not ended, and a probe only looks.
            (false, _) if !probe && self.description != "Cancelled" => {
                Some((true, format!("{operation} of {id} on {node}: {}", self.description)))
            }
            _ => None,
        }
    }
}

/// The host of the client that asked: `... for pacemaker-controld.1234@n1: OK ...` (`stonith__event_description`).
fn origin(description: &str) -> Option<&str> {
    let asked = description.split_once(" for ")?.1;
    let (origin, _) = asked.split_once('@')?.1.split_once(':')?;
    (!origin.is_empty()).then_some(origin)
}

/// A short name may be this host's: two that tell are better than none.
fn is_same(host: &NodeName, name: &str) -> bool {
    NodeName::new(name).is_ok_and(|name| node::same(&name, host, []))
}
