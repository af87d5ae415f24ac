//! What the doctor knows when it begins.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use crate::core::breaker::OpenState;
use crate::core::config::{Config, Resolved};
use crate::core::ganeti::config::GanetiConfig;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::pacemaker::crm_mon::CrmMon;
use crate::core::pacemaker::names::PacemakerName;
use crate::core::pacemaker::resources::Resources;
use crate::core::power::Power;
use crate::core::quorum::{Owner, Quorum};
use crate::core::reconcile::Pause;
use crate::core::roles::master_claims::NewerConfig;
use crate::core::roles::simulate::Simulated;
use crate::core::survey::{DeviceAnswer, Survey};

/// Everything that is looked at. What could not be read is the reason why.
#[derive(Clone, Debug)]
pub struct CheckInput {
    /// Pacemaker's configuration.
    pub resources: Result<Resources, String>,
    /// Pacemaker's state.
    pub pacemaker: Result<CrmMon, String>,
    /// How corosync counts votes.
    pub quorum: Result<Quorum, String>,
    /// The addresses of the host with qnetd, as far as they could be resolved.
    pub device_addresses: BTreeSet<IpAddr>,
    /// The cluster's own hosts and instances.
    pub owners: Vec<Owner>,
    /// The full members that have said that they lack what the fence device needs.
    pub lacking: BTreeSet<PacemakerName>,
    /// Ganeti's configuration.
    pub ganeti: Result<GanetiConfig, String>,
    /// Of each node that it proves nothing of to refuse it: why ([`why_not_isolated`]).
    ///
    /// [`why_not_isolated`]: crate::core::ganeti::network::Network::why_not_isolated
    pub not_isolated: BTreeMap<NodeName, String>,
    /// The cluster's tags.
    pub tags: Vec<String>,
    /// What Ganeti's candidates answered when they were asked who is master.
    pub candidates: BTreeMap<NodeName, CandidateState>,
    /// `/etc/gnt-ha/config.toml`; none where no node's OOB program reads it.
    pub config: Option<Result<Config, String>>,
    /// The addresses of the machines that the configuration names, as far as they could be resolved.
    pub resolved: Resolved,
    /// Each OOB program that Ganeti names, and why it cannot be run here.
    pub programs: BTreeMap<PathBuf, Option<String>>,
    /// What the other nodes' `ganeti-oob` said of themselves; none where no node has that, or they were not to be asked.
    pub survey: Option<Result<Survey, String>>,
    /// What each node's OOB program said of its power.
    pub power: BTreeMap<NodeName, Result<(Power, Grade), String>>,
    /// What each device said of each node whose OOB program is `ganeti-oob`.
    pub devices: BTreeMap<NodeName, Vec<DeviceAnswer>>,
    /// This host.
    pub host: Host,
}

/// What a candidate's confd said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateState {
    /// Where it was asked.
    pub address: IpAddr,
    /// The master that it names, and the serial number of its configuration; none: it was silent.
    pub master: Option<(String, u64)>,
}

/// An agent as it is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    /// A program.
    Program,
    /// A script: Ganeti's example.
    Script,
    /// Nothing that can be run.
    Missing,
}

/// What is on this host.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its name in Ganeti, where it is a node.
    pub node: Option<NodeName>,
    /// Each of the agents, by its file name.
    pub agents: BTreeMap<&'static str, Installed>,
    /// `fence_ganeti`, where Pacemaker looks for it.
    pub fence_agent: Installed,
    /// Hooks that Ganeti does not run, by their folder and name, each with the reason.
    pub hooks: BTreeMap<PathBuf, String>,
    /// Files that give `--no-voting` to Ganeti's daemons.
    pub no_voting: Vec<PathBuf>,
    /// Pidfiles of daemons that do not run, which belong to another user than root.
    pub stale_pidfiles: Vec<PathBuf>,
    /// The watcher's line for cron; none where it is there.
    pub watcher_absent: Option<PathBuf>,
    /// The watcher is paused until then, in seconds since 1970.
    pub watcher_paused: Option<u64>,
    /// What is simulated.
    pub simulated: BTreeSet<Simulated>,
    /// Files that simulate nothing.
    pub simulates_nothing: Vec<String>,
    /// The administrator's pause.
    pub pause: Option<Pause>,
    /// Why the breaker holds, while it does.
    pub breaker: Option<OpenState>,
    /// Files of ours that are damaged or cannot be read, each with the reason.
    pub unreadable: Vec<String>,
    /// The newer configuration that this host has heard of; or why that cannot be read.
    pub heard: Result<Option<NewerConfig>, String>,
    /// The nodes that this host refuses, each with who began it.
    pub shunned: BTreeMap<NodeName, String>,
    /// The settings by which systemd opens the watchdog of a host with self-fencing, as it shows them.
    pub systemd_watchdogs: Vec<String>,
    /// Units that self-fencing or shunning needs at the next boot, and that are not enabled.
    pub not_enabled: Vec<String>,
    /// Why no lease of this host could be begun and kept now, where its self-fence is to be armed and the candidates were asked.
    pub lease_lacks: Option<String>,
}
