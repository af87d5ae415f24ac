//! The model and parser of `/etc/gnt-ha/config.toml`: the devices of each node and the settings of this host; no I/O.
//!
//! [`Config::parse`] reads the text, `sys::config_file` the file; [`Config::levels_of`] answers for one node.

mod agent_device;
pub(crate) mod agents;
mod device;
mod digest;
mod error;
mod machine;
mod pattern;
mod record;
mod redfish_device;
mod schema;
mod seconds;
mod self_fence;
mod setting_error;
mod shared_key;
mod shun;
mod template;

pub use agents::{is_board, kind_of};
pub use device::{
    AgentDevice, Device, Driver, ExecDevice, IpmiDevice, OldestTls, Privilege, RedfishDevice, RedfishLogin, Seconds,
};
pub use digest::{BadDigest, DIGEST_PROPERTY, Digest};
pub use error::ConfigError;
pub use machine::{Resolved, SharedMachine, canonical, machine_of_agent, names_to_resolve, shared, with_levels};
pub use pattern::Pattern;
pub use record::Record;
pub use redfish_device::is_host_local;
pub use self_fence::SelfFenceConfig;
pub use shared_key::{SharedKey, shared_keys};
pub use shun::{AddressRange, ShunConfig};

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::grade::Grade;
use crate::core::node::{self, NoSuchNode, NodeName};
use template::Values;

/// The default path of the configuration file.
pub const DEFAULT_PATH: &str = "/etc/gnt-ha/config.toml";

/// The default state directory, with the receipts and the other files that survive a boot.
pub const DEFAULT_STATE: &str = "/var/lib/gnt-ha";

/// The default run directory, with the locks; empty after a boot.
pub const DEFAULT_RUN: &str = "/run/gnt-ha";

/// As many full members as corosync carries: what its makers and Pacemaker's distributors support.
pub const FULL_MEMBERS_MOST: usize = 16;

/// The devices of one level: all of them must succeed.
pub type Level = Vec<Device>;

/// The configuration of gnt-ha on one host, from `/etc/gnt-ha/config.toml`, with defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// The path of the file, for errors.
    pub path: PathBuf,
    /// The time for one command, all levels together.
    pub deadline: Duration,
    /// The time between off and on in a power cycle.
    pub power_cycle_interval: Duration,
    /// The weakest grade that counts as fenced.
    pub minimum_grade: Grade,
    /// The state directory ([`DEFAULT_STATE`]), which outlives a boot: receipts, the shun list, the reconciler's
    /// memory.
    pub state: PathBuf,
    /// The run directory ([`DEFAULT_RUN`]), which a boot empties: locks, statuses of daemons, copies of the CIB.
    pub run: PathBuf,
    /// The settings of shunning (`[shun]`).
    pub shun: ShunConfig,
    /// The settings of self-fencing on this node (`[self_fence]`).
    pub self_fence: SelfFenceConfig,
    /// The settings of Ganeti's record (`[record]`).
    pub record: Record,
    /// The largest number of full cluster nodes. In a larger cluster `gnt-ha setup` makes nodes that are not master
    /// candidates remote nodes.
    pub members: usize,
    /// The fence agents that switch power, beside those that gnt-ha has in its own list.
    pub power_agents: BTreeSet<String>,
    /// The text of the file, for its digest.
    text: String,
    devices: BTreeMap<String, Driver>,
    nodes: Vec<NodeRule>,
    default: Option<LevelNames>,
}

/// Device names, level by level.
pub(crate) type LevelNames = Vec<Vec<String>>;

/// The content of one `[nodes."..."]`.
#[derive(Clone, Debug)]
pub(crate) struct NodeRule {
    pub(crate) pattern: Pattern,
    pub(crate) levels: Option<LevelNames>,
    pub(crate) values: Values,
}

impl Config {
    /// Reads the text of a configuration; `path` is for the errors.
    ///
    /// # Errors
    /// [`ConfigError::Text`] with the line and, for a misspelt key, the nearest valid one.
    ///
    /// ```
    /// use std::path::Path;
    ///
    /// use gnt_ha::core::config::Config;
    /// use gnt_ha::core::node::NodeName;
    ///
    /// let text = r#"
    /// [devices.bmc]
    /// driver = "ipmi"
    /// address = "{short}-bmc.example.com"
    /// username = "fencing"
    /// password_file = "/etc/gnt-ha/bmc.password"
    ///
    /// [default]
    /// levels = [["bmc"]]
    /// "#;
    /// let config = Config::parse(text, Path::new("config.toml"))?;
    /// let levels = config.levels_of(&NodeName::new("n1.example.com")?)?;
    /// assert_eq!(levels[0][0].name, "bmc");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        schema::parse(text, path)
    }

    /// Returns the levels of devices that switch `node`, with templates filled in.
    ///
    /// The rule with its name counts, else the one pattern that matches, else `[default]`.
    ///
    /// # Errors
    /// [`ConfigError::NoRule`] if no rule has levels for the node; [`ConfigError::SeveralRules`] if several patterns
    /// match; [`ConfigError::Device`] if a template cannot be filled in.
    pub fn levels_of(&self, node: &NodeName) -> Result<Vec<Level>, ConfigError> {
        let rule = self.rule_for(node)?;
        let levels = rule
            .and_then(|rule| rule.levels.as_ref())
            .or(self.default.as_ref())
            .ok_or_else(|| ConfigError::NoRule { path: self.path.clone(), node: node.clone() })?;
        let empty = Values::new();
        let values = rule.map_or(&empty, |rule| &rule.values);
        levels.iter().map(|names| names.iter().map(|name| self.device_for(name, node, values)).collect()).collect()
    }

    /// Returns whether any device has this driver, with any settings.
    #[must_use]
    pub fn has_driver(&self, driver: &Driver) -> bool {
        self.devices.values().any(|known| std::mem::discriminant(known) == std::mem::discriminant(driver))
    }

    /// Returns the names of all devices in the file, also of those that no node uses, in alphabetical order.
    pub fn device_names(&self) -> impl Iterator<Item = &str> {
        self.devices.keys().map(String::as_str)
    }

    /// Returns the addresses of the BMCs that the configuration has as IP addresses, also after templates are filled in
    /// for the nodes that it names.
    #[must_use]
    pub fn device_addresses(&self) -> BTreeSet<IpAddr> {
        let filled = self.named_nodes().into_iter().filter_map(|node| self.levels_of(&node).ok()).flatten().flatten();
        let drivers = filled.map(|device| device.driver).chain(self.devices.values().cloned());
        let addresses = drivers.filter_map(|driver| match driver {
            Driver::Ipmi(bmc) => bmc.address.parse().ok(),
            Driver::Redfish(bmc) => bmc.address.parse().ok(),
            _ => None,
        });
        addresses.collect()
    }

    /// Returns the nodes that are named exactly, not by a pattern.
    #[must_use]
    pub fn named_nodes(&self) -> Vec<NodeName> {
        self.nodes.iter().filter_map(|rule| rule.pattern.exact()).collect()
    }

    fn rule_for(&self, node: &NodeName) -> Result<Option<&NodeRule>, ConfigError> {
        let several = |patterns| ConfigError::SeveralRules { path: self.path.clone(), node: node.clone(), patterns };
        // A name is matched as everywhere: the full name, or a short name that only one node has.
        let names: Vec<(NodeName, &NodeRule)> =
            self.nodes.iter().filter_map(|rule| Some((rule.pattern.exact()?, rule))).collect();
        match node::find(node, names.iter().map(|(name, _)| name)) {
            Ok(found) => return Ok(names.iter().find(|(name, _)| name == found).map(|(_, rule)| *rule)),
            Err(NoSuchNode::Ambiguous { candidates, .. }) => return Err(several(candidates)),
            Err(NoSuchNode::Unknown { .. }) => {}
        }
        let matching: Vec<&NodeRule> = self.nodes.iter().filter(|rule| rule.pattern.matches(node)).collect();
        match matching.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            more => Err(several(more.iter().map(|rule| rule.pattern.to_string()).collect())),
        }
    }

    fn device_for(&self, name: &str, node: &NodeName, values: &Values) -> Result<Device, ConfigError> {
        let driver = self.devices.get(name).ok_or_else(|| ConfigError::Device {
            path: self.path.clone(),
            device: name.to_owned(),
            why: "is not configured".to_owned(),
        })?;
        let driver = driver.filled_in(node, values).map_err(|why| ConfigError::Device {
            path: self.path.clone(),
            device: name.to_owned(),
            why: format!("cannot be used for node {node}: {why}"),
        })?;
        Ok(Device { name: name.to_owned(), driver })
    }
}

#[cfg(test)]
mod tests;
