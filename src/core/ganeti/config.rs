//! What fencing needs of Ganeti's `config.data`.
//!
//! The file is JSON, on master candidates only (`src/Ganeti/Objects.hs`, `lib/objects.py`). Only the keys that
//! are named here are read; the rest is skipped.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

use crate::core::node::{self, NoSuchNode, NodeName};

/// The `version` that is understood: Ganeti 3.x writes 3000000 and up (`CONFIG_VERSION`).
const VERSIONS: std::ops::Range<u64> = 2_000_000..4_000_000;

/// Ganeti's configuration, as far as fencing needs it.
#[derive(Clone, Debug)]
pub struct GanetiConfig {
    /// Incremented by Ganeti with each change (`serial_no`).
    pub serial: u64,
    nodes: Vec<Node>,
    master: Option<NodeName>,
    candidate_pool_size: usize,
    tags: Vec<String>,
    notes: BTreeMap<NodeName, Notes>,
    drbd_options: Vec<(Owner, String)>,
}

/// Whose disk parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The cluster's.
    Cluster,
    /// A node group's, by its name.
    Group(String),
}

/// What else is known of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Its tags.
    pub tags: Vec<String>,
    /// When its record was last written (`mtime`), in milliseconds since 1970.
    pub changed_ms: Option<u64>,
    /// Its address in the primary network, where its noded listens.
    pub primary_ip: Option<IpAddr>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name in Ganeti.
    pub name: NodeName,
    /// Recorded as offline.
    pub offline: bool,
    /// Recorded as drained.
    pub drained: bool,
    /// Recorded as having power.
    pub powered: bool,
    /// Holds the configuration.
    pub master_candidate: bool,
    /// May become a master candidate.
    pub master_capable: bool,
    /// Its OOB program: of the node, else of its group, else of the cluster; none if that is empty.
    pub oob_program: Option<PathBuf>,
}

/// Why `config.data` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadConfigData {
    /// No JSON, or JSON of another shape: half-written, or of another program.
    #[error("it is not Ganeti's configuration: {0}")]
    Shape(#[from] serde_json::Error),
    /// A version that this program does not know.
    #[error("its version is {0}, and this program knows 2.x and 3.x")]
    Version(u64),
    /// It holds no node at all.
    #[error("it holds no node")]
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
    /// Of before Ganeti 2.8 there is none.
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
    fn notes(&self) -> Notes {
        let milliseconds = self.mtime.filter(|mtime| mtime.is_finite() && *mtime >= 0.0).map(|mtime| mtime * 1000.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's cast saturates")]
        let changed_ms = milliseconds.map(|milliseconds| milliseconds as u64);
        Notes {
            tags: self.tags.clone(),
            changed_ms,
            primary_ip: self.primary_ip.as_deref().and_then(|ip| ip.parse().ok()),
        }
    }
}

impl GanetiConfig {
    /// Reads the text of `config.data`.
    ///
    /// # Errors
    /// [`BadConfigData`]; a half-written file is one, never an empty cluster.
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
        let notes = raw.nodes.values().map(|node| (node.name.clone(), node.notes())).collect();
        let mut nodes: Vec<Node> = raw
            .nodes
            .into_values()
            .map(|node| {
                let group_program =
                    raw.nodegroups.get(&node.group).and_then(|group| group.ndparams.oob_program.as_deref());
                // An empty string at a nearer level is Ganeti's way to opt out (lib/objects.py, FillND).
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
        let groups = raw.nodegroups.into_values().map(|group| (Owner::Group(group.name), group.diskparams));
        let owners = std::iter::once((Owner::Cluster, raw.cluster.diskparams)).chain(groups);
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

    /// Every node, by name.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Tags and times of a node.
    #[must_use]
    pub fn notes(&self, node: &NodeName) -> Notes {
        self.notes.get(node).cloned().unwrap_or_default()
    }

    /// The cluster's tags.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// How many master candidates Ganeti wants.
    #[must_use]
    pub const fn candidate_pool_size(&self) -> usize {
        self.candidate_pool_size
    }

    /// The options that the disk parameter `net-custom` adds to a DRBD connection, where the template is in use.
    #[must_use]
    pub fn drbd_options(&self) -> &[(Owner, String)] {
        &self.drbd_options
    }

    /// How many master candidates are missing of those that Ganeti wants and could have, as it counts them itself
    /// (`lib/config/__init__.py`, `_UnlockedGetMasterCandidateStats`).
    #[must_use]
    pub fn candidates_missing(&self) -> usize {
        let can = |node: &&Node| node.master_capable && !node.offline && !node.drained;
        let (candidates, possible) =
            (self.nodes.iter().filter(|node| node.master_candidate).count(), self.nodes.iter().filter(can).count());
        possible.min(self.candidate_pool_size).saturating_sub(candidates)
    }

    /// The master as recorded; `None` if its record points nowhere.
    #[must_use]
    pub fn master(&self) -> Option<&NodeName> {
        self.master.as_ref()
    }

    /// The names of all nodes: what names of other programs are compared with (see [`node::means`]).
    #[must_use]
    pub fn names(&self) -> Vec<NodeName> {
        self.nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// The node that `given` stands for (see [`node::find`]).
    ///
    /// # Errors
    /// [`NoSuchNode`].
    pub fn find(&self, given: &NodeName) -> Result<&Node, NoSuchNode> {
        let name = node::find(given, self.nodes.iter().map(|node| &node.name))?;
        self.nodes.iter().find(|node| node.name == *name).ok_or_else(|| NoSuchNode::Unknown { given: given.clone() })
    }

    /// Whether Ganeti must promote another node when `leaving` stops being a master candidate.
    ///
    /// With `auto_promote` Ganeti locks every node, so it is asked for only where it would refuse without
    /// (`lib/cmdlib/node.py`, `LUNodeSetParams`).
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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn sample() -> Value {
        json!({
            "version": 3_000_000, "serial_no": 17, "mtime": 1.5,
            "cluster": {"master_node": "u1", "candidate_pool_size": 10,
                        "ndparams": {"oob_program": "/cluster", "ssh_port": 22}},
            "nodegroups": {"g1": {"ndparams": {}}, "g2": {"ndparams": {"oob_program": "/group"}}},
            "nodes": {
                "u1": {"name": "n1.lab", "group": "g1", "master_candidate": true, "ndparams": {}},
                "u2": {"name": "n2.lab", "group": "g2", "master_candidate": true, "ndparams": {}},
                "u3": {"name": "n3.lab", "group": "g2", "ndparams": {"oob_program": "/node"}, "offline": true},
                "u4": {"name": "n4.lab", "group": "g2", "ndparams": {"oob_program": ""}}},
            "instances": {"x": {"name": "vm"}}, "networks": {}, "disks": {}, "filters": {}
        })
    }

    fn parse(value: &Value) -> Result<GanetiConfig, BadConfigData> {
        GanetiConfig::parse(value.to_string().as_bytes())
    }

    fn program(config: &GanetiConfig, node: &str) -> Option<PathBuf> {
        config.find(&NodeName::new(node).unwrap()).unwrap().oob_program.clone()
    }

    /// `lib/objects.py`, `FillND`: node, else group, else cluster; an empty string at the node opts out.
    #[test]
    fn the_nearest_oob_program_wins() {
        let config = parse(&sample()).unwrap();
        assert_eq!(program(&config, "n1"), Some("/cluster".into()));
        assert_eq!(program(&config, "n2"), Some("/group".into()));
        assert_eq!(program(&config, "n3"), Some("/node".into()));
        assert_eq!(program(&config, "n4"), None);
        assert_eq!(config.master().map(NodeName::as_str), Some("n1.lab"));
    }

    /// An offline candidate-pool change locks the whole cluster, so it is asked for only when needed.
    #[test]
    fn promotion_is_asked_for_only_when_the_pool_is_short() {
        let config = parse(&sample()).unwrap();
        let n2 = config.find(&NodeName::new("n2").unwrap()).unwrap();
        // n1 stays; n4 is eligible and could be one: Ganeti would refuse without auto_promote.
        assert!(config.needs_promotion_without(n2));
        let mut small_pool = sample();
        small_pool["cluster"]["candidate_pool_size"] = json!(1);
        assert!(!parse(&small_pool).unwrap().needs_promotion_without(n2));
        let n4 = config.find(&NodeName::new("n4").unwrap()).unwrap();
        assert!(!config.needs_promotion_without(n4), "no candidate leaves");
    }

    /// `lib/storage/drbd_cmdgen.py`: what `net-custom` says comes after Ganeti's own options.
    #[test]
    fn drbd_options_are_read_where_drbd_is_in_use() {
        let mut value = sample();
        value["nodegroups"]["g2"] = json!({"name": "rack2", "diskparams": {"drbd": {"net-custom": "--x"}}});
        value["cluster"]["diskparams"] = json!({"drbd": {"net-custom": ""}, "plain": {"stripes": 1}});
        let options = |value: &Value| parse(value).unwrap().drbd_options().to_vec();
        assert_eq!(options(&value), [(Owner::Group("rack2".into()), "--x".into())]);
        value["cluster"]["enabled_disk_templates"] = json!(["plain"]);
        assert_eq!(options(&value), []);
    }

    #[test]
    fn a_short_pool_is_counted_as_ganeti_does() {
        let mut value = sample();
        assert_eq!(parse(&value).unwrap().candidates_missing(), 1, "n3 is offline, n4 could be one");
        value["nodes"]["u4"]["drained"] = json!(true);
        assert_eq!(parse(&value).unwrap().candidates_missing(), 0);
        value["nodes"]["u4"]["drained"] = json!(false);
        value["cluster"]["candidate_pool_size"] = json!(2);
        assert_eq!(parse(&value).unwrap().candidates_missing(), 0);
    }

    /// A node must never be taken for missing because the file was half-written.
    #[test]
    fn every_truncation_is_an_error() {
        let text = sample().to_string();
        for end in 0..text.len() {
            assert!(GanetiConfig::parse(&text.as_bytes()[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn other_versions_and_empty_clusters_are_errors() {
        let mut value = sample();
        value["version"] = json!(4_000_000);
        assert!(matches!(parse(&value), Err(BadConfigData::Version(4_000_000))));
        let mut value = sample();
        value["nodes"] = json!({});
        assert!(matches!(parse(&value), Err(BadConfigData::NoNodes)));
    }

    #[test]
    fn a_hostile_name_is_refused() {
        let mut value = sample();
        value["nodes"]["u2"]["name"] = json!("n2;reboot");
        assert!(parse(&value).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = GanetiConfig::parse(&bytes);
        }
    }
}
