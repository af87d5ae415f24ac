//! What Ganeti's files on this host contain, and what the candidates' confd report. Changes nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use gnt_ha::core::ganeti::tags::Tags;
use gnt_ha::core::node::{self, NodeName};
use gnt_ha::core::roles::master_claims::MasterClaim;
use gnt_ha::core::roles::simulate::Simulated;
use gnt_ha::core::roles::{NodeRole, OcfCode};
use gnt_ha::service::shun::own::shunned_addresses_known;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::ganeti::confd::{Confd, ConfdError, MasterAnswer};
use gnt_ha::sys::ganeti::files;
use gnt_ha::sys::ganeti::ssconf::{Ssconf, SsconfError};
use gnt_ha::sys::{addresses, identity, output};

use crate::paths::AgentPaths;

/// The content of Ganeti's ssconf files on this host, read once.
#[derive(Debug)]
pub struct GanetiView {
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
#[derive(Debug, thiserror::Error)]
pub enum GanetiViewError {
    /// An ssconf file is absent, unreadable or not valid.
    #[error(transparent)]
    Ssconf(#[from] SsconfError),
    /// No node of Ganeti has this host's name.
    #[error("Ganeti has no node {0} (set node_name)")]
    NoNode(String),
}

impl GanetiViewError {
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

impl AgentPaths {
    /// Reads Ganeti's ssconf files of this host.
    ///
    /// # Errors
    /// [`GanetiViewError::Ssconf`] if a file is absent, unreadable or not valid; [`GanetiViewError::NoNode`] if this
    /// host's name is not that of a node.
    pub fn ganeti_view(&self) -> Result<GanetiView, GanetiViewError> {
        GanetiView::read(&self.data_dir, self.node_name(), self.simulated())
    }
}

impl GanetiView {
    /// Reads the ssconf files in `data_dir`. This host is the node `node_name`; without it, the node with the host's name.
    pub(crate) fn read(
        data_dir: &Path,
        node_name: Option<&NodeName>,
        simulated: BTreeSet<Simulated>,
    ) -> Result<Self, GanetiViewError> {
        let ssconf = Ssconf::new(data_dir);
        let nodes = ssconf.names("node_list")?;
        let wanted = node_name.cloned().map_or_else(|| NodeName::new(&identity::host()), Ok);
        let here = wanted.ok().and_then(|wanted| node::find(&wanted, &nodes).ok().cloned());
        let Some(here) = here else {
            return Err(GanetiViewError::NoNode(node_name.map_or_else(identity::host, ToString::to_string)));
        };
        let (master, candidates) = (ssconf.master()?, ssconf.names("master_candidates")?);
        let rank = NodeRole::of(&here, master.as_ref(), &candidates, &simulated);
        Ok(Self { ssconf, here, nodes, master, candidates, rank, simulated })
    }

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
    pub fn master_claims(&self, paths: &AgentPaths, deadline: Deadline) -> Vec<MasterClaim> {
        let candidates = self.ssconf.addresses("master_candidates_ips").unwrap_or_default();
        let own = self.own_address();
        let answers = Confd::new(&paths.data_dir).and_then(|confd| confd.masters(&candidates, deadline));
        let answers = answers.unwrap_or_else(|error| {
            // An empty or truncated key would make every answer invalid without a message.
            if let ConfdError::ShortKey { .. } = error {
                output::print_error(&format!("confd: {error}"));
            }
            Vec::new()
        });
        let names = self.ssconf.name_addresses("node_primary_ips").unwrap_or_default();
        let name_of = |address: IpAddr| names.iter().find(|(_, of)| *of == address).map(|(name, _)| name.to_string());
        let shunned = shunned_addresses_known(&paths.state_dir, deadline);
        let claim = |answer: MasterAnswer| MasterClaim {
            own: Some(answer.from) == own,
            from: name_of(answer.from).unwrap_or_else(|| answer.from.to_string()),
            shunned: shunned.contains(&answer.from),
            master: answer.master,
            serial: answer.serial,
        };
        let mut claims: Vec<MasterClaim> = answers.into_iter().map(claim).collect();
        let is_newer = |own: &MasterClaim, claim: &MasterClaim| {
            claim.serial > own.serial || claim.serial == own.serial && !claim.master.eq_ignore_ascii_case(&own.master)
        };
        match claims.iter().position(|claim| claim.own) {
            None if claims.is_empty() => {}
            None => claims.extend(self.own_claim(&paths.data_dir)),
            // The file is large: it is read only where a claim is newer than the own one.
            Some(own) if claims.iter().any(|claim| is_newer(&claims[own], claim)) => {
                claims[own].serial = self.serial(&paths.data_dir).unwrap_or(0).max(claims[own].serial);
            }
            Some(_) => {}
        }
        claims
    }

    /// Returns the claim that this node's own confd would make, from the files.
    fn own_claim(&self, data_dir: &Path) -> Option<MasterClaim> {
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
