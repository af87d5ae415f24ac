//! The part of Ganeti's `config.data` that fencing needs. Pure: an adapter reads the file.
//!
//! The file is JSON, on master candidates only (`src/Ganeti/Objects.hs`, `lib/objects.py`). Only the keys that are
//! named here are parsed; the rest is skipped.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::record_version::RecordVersion;
use crate::core::node::{self, NoSuchNode, NodeName};

/// The values of `version` that are understood: Ganeti 3.x writes 3000000 and up (`CONFIG_VERSION`).
const VERSIONS: std::ops::Range<u64> = 2_000_000..4_000_000;

/// Ganeti's configuration, as far as fencing needs it.
#[derive(Clone, Debug)]
pub struct GanetiConfig {
    /// The serial number, which Ganeti increments with each change (`serial_no`).
    pub serial: u64,
    nodes: Vec<Node>,
    master: Option<NodeName>,
    candidate_pool_size: usize,
    tags: Vec<String>,
    notes: BTreeMap<NodeName, Notes>,
    drbd_options: Vec<(ParametersOwner, String)>,
}

/// The part of Ganeti's configuration that has its own disk parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParametersOwner {
    /// The cluster, whose parameters are the defaults of every node group.
    Cluster,
    /// The node group of this name.
    Group(String),
}

/// Tags, times, version and addresses of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// The tags of the node itself, without those of its group and of the cluster.
    pub tags: Vec<String>,
    /// When its record was last written (`mtime`), in milliseconds since 1970.
    pub changed_ms: Option<u64>,
    /// The version of its record (`serial_no` and UUID); `None` if it cannot be read.
    pub version: Option<RecordVersion>,
    /// Its address in the primary network, where its noded listens.
    pub primary_ip: Option<IpAddr>,
}

/// The name, flags and OOB program of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The node's name in Ganeti.
    pub name: NodeName,
    /// Ganeti's flag `offline`: jobs and the watcher skip the node.
    pub offline: bool,
    /// Ganeti's flag `drained`: no instance is placed on it.
    pub drained: bool,
    /// Whether the node is recorded as having power.
    pub powered: bool,
    /// Whether the node is a master candidate, which holds the configuration.
    pub master_candidate: bool,
    /// Whether the node may become a master candidate.
    pub master_capable: bool,
    /// The OOB program of the node, else of its group, else of the cluster; `None` if that is empty.
    pub oob_program: Option<PathBuf>,
}

/// The reason why `config.data` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadConfigData {
    /// The text is not JSON, or JSON of another shape: half-written, or of another program.
    #[error("it is not Ganeti's configuration: {0}")]
    Shape(#[from] serde_json::Error),
    /// The configuration has this version, which is not supported.
    #[error("its version is {0}, and this program reads 2.x and 3.x")]
    Version(u64),
    /// The configuration has no node.
    #[error("it has no node")]
    NoNodes,
}

#[derive(Deserialize)]
struct RawConfig {
    version: u64,
    serial_no: u64,
    cluster: RawCluster,
    nodes: BTreeMap<String, RawNode>,
    nodegroups: BTreeMap<String, RawGroup>,
}

#[derive(Deserialize)]
struct RawCluster {
    master_node: String,
    #[serde(default)]
    candidate_pool_size: usize,
    #[serde(default)]
    ndparams: RawNodeParameters,
    #[serde(default)]
    diskparams: RawDiskParameters,
    /// Missing in a configuration of Ganeti before 2.8.
    #[serde(default)]
    enabled_disk_templates: Option<Vec<String>>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
struct RawNode {
    name: NodeName,
    group: String,
    #[serde(default)]
    offline: bool,
    #[serde(default)]
    drained: bool,
    #[serde(default = "yes")]
    powered: bool,
    #[serde(default)]
    master_candidate: bool,
    #[serde(default = "yes")]
    master_capable: bool,
    #[serde(default)]
    ndparams: RawNodeParameters,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    mtime: Option<f64>,
    #[serde(default)]
    serial_no: Option<u64>,
    #[serde(default)]
    primary_ip: Option<String>,
}

#[derive(Deserialize)]
struct RawGroup {
    #[serde(default)]
    name: String,
    #[serde(default)]
    ndparams: RawNodeParameters,
    #[serde(default)]
    diskparams: RawDiskParameters,
}

#[derive(Default, Deserialize)]
struct RawDiskParameters {
    #[serde(default)]
    drbd: RawDrbd,
}

#[derive(Default, Deserialize)]
struct RawDrbd {
    #[serde(default, rename = "net-custom")]
    net_custom: Option<String>,
}

#[derive(Default, Deserialize)]
struct RawNodeParameters {
    oob_program: Option<String>,
}

const fn yes() -> bool {
    true
}

impl RawNode {
    fn notes(&self, uuid: &str) -> Notes {
        let milliseconds = self.mtime.filter(|mtime| mtime.is_finite() && *mtime >= 0.0).map(|mtime| mtime * 1000.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's cast saturates")]
        let changed_ms = milliseconds.map(|milliseconds| milliseconds as u64);
        Notes {
            tags: self.tags.clone(),
            changed_ms,
            version: self.serial_no.map(|serial| RecordVersion { uuid: uuid.to_owned(), serial }),
            primary_ip: self.primary_ip.as_deref().and_then(|ip| ip.parse().ok()),
        }
    }
}

impl GanetiConfig {
    /// Parses the text of `config.data`.
    ///
    /// # Errors
    /// [`BadConfigData`] if the text is not a configuration of a supported version with nodes. A half-written file is
    /// an error, never an empty cluster.
    pub fn parse(text: &[u8]) -> Result<Self, BadConfigData> {
        let raw: RawConfig = serde_json::from_slice(text)?;
        if !VERSIONS.contains(&raw.version) {
            return Err(BadConfigData::Version(raw.version));
        }
        if raw.nodes.is_empty() {
            return Err(BadConfigData::NoNodes);
        }
        let master = raw.nodes.get(&raw.cluster.master_node).map(|node| node.name.clone());
        let cluster_program = raw.cluster.ndparams.oob_program.as_deref();
        let notes = raw.nodes.iter().map(|(uuid, node)| (node.name.clone(), node.notes(uuid))).collect();
        let mut nodes: Vec<Node> = raw
            .nodes
            .into_values()
            .map(|node| {
                let group_program =
                    raw.nodegroups.get(&node.group).and_then(|group| group.ndparams.oob_program.as_deref());
                // An empty string at a nearer level is Ganeti's way to opt out (`lib/objects.py`, `FillND`).
                let oob_program = node
                    .ndparams
                    .oob_program
                    .as_deref()
                    .or(group_program)
                    .or(cluster_program)
                    .filter(|path| !path.is_empty())
                    .map(PathBuf::from);
                Node {
                    name: node.name,
                    offline: node.offline,
                    drained: node.drained,
                    powered: node.powered,
                    master_candidate: node.master_candidate,
                    master_capable: node.master_capable,
                    oob_program,
                }
            })
            .collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let groups = raw.nodegroups.into_values().map(|group| (ParametersOwner::Group(group.name), group.diskparams));
        let owners = std::iter::once((ParametersOwner::Cluster, raw.cluster.diskparams)).chain(groups);
        let is_in_use = raw.cluster.enabled_disk_templates.is_none_or(|all| all.iter().any(|name| name == "drbd"));
        let drbd_options = owners
            .filter_map(|(owner, parameters)| Some((owner, parameters.drbd.net_custom?)))
            .filter(|(_, options)| is_in_use && !options.trim().is_empty())
            .collect();
        Ok(Self {
            serial: raw.serial_no,
            nodes,
            master,
            candidate_pool_size: raw.cluster.candidate_pool_size,
            tags: raw.cluster.tags,
            notes,
            drbd_options,
        })
    }

    /// Returns all nodes, sorted by name.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns tags, times and addresses of a node; the default if there is no such node.
    #[must_use]
    pub fn notes(&self, node: &NodeName) -> Notes {
        self.notes.get(node).cloned().unwrap_or_default()
    }

    /// Returns the tags of the cluster.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// Returns how many master candidates Ganeti is to have.
    #[must_use]
    pub const fn candidate_pool_size(&self) -> usize {
        self.candidate_pool_size
    }

    /// Returns the options that the disk parameter `net-custom` adds to a DRBD connection, if the DRBD template is in
    /// use.
    #[must_use]
    pub fn drbd_options(&self) -> &[(ParametersOwner, String)] {
        &self.drbd_options
    }

    /// Returns how many master candidates are missing of those that Ganeti is to have and could have. Ganeti itself
    /// counts the same way (`lib/config/__init__.py`, `_UnlockedGetMasterCandidateStats`).
    #[must_use]
    pub fn candidates_missing(&self) -> usize {
        let can = |node: &&Node| node.master_capable && !node.offline && !node.drained;
        let (candidates, possible) =
            (self.nodes.iter().filter(|node| node.master_candidate).count(), self.nodes.iter().filter(can).count());
        possible.min(self.candidate_pool_size).saturating_sub(candidates)
    }

    /// Returns the recorded master; `None` if the record names no node.
    #[must_use]
    pub fn master(&self) -> Option<&NodeName> {
        self.master.as_ref()
    }

    /// Returns the names of all nodes, for comparisons with names of other programs (see [`node::means`]).
    #[must_use]
    pub fn names(&self) -> Vec<NodeName> {
        self.nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// Returns the node that `given` means (see [`node::find`]).
    ///
    /// # Errors
    /// [`NoSuchNode`] if no node has the name, or several nodes could be meant.
    pub fn find(&self, given: &NodeName) -> Result<&Node, NoSuchNode> {
        let name = node::find(given, self.nodes.iter().map(|node| &node.name))?;
        self.nodes.iter().find(|node| node.name == *name).ok_or_else(|| NoSuchNode::Unknown { given: given.clone() })
    }

    /// Returns whether Ganeti must promote another node when `leaving` stops being a master candidate.
    ///
    /// With `auto_promote` Ganeti locks every node. So it is requested only if Ganeti would reject the change without
    /// it (`lib/cmdlib/node.py`, `LUNodeSetParams`).
    #[must_use]
    pub fn needs_promotion_without(&self, leaving: &Node) -> bool {
        if !leaving.master_candidate {
            return false;
        }
        let others = || self.nodes.iter().filter(|node| node.name != leaving.name);
        let candidates = others().filter(|node| node.master_candidate).count();
        let eligible = others().filter(|node| node.master_capable && !node.offline && !node.drained).count();
        candidates < eligible.min(self.candidate_pool_size)
    }
}

#[cfg(test)]
mod tests;
