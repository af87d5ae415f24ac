//! Collects the present state of a lab.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::error::Result;
use crate::host::Host;
use crate::lab::Lab;
use crate::network::Network;
use crate::power::Power;

/// The state of a lab.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The lab's name.
    pub name: String,
    /// Whether `up` has finished.
    pub ready: bool,
    /// Whether the answering host's partition has quorum; `None` if no Pacemaker answers.
    pub quorum: Option<bool>,
    /// Pacemaker's designated controller.
    pub dc: Option<String>,
    /// The lab's hosts, in order.
    pub hosts: Vec<HostStatus>,
}

/// The state of a host.
#[derive(Debug, Clone, Serialize)]
pub struct HostStatus {
    /// The short name, such as `n1`.
    pub name: String,
    /// The power: `off`, `booting` or `on`.
    pub power: &'static str,
    /// The state in Pacemaker: `online`, `pending`, `offline`, `UNCLEAN` or `?`.
    pub member: &'static str,
    /// The role in Ganeti: `master`, `candidate`, `offline`, `node` or `?`, by the files of the first running host.
    pub ganeti: &'static str,
    /// The networks from which it is cut.
    pub cuts: Vec<Network>,
    /// The address in the primary network.
    pub address: String,
    /// The BMC's address.
    pub bmc: String,
}

impl Power {
    /// Returns the state of the power as one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Booting => "booting",
            Self::On => "on",
        }
    }
}

/// Returns the lines of one of Ganeti's `ssconf_*` files; `None` if the host is off or has no such file.
pub(crate) fn ssconf(host: &Host, key: &str) -> Option<Vec<String>> {
    let root = Path::new("/proc").join(host.mains.init()?.pid.to_string()).join("root");
    let text = fs::read_to_string(root.join("var/lib/ganeti").join(format!("ssconf_{key}"))).ok()?;
    Some(text.lines().map(str::to_owned).collect())
}

impl Lab {
    /// Returns the state of the whole lab.
    pub fn status(&self) -> Result<Status> {
        let seen = self.crm_mon().ok();
        let hosts = self.hosts();
        let lists: BTreeMap<&str, Vec<String>> = ["node_list", "offline_nodes", "master_node", "master_candidates"]
            .into_iter()
            .filter_map(|key| Some((key, hosts.iter().find_map(|h| ssconf(h, key))?)))
            .collect();
        let hosts = hosts.iter().map(|host| {
            let fqdn = host.fqdn();
            let has = |key: &str| lists.get(key).is_some_and(|l| l.contains(&fqdn));
            let member = match seen.as_ref().and_then(|s| s.node(&fqdn)) {
                None => "?",
                Some(node) if node.unclean => "UNCLEAN",
                Some(node) if node.pending => "pending",
                Some(node) if node.online => "online",
                Some(_) => "offline",
            };
            let roles = [
                ("offline_nodes", "offline"),
                ("master_node", "master"),
                ("master_candidates", "candidate"),
                ("node_list", "node"),
            ];
            Ok(HostStatus {
                name: host.name().into(),
                power: host.power_status().word(),
                member,
                ganeti: roles.into_iter().find(|(key, _)| has(key)).map_or("?", |(_, word)| word),
                cuts: host.cuts()?,
                address: host.address(Network::Primary),
                bmc: host.bmc_address(),
            })
        });
        Ok(Status {
            name: self.spec.name.clone(),
            ready: self.spec.ready,
            quorum: seen.as_ref().map(|s| s.quorum),
            hosts: hosts.collect::<Result<_>>()?,
            dc: seen.and_then(|s| s.dc),
        })
    }
}
