//! The tables of the agents' parameters and actions: the defaults and the metadata come from them.

use gnt_ha::sys::ganeti::files;
use gnt_ha::sys::pacemaker::cib;

/// The type of a parameter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// A text (OCF type `string`).
    Text,
}

/// A parameter of both agents.
#[derive(Debug)]
pub struct Parameter {
    /// The parameter's name, without the prefix `OCF_RESKEY_`.
    pub name: &'static str,
    /// The type of its value.
    pub kind: ParameterKind,
    /// The value when the parameter is not given. Pacemaker does not fill it in.
    pub default: Option<&'static str>,
    /// The short description of the metadata.
    pub short: &'static str,
    /// The long description of the metadata.
    pub long: &'static str,
}

/// An action, as the metadata describes it.
#[derive(Debug)]
pub struct OcfAction {
    /// The name of the action, as Pacemaker passes it.
    pub name: &'static str,
    /// Recommended timeout in s. It also holds if Pacemaker gives none.
    pub timeout: u64,
    /// Recommended interval in s, of a recurring monitor.
    pub interval: Option<u64>,
    /// The role of a promotable clone for which the action is.
    pub role: Option<&'static str>,
}

/// An OCF resource agent, as its metadata describes it (OCF Resource Agent API 1.1).
#[derive(Debug)]
pub struct Agent {
    /// The agent's name, which is also the name of its program.
    pub name: &'static str,
    /// The short description of the metadata.
    pub short: &'static str,
    /// The long description of the metadata.
    pub long: &'static str,
    /// The actions that the agent offers.
    pub actions: &'static [OcfAction],
}

impl Agent {
    /// Returns the recommended timeout of an action in s; 20 s for an action that is not in the table.
    #[must_use]
    pub fn timeout(&self, action: &str) -> u64 {
        const DEFAULT_TIMEOUT_S: u64 = 20;
        self.actions.iter().find(|known| known.name == action).map_or(DEFAULT_TIMEOUT_S, |known| known.timeout)
    }
}

const fn text(name: &'static str, default: Option<&'static str>, short: &'static str, long: &'static str) -> Parameter {
    Parameter { name, kind: ParameterKind::Text, default, short, long }
}

/// The directory of Ganeti's `daemon-util`.
const PROGRAM_DIR: &str = "/usr/lib/ganeti";

/// The parameters of both agents. None is required.
pub const PARAMETERS: &[Parameter] = &[
    text(
        "data_dir",
        Some(files::DATA_DIR),
        "Ganeti's data directory",
        "Where Ganeti keeps its ssconf files and config.data.",
    ),
    text(
        "run_dir",
        Some("/var/run/ganeti"),
        "Ganeti's run-time directory",
        "Where Ganeti keeps the pidfiles of its daemons and, in socket/, their sockets.",
    ),
    text("program_dir", Some(PROGRAM_DIR), "Ganeti's program directory", "Where Ganeti's daemon-util is."),
    text(
        "state_dir",
        Some("/var/lib/gnt-ha"),
        "State directory of gnt-ha",
        "Where receipts are, and in simulate/ the files that simulate conditions.",
    ),
    text(
        "marker_dir",
        Some("/run/gnt-ha"),
        "Directory for state that holds until the next boot",
        "It must be empty after a boot: it records that a role was stopped on purpose.",
    ),
    text(
        "cib",
        Some(cib::FILE),
        "Pacemaker's configuration on this host",
        "The file in which Pacemaker keeps it; it names the node's fence devices.",
    ),
    text(
        "node_name",
        None,
        "This node's name in Ganeti",
        "Needed only where the node's name in Ganeti is not the host's name; each node has its own. By default it is \
         found by the host's name.",
    ),
];

const fn action(name: &'static str, timeout: u64) -> OcfAction {
    OcfAction { name, timeout, interval: None, role: None }
}

const fn monitor(timeout: u64, interval: u64, role: Option<&'static str>) -> OcfAction {
    OcfAction { name: "monitor", timeout, interval: Some(interval), role }
}

/// `ganeti-master-role`, which moves the master role when the master's node fails.
pub const MASTER_ROLE: Agent = Agent {
    name: "ganeti-master-role",
    short: "Ganeti's master role",
    long: "Keeps the master role of a Ganeti cluster on a node that is online. Run it as one resource: it is started \
           on the master, stopped on master candidates, and runs on no other node. Or run it as a promotable clone on all nodes: it is \
           promoted on the master. The candidate with the most recent configuration is preferred. A node that is not a \
           candidate is never chosen and never banned. Fencing must be on. By default a monitor checks only the role. With the \
           cluster tag ocf:master-role:full it also checks the daemons, the master IP and whether the peers agree. A planned move \
           first waits for running jobs, for a limited time. Pacemaker follows a move by gnt-cluster master-failover.",
    actions: &[
        // gnt-cluster master-failover waits 5 s for each dead node several times, and 30 s twice for the master IP.
        action("start", 300),
        action("stop", 60),
        monitor(30, 10, None),
        monitor(30, 9, Some("Promoted")),
        monitor(30, 11, Some("Unpromoted")),
        action("promote", 300),
        action("demote", 60),
        action("notify", 20),
        action("reload", 10),
        action("validate-all", 10),
        action("meta-data", 5),
    ],
};

/// `ganeti-node-role`, which brings Ganeti's record of the nodes to what is proven.
pub const NODE_ROLE: Agent = Agent {
    name: "ganeti-node-role",
    short: "Ganeti's node role",
    long: "Reports to Ganeti the nodes that Pacemaker has fenced. Run it as a clone on all nodes with notify=true: after a \
           node was fenced, the master records it. By default a monitor always succeeds; with the cluster tag \
           ocf:node-role:full it fails when noded does not answer, confd does not on a master candidate, or the root \
           file system cannot be written. The node attribute gnt-ha-fence-score shows whether the node has what \
           fence_ganeti needs. A file ha_node_role_config in Ganeti's data directory mutes notifications.",
    actions: &[
        action("start", 20),
        action("stop", 20),
        monitor(30, 30, None),
        action("notify", 60),
        action("reload", 10),
        action("validate-all", 10),
        action("meta-data", 5),
    ],
};
