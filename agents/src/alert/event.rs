//! The events that Pacemaker passes to an alert agent, and the rule which host reports which event. Reads nothing
//! itself.

use gnt_ha::core::node::{self, NodeName};

use super::error::AlertError;

/// An event, as the `CRM_alert_*` variables describe it (Pacemaker Explained, "Alerts").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertEvent {
    /// The kind of the event, with the values that only this kind has.
    pub kind: EventKind,
    /// The node that the event is about, as Pacemaker calls the node.
    pub node: String,
    /// Pacemaker's description of the event (`CRM_alert_desc`).
    pub description: String,
    /// Wall-clock time of the event in s since 1970, by the clock of the host that saw the event.
    pub at_s: Option<u64>,
}

/// An event in Pacemaker, as the alert's variables describe it (Pacemaker Explained, "Alert Agents").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Corosync's membership changed, or the connection to a remote node.
    Node {
        /// The node is a remote node: only the DC and the host that holds or held its connection are notified.
        is_remote: bool,
    },
    /// Pacemaker tried to fence a node, or to switch a node on.
    Fencing {
        /// Pacemaker reported success (`CRM_alert_rc` is 0).
        succeeded: bool,
    },
    /// An operation on a resource ended.
    Resource {
        /// The id of the resource (`CRM_alert_rsc`).
        id: String,
        /// The operation's name, such as `start` or `monitor`.
        operation: String,
        /// The operation ended with the expected exit code and with the execution status "done".
        as_wanted: bool,
        /// The operation is a probe: a one-time monitor, which only finds out whether the resource runs.
        probe: bool,
    },
    /// Every other kind, for example a change of a node attribute. It is not reported.
    Other,
}

/// The host that decides whether to report, and the Ganeti cluster as its files show it.
#[derive(Clone, Debug)]
pub struct AlertHost {
    /// This host's name; `None` if it is not a valid node name.
    pub host: Option<NodeName>,
    /// Ganeti's master, by this host's ssconf files; `None` if they do not name it.
    pub master: Option<NodeName>,
    /// Ganeti's nodes, by this host's ssconf files; empty if they cannot be read.
    pub nodes: Vec<NodeName>,
}

/// The report of one event, as a recipient gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The administrator has to act.
    pub urgent: bool,
    /// The report in one line.
    pub text: String,
    /// The node that the event is about, as Pacemaker calls the node.
    pub node: String,
    /// `node`, `fencing` or `resource`.
    pub kind: &'static str,
    /// Pacemaker's description of the event.
    pub description: String,
    /// Wall-clock time of the event in s since 1970, by the clock of the host that saw the event.
    pub at_s: Option<u64>,
}

impl AlertEvent {
    /// Reads an event from the environment; `variable` returns the value of one environment variable.
    ///
    /// # Errors
    /// [`AlertError::NoEvent`] if `CRM_alert_kind` is not set or empty: the program was not started by Pacemaker.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, AlertError> {
        let get = |name: &str| variable(&format!("CRM_alert_{name}")).unwrap_or_default();
        let number = |name: &str| get(name).parse::<i64>().ok();
        let kind = match get("kind").as_str() {
            "" => return Err(AlertError::NoEvent),
            // Remote nodes have no number among the members.
            "node" => EventKind::Node { is_remote: get("nodeid") == "0" },
            "fencing" => EventKind::Fencing { succeeded: number("rc") == Some(0) },
            "resource" => EventKind::Resource {
                id: get("rsc"),
                operation: get("task"),
                as_wanted: number("rc").is_some() && number("rc") == number("target_rc") && number("status") == Some(0),
                probe: get("task") == "monitor" && number("interval").is_none_or(|interval| interval == 0),
            },
            _ => EventKind::Other,
        };
        let at_s = get("timestamp_epoch").parse().ok();
        Ok(Self { kind, node: get("node"), description: get("desc"), at_s })
    }

    /// Returns the report of this event; `None` where another host reports the event, or where there is nothing to
    /// report.
    #[must_use]
    pub fn message(&self, here: &AlertHost) -> Option<Message> {
        let (kind, urgent, text) = match &self.kind {
            EventKind::Node { .. } => {
                let (urgent, text) = self.membership()?;
                ("node", urgent, text)
            }
            EventKind::Fencing { succeeded } => {
                let (urgent, text) = self.fencing(*succeeded);
                ("fencing", urgent, text)
            }
            EventKind::Resource { id, operation, as_wanted, probe } => {
                let (urgent, text) = self.resource(id, operation, *as_wanted, *probe, here)?;
                ("resource", urgent, text)
            }
            EventKind::Other => return None,
        };
        let (node, description) = (self.node.clone(), self.description.clone());
        self.is_for(here).then_some(Message { urgent, text, node, kind, description, at_s: self.at_s })
    }

    /// Whether this host reports the event. Several hosts are notified and one reports. In doubt more than one host
    /// reports: a second report is better than a missing one.
    fn is_for(&self, here: &AlertHost) -> bool {
        let is_here = |name: &str| here.host.as_ref().is_some_and(|host| is_same(host, name));
        match self.kind {
            // Pacemaker notifies only the host that ran the operation.
            EventKind::Resource { .. } | EventKind::Other => true,
            // No other host can find out whether the master is notified of it.
            EventKind::Node { is_remote: true } => true,
            // The host that requested the fencing reports it. Every host reports if that host is unknown or is the
            // target itself (an unfencing, or a host that has itself fenced).
            EventKind::Fencing { .. } => match origin(&self.description) {
                Some(origin) if !origin.eq_ignore_ascii_case(&self.node) => is_here(origin),
                _ => true,
            },
            // The master reports. If the node is the master, or the master is unknown, every other host reports.
            EventKind::Node { is_remote: false } => match &here.master {
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

    /// Returns urgency and text. A failed attempt is never reported as a fencing, and a confirmation by an
    /// administrator is reported as such.
    fn fencing(&self, succeeded: bool) -> (bool, String) {
        let (node, description) = (&self.node, &self.description);
        let action = description.strip_prefix("Operation ").and_then(|rest| rest.split(' ').next());
        match (succeeded, action) {
            (true, Some("on")) => (false, format!("{node} was switched on: {description}")),
            (true, Some(_)) if description.contains(" by a human ") => {
                (false, format!("an administrator has confirmed to Pacemaker that {node} is off: {description}"))
            }
            (true, Some("off" | "reboot")) => (true, format!("{node} was fenced: {description}")),
            (true, _) => (true, format!("Pacemaker reports of {node}: {description}")),
            (false, Some("on")) => (true, format!("{node} was NOT switched on: {description}")),
            (false, _) => (
                true,
                format!(
                    "{node} was NOT fenced, and its instances and resources stay down until it is proven off: {description}"
                ),
            ),
        }
    }

    fn resource(
        &self,
        id: &str,
        operation: &str,
        as_wanted: bool,
        probe: bool,
        here: &AlertHost,
    ) -> Option<(bool, String)> {
        let node = &self.node;
        // The connection to a remote node has the node's name. While the node is away every start of the connection
        // fails, and the loss of the node has been reported before.
        if operation == "start" && here.nodes.iter().any(|node| is_same(node, id)) {
            return None;
        }
        match (as_wanted, operation) {
            (true, "promote") => Some((false, format!("{id} was promoted on {node}"))),
            // A cancelled operation has not ended. A probe only finds out whether the resource runs.
            (false, _) if !probe && self.description != "Cancelled" => {
                Some((true, format!("{operation} of {id} on {node}: {}", self.description)))
            }
            _ => None,
        }
    }
}

/// Returns the host of the client that requested the fencing: `... for pacemaker-controld.1234@n1: OK ...`
/// (`stonith__event_description`).
fn origin(description: &str) -> Option<&str> {
    let client = description.split_once(" for ")?.1;
    let (origin, _) = client.split_once('@')?.1.split_once(':')?;
    (!origin.is_empty()).then_some(origin)
}

/// Whether `name` is `host`. A short name counts as this host's: two reports are better than none.
fn is_same(host: &NodeName, name: &str) -> bool {
    NodeName::new(name).is_ok_and(|name| node::same(&name, host, []))
}
