//! The tables of what the agents take and do, once: parameters, actions, and the metadata come from them.

use gnt_ha::sys::ganeti::files;
use gnt_ha::sys::pacemaker::cib;

/// What a parameter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
}

/// One parameter.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Its value when it is not given; Pacemaker does not fill it in.
    pub default: Option<&'static str>,
    /// In a few words.
    pub short: &'static str,
    /// In sentences.
    pub long: &'static str,
}

/// One action, as the metadata tells it. `timeout` also holds when Pacemaker gives none.
#[derive(Debug)]
pub struct Action {
    /// What is asked for.
    pub name: &'static str,
    /// Recommended time-out, in seconds.
    pub timeout: u64,
    /// Recommended interval, in seconds.
    pub interval: Option<u64>,
    /// The role that it is for, in a promotable clone.
    pub role: Option<&'static str>,
}

/// One agent.
#[derive(Debug)]
pub struct Agent {
    /// Its name.
    pub name: &'static str,
    /// In a few words.
    pub short: &'static str,
    /// In sentences.
    pub long: &'static str,
    /// What it does.
    pub actions: &'static [Action],
}

impl Agent {
    /// The time-out that is recommended for an action.
    #[must_use]
    pub fn timeout(&self, action: &str) -> u64 {
        const OTHERWISE: u64 = 20;
        self.actions.iter().find(|known| known.name == action).map_or(OTHERWISE, |known| known.timeout)
    }
}

const fn text(name: &'static str, default: Option<&'static str>, short: &'static str, long: &'static str) -> Parameter {
    Parameter { name, kind: Kind::Text, default, short, long }
}

/// Where Ganeti's `daemon-util` is.
const PROGRAM_DIR: &str = "/usr/lib/ganeti";

/// The parameters of both agents. None has to be given.
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
        "Directory for what is true until the next boot",
        "It must be empty after a boot: it tells that a role was stopped on purpose.",
    ),
    text(
        "cib",
        Some(cib::FILE),
        "Pacemaker's configuration on this host",
        "The file in which Pacemaker keeps it; it says what the node fences with.",
    ),
    text(
        "node_name",
        None,
        "This node's name in Ganeti",
        "To be given only where Ganeti's name of the node is not the host's, and of course per node; by default it is \
         found by the host's name.",
    ),
];

const fn action(name: &'static str, timeout: u64) -> Action {
    Action { name, timeout, interval: None, role: None }
}

const fn monitor(timeout: u64, interval: u64, role: Option<&'static str>) -> Action {
    Action { name: "monitor", timeout, interval: Some(interval), role }
}

/// `ganeti-master-role`.
pub const MASTER_ROLE: Agent = Agent {
    name: "ganeti-master-role",
    short: "Ganeti's master role",
    long: "Keeps the master role of a Ganeti cluster on a node that lives. Run it as one resource (started on the \
           master, stopped on master candidates, never elsewhere), or as a promotable clone on all nodes (promoted on \
           the master; the candidate with the most recent configuration is preferred, a node that is none is never \
           chosen and never banned). Fencing must be on. By default only the role is looked at; with the cluster tag \
           ocf:master-role:full also the daemons, the master IP and whether the peers agree. A planned move waits for \
           running jobs first, for a bounded time. A move by gnt-cluster master-failover is followed.",
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

/// `ganeti-node-role`.
pub const NODE_ROLE: Agent = Agent {
    name: "ganeti-node-role",
    short: "Ganeti's node role",
    long: "Tells Ganeti what Pacemaker knows of its nodes. Run it as a clone on all nodes with notify=true: after a \
           node was fenced, the master records it. By default a monitor always succeeds; with the cluster tag \
           ocf:node-role:full it fails when noded does not answer, confd does not on a master candidate, or the root \
           file system cannot be written. The node attribute gnt-ha-fence-score says whether the node has what \
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
