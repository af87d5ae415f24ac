//! Where we are: the folders of this host, and what Ganeti has told it.

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

/// The folders that the parameters name.
#[derive(Debug)]
pub struct Place {
    /// Ganeti's data.
    pub data_dir: PathBuf,
    /// Pidfiles and sockets of Ganeti's daemons.
    pub run_dir: PathBuf,
    /// Our receipts.
    pub state_dir: PathBuf,
    /// Pacemaker's configuration.
    pub cib: PathBuf,
    /// What is true until the next boot.
    pub markers: Markers,
    /// Ganeti's daemons.
    pub daemons: Daemons,
    node_name: Option<NodeName>,
}

impl Place {
    /// The folders of a call.
    ///
    /// # Errors
    /// [`BadParameter`].
    pub fn new(call: &Call) -> Result<Self, BadParameter> {
        let run_dir = call.folder("run_dir")?;
        Ok(Self {
            data_dir: call.folder("data_dir")?,
            state_dir: call.folder("state_dir")?,
            cib: call.folder("cib")?,
            markers: Markers::new(&call.folder("marker_dir")?),
            daemons: Daemons::new(&call.folder("program_dir")?, &run_dir),
            run_dir,
            node_name: call.node_name()?,
        })
    }

    /// This node's name, where it is given.
    #[must_use]
    pub const fn node_name(&self) -> Option<&NodeName> {
        self.node_name.as_ref()
    }

    /// luxid's socket.
    #[must_use]
    pub fn luxid(&self) -> PathBuf {
        self.run_dir.join("socket/ganeti-query")
    }

    /// wconfd's socket.
    #[must_use]
    pub fn wconfd(&self) -> PathBuf {
        self.run_dir.join("socket/ganeti-wconfd")
    }

    /// The conditions that are simulated here.
    #[must_use]
    pub fn simulated(&self) -> BTreeSet<Simulated> {
        simulate::present(&self.state_dir.join(simulate::FOLDER))
    }

    /// How Pacemaker runs the master role.
    #[must_use]
    pub fn run_as(&self, call: &Call) -> RunAs {
        if call.is_promotable() {
            // An instance that a first look found promoted is never started: it is looked at again and again.
            let recurring = call.action == "monitor" && !call.is_probe();
            RunAs::Promotable { started: recurring || self.markers.has(Marker::MasterStarted) }
        } else {
            RunAs::Primitive
        }
    }

    /// What Pacemaker fences with; none where its configuration cannot be read.
    #[must_use]
    pub fn fencing(&self) -> Option<Fencing> {
        let power_agents = config_file::power_agents(Path::new(DEFAULT_PATH));
        cib::read(&self.cib, &power_agents).ok().map(|cib| cib.fencing)
    }

    /// Whether luxid listens: a look at its socket, no question.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        luxi::is_listening(&self.luxid(), Deadline::after(Duration::from_millis(200)))
    }

    /// Who the master is by the luxid of this host.
    ///
    /// # Errors
    /// [`LuxiError`], also when it does not answer by the deadline.
    pub fn luxids_master(&self, deadline: Deadline) -> Result<String, LuxiError> {
        let info = Luxi::connect(&self.luxid(), deadline)?.cluster_info()?;
        let master = info.get("master").and_then(Value::as_str).map(str::to_owned);
        master.ok_or_else(|| LuxiError::Answer("it names no master".to_owned()))
    }

    /// What Ganeti has told this host.
    ///
    /// # Errors
    /// [`SiteError`].
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

/// What Ganeti has told this host.
#[derive(Debug)]
pub struct Site {
    /// Its ssconf files.
    pub ssconf: Ssconf,
    /// This node's name.
    pub here: NodeName,
    /// All nodes, those offline too.
    pub nodes: Vec<NodeName>,
    /// Who is master.
    pub master: Option<NodeName>,
    /// The master candidates, the master too.
    pub candidates: Vec<NodeName>,
    /// Who this node is.
    pub rank: NodeRole,
    /// What is simulated.
    pub simulated: BTreeSet<Simulated>,
}

/// Why this host is no place for the roles.
#[derive(Debug)]
pub enum SiteError {
    /// Ganeti's files.
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
    /// What it means to Pacemaker: "not installed", which bans the node, only where there is no Ganeti of this node. What
    /// cannot be read may be readable in a moment.
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
    /// What the cluster's tags say; the defaults if they cannot be read.
    #[must_use]
    pub fn tags(&self) -> Tags {
        let tags = self.ssconf.cluster_tags().unwrap_or_default();
        Tags::read(tags.iter().map(String::as_str))
    }

    /// Whether Ganeti's name of a node is this host's.
    #[must_use]
    pub fn is_here(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case(self.here.as_str())
    }

    /// This node's address.
    #[must_use]
    pub fn own_address(&self) -> Option<IpAddr> {
        self.address(&self.here)
    }

    /// A node's primary address.
    #[must_use]
    pub fn address(&self, node: &NodeName) -> Option<IpAddr> {
        let all = self.ssconf.name_addresses("node_primary_ips").unwrap_or_default();
        all.into_iter().find(|(name, _)| name == node).map(|(_, address)| address)
    }

    /// What the candidates' confd say who is master; this node's own is among them.
    ///
    /// This node's own serial number is that of its file where that is newer: its confd may hang, or read a new file a moment
    /// later than another candidate does.
    #[must_use]
    pub fn words(&self, place: &Place, deadline: Deadline) -> Vec<MasterClaim> {
        let candidates = self.ssconf.addresses("master_candidates_ips").unwrap_or_default();
        let own = self.own_address();
        let answers = Confd::new(&place.data_dir).and_then(|confd| confd.masters(&candidates, deadline));
        let answers = answers.unwrap_or_else(|error| {
            // A key that is empty or cut short would keep everybody's answer away without a word.
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
            // The file is large: it is read where the answer matters only.
            Some(own) if words.iter().any(|word| is_newer(&words[own], word)) => {
                words[own].serial = self.serial(&place.data_dir).unwrap_or(0).max(words[own].serial);
            }
            Some(_) => {}
        }
        words
    }

    /// What this node's own confd would say.
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

    /// The serial number of this node's own copy of the configuration.
    #[must_use]
    pub fn serial(&self, data_dir: &Path) -> Option<u64> {
        files::read_config(data_dir).ok().map(|config| config.serial)
    }

    /// The master IP, and the device that it belongs on.
    #[must_use]
    pub fn master_ip(&self) -> Option<(IpAddr, Option<String>)> {
        let address = self.ssconf.line("master_ip").ok()??.trim().parse().ok()?;
        Some((address, self.ssconf.line("master_netdev").ok().flatten().map(|device| device.trim().to_owned())))
    }

    /// Whether the master IP is on this host, on any device.
    #[must_use]
    pub fn has_master_ip(&self) -> bool {
        self.master_ip().is_some_and(|(address, _)| addresses::has(address, None).unwrap_or(false))
    }
}
