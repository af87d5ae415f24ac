//! The input of `gnt-ha check`: plain data, collected by the caller.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use crate::core::bmc_memory::BmcMemory;
use crate::core::breaker::OpenState;
use crate::core::config::{Config, Resolved};
use crate::core::ganeti::config::GanetiConfig;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::pacemaker::crm_mon::CrmMon;
use crate::core::pacemaker::names::PacemakerName;
use crate::core::pacemaker::resources::Resources;
use crate::core::power::Power;
use crate::core::quorum::{AddressOwner, Quorum};
use crate::core::reconcile::Pause;
use crate::core::recovery::coverage::Coverage;
use crate::core::roles::master_claims::NewerConfig;
use crate::core::roles::simulate::Simulated;
use crate::core::survey::{DeviceAnswer, Survey};

/// The state of both clusters and of this host. State that could not be read is replaced by the reason.
// Each reason (`Result<_, String>`) is text: it comes from adapters whose errors `core` does not name, and a finding prints it.
#[derive(Clone, Debug)]
pub struct CheckInput {
    /// Pacemaker's configuration, from the CIB.
    pub resources: Result<Resources, String>,
    /// Pacemaker's state, from `crm_mon`.
    pub pacemaker: Result<CrmMon, String>,
    /// The members, their votes and the quorum device, as corosync's tools report them.
    pub quorum: Result<Quorum, String>,
    /// The addresses of the host that runs qnetd, as far as they could be resolved.
    pub device_addresses: BTreeSet<IpAddr>,
    /// The cluster's own hosts and instances.
    pub owners: Vec<AddressOwner>,
    /// The full members that have published that they lack what the fence device needs.
    pub lacking: BTreeSet<PacemakerName>,
    /// Ganeti's configuration, from `config.data`.
    pub ganeti: Result<GanetiConfig, String>,
    /// The nodes for which shunning proves nothing, each with the reason ([`isolation_objection`]).
    ///
    /// [`isolation_objection`]: crate::core::ganeti::network::ClusterNetwork::isolation_objection
    pub not_isolated: BTreeMap<NodeName, String>,
    /// The tags of the Ganeti cluster.
    pub tags: Vec<String>,
    /// Which instances recovery covers; `None` if recovery is off, or it is unknown.
    pub coverage: Option<Coverage>,
    /// The answers of Ganeti's candidates to the question which node is master.
    pub candidates: BTreeMap<NodeName, CandidateState>,
    /// `/etc/gnt-ha/config.toml`; `None` if no node has an OOB program that reads it.
    pub config: Option<Result<Config, String>>,
    /// The addresses of the machines that the configuration names, as far as they could be resolved.
    pub resolved: Resolved,
    /// Each OOB program that Ganeti names, with the reason if it cannot be run on this host.
    pub programs: BTreeMap<PathBuf, Option<String>>,
    /// The survey of the other nodes' `ganeti-oob`; `None` if no node has that program, or the nodes were not to be
    /// asked.
    pub survey: Option<Result<Survey, String>>,
    /// The power state and grade that each node's OOB program reported.
    pub power: BTreeMap<NodeName, Result<(Power, Grade), String>>,
    /// The answers of each node's devices, for the nodes whose OOB program is `ganeti-oob`.
    pub devices: BTreeMap<NodeName, Vec<DeviceAnswer>>,
    /// What this host remembers of the nodes' identities and of their BMCs.
    pub bmc_memory: BmcMemory,
    /// What the files, programs and kernel of this host show.
    pub host: Host,
}

/// The answer of a candidate's confd: whom it takes for the master, by its own configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateState {
    /// The address at which it was asked.
    pub address: IpAddr,
    /// The master that it names and the serial number of its configuration; `None` if it did not answer.
    pub master: Option<(String, u64)>,
}

/// The kind of file that is installed for an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    /// A program: gnt-ha's agent.
    Program,
    /// A script: Ganeti's example.
    Script,
    /// No file that can be run.
    Missing,
}

/// The state of this host: installed files, saved state, units.
#[derive(Clone, Debug)]
pub struct Host {
    /// The host's name in Ganeti; `None` if it is not a node.
    pub node: Option<NodeName>,
    /// Each of the OCF agents, by its file name.
    pub agents: BTreeMap<&'static str, Installed>,
    /// The file of `fence_ganeti` in the directory where Pacemaker searches for it.
    pub fence_agent: Installed,
    /// Hooks that Ganeti does not run, by directory and name, each with the reason.
    pub hooks: BTreeMap<PathBuf, String>,
    /// Files that pass `--no-voting` to Ganeti's daemons.
    pub no_voting: Vec<PathBuf>,
    /// Files of cron and of systemd that run harep.
    pub harep: Vec<PathBuf>,
    /// Pidfiles of daemons that do not run, with an owner other than root.
    pub stale_pidfiles: Vec<PathBuf>,
    /// The missing cron file of ganeti-watcher; `None` if the file exists.
    pub watcher_absent: Option<PathBuf>,
    /// The time until which the watcher is paused, in seconds since 1970.
    pub watcher_paused: Option<u64>,
    /// The conditions that are simulated.
    pub simulated: BTreeSet<Simulated>,
    /// Files in the simulation directory that are not names of a condition.
    pub simulates_nothing: Vec<String>,
    /// The administrator's pause of reconciliation, if there is one.
    pub pause: Option<Pause>,
    /// The state of the breaker, if it is open.
    pub breaker: Option<OpenState>,
    /// State files of gnt-ha that are damaged or cannot be read, each with the reason.
    pub unreadable: Vec<String>,
    /// The newer configuration of which this host has a record, or the reason why that record cannot be read.
    pub newer_config: Result<Option<NewerConfig>, String>,
    /// The nodes that this host shuns, each with the program that began it.
    pub shunned: BTreeMap<NodeName, String>,
    /// The settings by which systemd opens the watchdog of a host with self-fencing, as systemd prints them.
    pub systemd_watchdogs: Vec<String>,
    /// Units that self-fencing or shunning needs at the next boot, and that are not enabled.
    pub not_enabled: Vec<String>,
    /// Why no lease of this host could begin and be kept now. It is checked only if self-fencing is to be armed and the
    /// candidates were asked.
    pub lease_lacks: Option<String>,
}
