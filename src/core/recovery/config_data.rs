//! Instances, nodes and groups from Ganeti's `config.data`, as far as recovery and hail need them. Pure.
//!
//! Source: `lib/objects.py`, `src/Ganeti/Objects.hs`. Parameters are filled as there: cluster, then group, then node or
//! instance.

mod instances;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::instance::{AdminState, Instance, InstanceName};
use super::template::DiskTemplate;
use super::unreadable::BadInstance;
use crate::core::ganeti::record_version::RecordVersion;
use crate::core::ganeti::tags::RECOVER;
use crate::core::node::NodeName;

pub use instances::ConfigInstances;

/// Space that DRBD's metadata of one disk needs, in MiB (`DRBD_META_SIZE` in `src/Ganeti/Constants.hs`).
const DRBD_META_MIB: u64 = 128;

/// A set of parameters.
pub(super) type Parameters = Map<String, Value>;

/// The text of `config.data` is not a configuration.
#[derive(Debug, thiserror::Error)]
#[error("it is not Ganeti's configuration: {0}")]
pub struct BadRecoveryConfig(#[from] serde_json::Error);

/// The parts of `config.data`.
#[derive(Clone, Debug, Deserialize)]
pub struct RecoveryConfig {
    pub(super) cluster: RawCluster,
    pub(super) nodes: BTreeMap<String, RawNode>,
    pub(super) nodegroups: BTreeMap<String, RawGroup>,
    #[serde(default)]
    instances: BTreeMap<String, InstanceEntry>,
    #[serde(default)]
    disks: BTreeMap<String, DiskSlot>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct RawCluster {
    #[serde(default)]
    pub(super) cluster_name: String,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(default)]
    pub(super) enabled_hypervisors: Vec<String>,
    #[serde(default)]
    pub(super) ipolicy: Parameters,
    #[serde(default)]
    beparams: BTreeMap<String, Parameters>,
    #[serde(default)]
    ndparams: Parameters,
    #[serde(default)]
    hvparams: Parameters,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct RawNode {
    pub(super) name: NodeName,
    pub(super) group: String,
    #[serde(default)]
    pub(super) offline: bool,
    #[serde(default)]
    pub(super) drained: bool,
    #[serde(default = "yes")]
    pub(super) vm_capable: bool,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(default)]
    serial_no: Option<u64>,
    #[serde(default)]
    ndparams: Parameters,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct RawGroup {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(default)]
    pub(super) alloc_policy: Option<String>,
    #[serde(default)]
    ipolicy: Parameters,
    #[serde(default)]
    ndparams: Parameters,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct RawInstance {
    pub(super) name: InstanceName,
    pub(super) primary_node: String,
    admin_state: String,
    #[serde(default)]
    pub(super) hypervisor: String,
    #[serde(default)]
    pub(super) os: String,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(default)]
    beparams: Parameters,
    #[serde(default)]
    disks: Vec<DiskEntry>,
}

/// An instance, also one that cannot be parsed.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum InstanceEntry {
    Parsed(Box<RawInstance>),
    Other(Value),
}

/// A disk, also one that cannot be parsed.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum DiskSlot {
    Parsed(Box<RawDisk>),
    Other(IgnoredAny),
}

/// A disk of an instance: a reference, or the disk itself before Ganeti 2.14.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum DiskEntry {
    Reference(String),
    Disk(Box<RawDisk>),
    Other(IgnoredAny),
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct RawDisk {
    pub(super) dev_type: String,
    #[serde(default)]
    pub(super) size: u64,
    #[serde(default)]
    pub(super) mode: Option<String>,
    #[serde(default)]
    pub(super) spindles: Option<u64>,
    #[serde(default)]
    logical_id: Value,
}

/// A node's flags, by Ganeti's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigNode {
    /// The node's name in Ganeti, as its configuration has it.
    pub name: NodeName,
    /// The name of its node group, within which hail places instances.
    pub group: String,
    /// Ganeti's flag `offline`: jobs and the watcher skip the node.
    pub offline: bool,
    /// Ganeti's flag `drained`: no instance is placed on it.
    pub drained: bool,
    /// Whether the node may run instances.
    pub vm_capable: bool,
    /// The version of its record; `None` if it is unknown.
    pub version: Option<RecordVersion>,
}

/// The DRBD disks of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrbdInstance {
    /// The instance with a disk of template drbd.
    pub instance: InstanceName,
    /// Its recorded primary node.
    pub primary: NodeName,
    /// The node that has the other copy of its disks.
    pub secondary: NodeName,
    /// The minors of its disks on the secondary node.
    pub minors: Vec<u32>,
}

const fn yes() -> bool {
    true
}

impl RawInstance {
    pub(super) fn admin_state(&self) -> &str {
        &self.admin_state
    }
}

impl RecoveryConfig {
    /// Parses the text of `config.data`.
    ///
    /// # Errors
    /// [`BadRecoveryConfig`] if the text is not a configuration. An instance that cannot be read is not an error.
    pub fn parse(text: &[u8]) -> Result<Self, BadRecoveryConfig> {
        Ok(serde_json::from_slice(text)?)
    }

    /// Returns whether the text of `config.data` has the tag that switches recovery on anywhere. Without it, recovery is
    /// off, and the text need not be parsed.
    #[must_use]
    pub fn may_be_on(text: &[u8]) -> bool {
        let wanted = RECOVER.as_bytes();
        text.windows(wanted.len()).any(|window| window == wanted)
    }

    /// Returns whether the cluster has the tag that switches recovery on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.cluster.tags.iter().any(|tag| tag == RECOVER)
    }

    /// Returns whether an instance that is marked up has one of these nodes as its primary node, or may have.
    #[must_use]
    pub fn has_instances_on(&self, nodes: &BTreeSet<&NodeName>) -> bool {
        let ConfigInstances { readable, unreadable } = self.instances();
        let is_up = |instance: &Instance| instance.admin_state == AdminState::Up && nodes.contains(&instance.primary);
        readable.iter().any(is_up)
            || unreadable.iter().any(|bad| bad.may_be_up() && bad.may_be_on(|primary| nodes.contains(primary)))
    }

    /// Returns the arguments of noded's `instance_list` and `all_instances_info`: the hypervisors, and the parameters of each.
    #[must_use]
    pub fn hypervisors(&self) -> Value {
        let of = |name: &String| self.cluster.hvparams.get(name).cloned().unwrap_or_else(|| json!({}));
        let names = &self.cluster.enabled_hypervisors;
        let parameters: Parameters = names.iter().map(|name| (name.clone(), of(name))).collect();
        json!([names, parameters])
    }

    /// Returns the tags of the cluster, those for harep among them.
    #[must_use]
    pub fn cluster_tags(&self) -> &[String] {
        &self.cluster.tags
    }

    /// Adds a tag to those of the cluster, as if Ganeti had it.
    pub fn add_cluster_tag(&mut self, tag: &str) {
        self.cluster.tags.push(tag.to_owned());
    }

    /// Returns the tags of each node group, by its name.
    #[must_use]
    pub fn group_tags(&self) -> BTreeMap<String, Vec<String>> {
        self.nodegroups.values().map(|group| (group.name.clone(), group.tags.clone())).collect()
    }

    /// Returns the nodes, sorted by name.
    #[must_use]
    pub fn nodes(&self) -> Vec<ConfigNode> {
        let group = |uuid: &String| self.nodegroups.get(uuid).map(|group| group.name.clone()).unwrap_or_default();
        let mut nodes: Vec<ConfigNode> = self
            .nodes
            .iter()
            .map(|(uuid, node)| ConfigNode {
                name: node.name.clone(),
                group: group(&node.group),
                offline: node.offline,
                drained: node.drained,
                vm_capable: node.vm_capable,
                version: node.serial_no.map(|serial| RecordVersion { uuid: uuid.clone(), serial }),
            })
            .collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        nodes
    }

    /// Returns the instances whose entry could be parsed, also those that cannot be read.
    pub(super) fn parsed(&self) -> impl Iterator<Item = &RawInstance> {
        self.instances.values().filter_map(|entry| match entry {
            InstanceEntry::Parsed(raw) => Some(&**raw),
            InstanceEntry::Other(_) => None,
        })
    }

    pub(super) fn node_of(&self, uuid: &str) -> Result<NodeName, BadInstance> {
        self.nodes.get(uuid).map(|node| node.name.clone()).ok_or(BadInstance::NoSuchNode)
    }

    pub(super) fn disks_of<'a>(&'a self, raw: &'a RawInstance) -> Result<Vec<&'a RawDisk>, BadInstance> {
        let disk = |entry: &'a DiskEntry| match entry {
            DiskEntry::Disk(disk) => Some(&**disk),
            DiskEntry::Reference(uuid) => match self.disks.get(uuid)? {
                DiskSlot::Parsed(disk) => Some(&**disk),
                DiskSlot::Other(_) => None,
            },
            DiskEntry::Other(_) => None,
        };
        let found: Option<Vec<&RawDisk>> = raw.disks.iter().map(disk).collect();
        found.ok_or(BadInstance::NoSuchDisk)
    }

    /// Returns the other nodes of an instance's DRBD disks: the first two parts of `logical_id` are nodes.
    pub(super) fn secondaries_of(&self, raw: &RawInstance, disks: &[&RawDisk]) -> Result<Vec<NodeName>, BadInstance> {
        let mut secondaries = Vec::new();
        for disk in disks.iter().filter(|disk| disk.dev_type == "drbd") {
            for uuid in disk.logical_id.as_array().into_iter().flatten().take(2).filter_map(Value::as_str) {
                let node = self.node_of(uuid)?;
                if uuid != raw.primary_node && !secondaries.contains(&node) {
                    secondaries.push(node);
                }
            }
        }
        Ok(secondaries)
    }

    /// Returns where the DRBD disks of each instance are besides its primary node. An instance without exactly one
    /// secondary node, or with a disk whose minor cannot be read, is left out.
    #[must_use]
    pub fn drbd_instances(&self) -> Vec<DrbdInstance> {
        self.parsed().filter_map(|raw| self.drbd_instance(raw)).collect()
    }

    fn drbd_instance(&self, raw: &RawInstance) -> Option<DrbdInstance> {
        let disks = self.disks_of(raw).ok()?;
        let [secondary]: [NodeName; 1] = self.secondaries_of(raw, &disks).ok()?.try_into().ok()?;
        // `logical_id` has both nodes, the port, both minors, and the secret.
        let minor = |disk: &&RawDisk| {
            let ids = disk.logical_id.as_array()?;
            let at = (0..2).find(|at| ids.get(*at).and_then(Value::as_str) != Some(raw.primary_node.as_str()))?;
            u32::try_from(ids.get(at + 3)?.as_u64()?).ok()
        };
        let minors: Option<Vec<u32>> = disks.iter().map(minor).collect();
        let primary = self.node_of(&raw.primary_node).ok()?;
        Some(DrbdInstance { instance: raw.name.clone(), primary, secondary, minors: minors? })
    }

    /// Returns a backend parameter of an instance, such as `maxmem`.
    pub(super) fn backend(&self, raw: &RawInstance, key: &str) -> Option<u64> {
        let default = || self.cluster.beparams.get("default").and_then(|defaults| defaults.get(key));
        raw.beparams.get(key).or_else(default).and_then(Value::as_u64)
    }

    pub(super) fn node_parameters(&self, node: &RawNode) -> Parameters {
        let mut filled = self.cluster.ndparams.clone();
        filled.extend(self.nodegroups.get(&node.group).map(|group| group.ndparams.clone()).unwrap_or_default());
        filled.extend(node.ndparams.clone());
        filled
    }

    /// Returns a group's policy for instances, filled with the cluster's (`FillIPolicy`).
    pub(super) fn policy(&self, group: &RawGroup) -> Parameters {
        let mut filled = self.cluster.ipolicy.clone();
        for (key, value) in &group.ipolicy {
            match (key.as_str(), filled.get_mut(key), value) {
                ("std", Some(Value::Object(default)), Value::Object(own)) => default.extend(own.clone()),
                _ => {
                    filled.insert(key.clone(), value.clone());
                }
            }
        }
        filled
    }
}

/// Returns the template of these disks (`GetDiskTemplate` in `lib/utils/__init__.py`).
pub(super) fn template_of(disks: &[&RawDisk]) -> DiskTemplate {
    let Some(first) = disks.first() else { return DiskTemplate::Diskless };
    if disks.iter().all(|disk| disk.dev_type == first.dev_type) {
        DiskTemplate::parse(&first.dev_type)
    } else {
        DiskTemplate::Other("mixed".to_owned())
    }
}

/// Returns the space of these disks, in MiB (`ComputeDiskSize` in `lib/masterd/instance.py`).
pub(super) fn space_of(disks: &[&RawDisk]) -> u64 {
    let meta = |disk: &RawDisk| if disk.dev_type == "drbd" { DRBD_META_MIB } else { 0 };
    disks.iter().map(|disk| disk.size.saturating_add(meta(disk))).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests;
