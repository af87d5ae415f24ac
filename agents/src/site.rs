//! The directories of this host, and what Ganeti's files on it contain. Reads files, sockets and addresses, and changes
//! nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gnt_ha::core::config::DEFAULT_PATH;
use gnt_ha::core::ganeti::tags::Tags;
use gnt_ha::core::node::{self, NodeName};
use gnt_ha::core::pacemaker::fencing::Fencing;
use gnt_ha::core::roles::master_claims::MasterClaim;
use gnt_ha::core::roles::simulate::Simulated;
use gnt_ha::core::roles::{NodeRole, OcfCode, RunAs};
use gnt_ha::service::shun::own::shunned_or_refused;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::config_file;
use gnt_ha::sys::ganeti::confd::{Confd, ConfdError, MasterAnswer};
use gnt_ha::sys::ganeti::daemon_util::Daemons;
use gnt_ha::sys::ganeti::files;
use gnt_ha::sys::ganeti::luxi::{self, Luxi, LuxiError};
use gnt_ha::sys::ganeti::ssconf::{Ssconf, SsconfError};
use gnt_ha::sys::pacemaker::cib;
use gnt_ha::sys::{addresses, identity, output, simulate};
use serde_json::Value;

use crate::call::{BadParameter, Call};
use crate::markers::{Marker, Markers};

/// The directories that the agent's parameters name.
#[derive(Debug)]
pub struct Place {
    /// Ganeti's data directory.
    pub data_dir: PathBuf,
    /// The directory of pidfiles and sockets of Ganeti's daemons.
    pub run_dir: PathBuf,
    /// The state directory of gnt-ha, with its receipts.
    pub state_dir: PathBuf,
    /// The file with Pacemaker's configuration (CIB).
    pub cib: PathBuf,
    /// The state that holds until the next boot.
    pub markers: Markers,
    /// Ganeti's daemons on this host.
    pub daemons: Daemons,
    node_name: Option<NodeName>,
}

impl Place {
    /// Returns the directories that the parameters of `call` name.
    ///
    /// # Errors
    /// [`BadParameter`] if a path is not absolute, or `node_name` is not a valid node name.
    pub fn new(call: &Call) -> Result<Self, BadParameter> {
        let run_dir = call.dir("run_dir")?;
        Ok(Self {
            data_dir: call.dir("data_dir")?,
            state_dir: call.dir("state_dir")?,
            cib: call.dir("cib")?,
            markers: Markers::new(&call.dir("marker_dir")?),
            daemons: Daemons::new(&call.dir("program_dir")?, &run_dir),
            run_dir,
            node_name: call.node_name()?,
        })
    }

    /// Returns the parameter `node_name`; `None` if it is not given.
    #[must_use]
    pub const fn node_name(&self) -> Option<&NodeName> {
        self.node_name.as_ref()
    }

    /// Returns the path of luxid's socket.
    #[must_use]
    pub fn luxid(&self) -> PathBuf {
        self.run_dir.join("socket/ganeti-query")
    }

    /// Returns the path of wconfd's socket.
    #[must_use]
    pub fn wconfd(&self) -> PathBuf {
        self.run_dir.join("socket/ganeti-wconfd")
    }

    /// Returns the failures that files on this host simulate.
    #[must_use]
    pub fn simulated(&self) -> BTreeSet<Simulated> {
        simulate::present(&self.state_dir.join(simulate::DIR))
    }

    /// Returns how Pacemaker runs the master role: as one resource or as a promotable clone.
    #[must_use]
    pub fn run_as(&self, call: &Call) -> RunAs {
        if call.is_promotable() {
            // An instance that a probe found promoted is never started, but has recurring monitors.
            let recurring = call.action == "monitor" && !call.is_probe();
            RunAs::Promotable { started: recurring || self.markers.has(Marker::MasterStarted) }
        } else {
            RunAs::Primitive
        }
    }

    /// Returns Pacemaker's fence devices; `None` if its configuration cannot be read.
    #[must_use]
    pub fn fencing(&self) -> Option<Fencing> {
        let power_agents = config_file::power_agents(Path::new(DEFAULT_PATH));
        cib::read(&self.cib, &power_agents).ok().map(|cib| cib.fencing)
    }

    /// Whether luxid's socket accepts connections within 200 ms. Sends no request.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        luxi::is_listening(&self.luxid(), Deadline::after(Duration::from_millis(200)))
    }

    /// Returns the master that luxid on this host names.
    ///
    /// # Errors
    /// [`LuxiError`] if luxid cannot be reached, does not answer by the deadline, or names no master.
    pub fn luxids_master(&self, deadline: Deadline) -> Result<String, LuxiError> {
        let info = Luxi::connect(&self.luxid(), deadline)?.cluster_info()?;
        let master = info.get("master").and_then(Value::as_str).map(str::to_owned);
        master.ok_or_else(|| LuxiError::Answer("it names no master".to_owned()))
    }

    /// Reads Ganeti's ssconf files of this host.
    ///
    /// # Errors
    /// [`SiteError::Ssconf`] if a file is absent, unreadable or not valid; [`SiteError::NoNode`] if this host's name is
    /// not that of a node.
    pub fn site(&self) -> Result<Site, SiteError> {
        let ssconf = Ssconf::new(&self.data_dir);
        let nodes = ssconf.names("node_list")?;
        let wanted = self.node_name.clone().map_or_else(|| NodeName::new(&identity::host()), Ok);
        let here = wanted.ok().and_then(|wanted| node::find(&wanted, &nodes).ok().cloned());
        let Some(here) = here else {
            return Err(SiteError::NoNode(self.node_name.as_ref().map_or_else(identity::host, ToString::to_string)));
        };
        let (master, candidates) = (ssconf.master()?, ssconf.names("master_candidates")?);
        let simulated = self.simulated();
        let rank = NodeRole::of(&here, master.as_ref(), &candidates, &simulated);
        Ok(Site { ssconf, here, nodes, master, candidates, rank, simulated })
    }
}

/// The content of Ganeti's ssconf files on this host, read once.
#[derive(Debug)]
pub struct Site {
    /// Ganeti's ssconf files, for further reads.
    pub ssconf: Ssconf,
    /// This node's name in Ganeti.
    pub here: NodeName,
    /// All nodes of the cluster, including those recorded offline.
    pub nodes: Vec<NodeName>,
    /// The master; `None` if the files do not name it.
    pub master: Option<NodeName>,
    /// The master candidates, including the master.
    pub candidates: Vec<NodeName>,
    /// The role of this node in Ganeti.
    pub rank: NodeRole,
    /// The failures that files on this host simulate.
    pub simulated: BTreeSet<Simulated>,
}

/// The reason why the roles cannot run on this host.
#[derive(Debug)]
pub enum SiteError {
    /// An ssconf file is absent, unreadable or not valid.
    Ssconf(SsconfError),
    /// None of Ganeti's nodes has this host's name.
    NoNode(String),
}

impl From<SsconfError> for SiteError {
    fn from(error: SsconfError) -> Self {
        Self::Ssconf(error)
    }
}

impl SiteError {
    /// Returns the OCF code. "Not installed", which bans the node, is returned only where Ganeti's files are absent or
    /// do not have this node. A file that cannot be read may be readable in a moment.
    #[must_use]
    pub const fn code(&self) -> OcfCode {
        match self {
            Self::Ssconf(SsconfError::Absent(_)) | Self::NoNode(_) => OcfCode::ErrInstalled,
            Self::Ssconf(SsconfError::Unreadable { .. } | SsconfError::Bad { .. }) => OcfCode::ErrGeneric,
        }
    }
}

impl std::fmt::Display for SiteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ssconf(error) => error.fmt(f),
            Self::NoNode(host) => write!(f, "none of Ganeti's nodes is called {host} (set node_name)"),
        }
    }
}

impl Site {
    /// Returns the settings in the cluster's tags; the defaults if the tags cannot be read.
    #[must_use]
    pub fn tags(&self) -> Tags {
        let tags = self.ssconf.cluster_tags().unwrap_or_default();
        Tags::read(tags.iter().map(String::as_str))
    }

    /// Whether Ganeti's node name `name` is that of this host. Case does not matter.
    #[must_use]
    pub fn is_here(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case(self.here.as_str())
    }

    /// Returns this node's primary address.
    #[must_use]
    pub fn own_address(&self) -> Option<IpAddr> {
        self.address(&self.here)
    }

    /// Returns a node's primary address; `None` if the ssconf files do not have it.
    #[must_use]
    pub fn address(&self, node: &NodeName) -> Option<IpAddr> {
        let all = self.ssconf.name_addresses("node_primary_ips").unwrap_or_default();
        all.into_iter().find(|(name, _)| name == node).map(|(_, address)| address)
    }

    /// Asks the confd of every candidate who is master, and returns their claims; this node's own is among them.
    ///
    /// This node's own serial number is that of its file where that is newer. Its confd may hang, or read a new file a
    /// moment later than another candidate does.
    #[must_use]
    pub fn words(&self, place: &Place, deadline: Deadline) -> Vec<MasterClaim> {
        let candidates = self.ssconf.addresses("master_candidates_ips").unwrap_or_default();
        let own = self.own_address();
        let answers = Confd::new(&place.data_dir).and_then(|confd| confd.masters(&candidates, deadline));
        let answers = answers.unwrap_or_else(|error| {
            // An empty or truncated key would make every answer invalid without a message.
            if let ConfdError::ShortKey { .. } = error {
                output::print_error(&format!("confd: {error}"));
            }
            Vec::new()
        });
        let names = self.ssconf.name_addresses("node_primary_ips").unwrap_or_default();
        let name_of = |address: IpAddr| names.iter().find(|(_, of)| *of == address).map(|(name, _)| name.to_string());
        let shunned = shunned_or_refused(&place.state_dir, deadline);
        let word = |answer: MasterAnswer| MasterClaim {
            own: Some(answer.from) == own,
            from: name_of(answer.from).unwrap_or_else(|| answer.from.to_string()),
            shunned: shunned.contains(&answer.from),
            master: answer.master,
            serial: answer.serial,
        };
        let mut words: Vec<MasterClaim> = answers.into_iter().map(word).collect();
        let is_newer = |own: &MasterClaim, word: &MasterClaim| {
            word.serial > own.serial || word.serial == own.serial && !word.master.eq_ignore_ascii_case(&own.master)
        };
        match words.iter().position(|word| word.own) {
            None if words.is_empty() => {}
            None => words.extend(self.own_word(&place.data_dir)),
            // The file is large: it is read only where a claim is newer than the own one.
            Some(own) if words.iter().any(|word| is_newer(&words[own], word)) => {
                words[own].serial = self.serial(&place.data_dir).unwrap_or(0).max(words[own].serial);
            }
            Some(_) => {}
        }
        words
    }

    /// Returns the claim that this node's own confd would make, from the files.
    fn own_word(&self, data_dir: &Path) -> Option<MasterClaim> {
        let master = self.master.as_ref()?.to_string();
        Some(MasterClaim {
            own: true,
            from: self.here.to_string(),
            master,
            serial: self.serial(data_dir)?,
            shunned: false,
        })
    }

    /// Returns the serial number of this node's own copy of the configuration; `None` if `config.data` cannot be read.
    #[must_use]
    pub fn serial(&self, data_dir: &Path) -> Option<u64> {
        files::read_config(data_dir).ok().map(|config| config.serial)
    }

    /// Returns the master IP, and the device to which it belongs.
    #[must_use]
    pub fn master_ip(&self) -> Option<(IpAddr, Option<String>)> {
        let address = self.ssconf.line("master_ip").ok()??.trim().parse().ok()?;
        Some((address, self.ssconf.line("master_netdev").ok().flatten().map(|device| device.trim().to_owned())))
    }

    /// Whether this host has the master IP, on any device.
    #[must_use]
    pub fn has_master_ip(&self) -> bool {
        self.master_ip().is_some_and(|(address, _)| addresses::has(address, None).unwrap_or(false))
    }
}
