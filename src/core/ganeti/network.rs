//! The part of Ganeti's `config.data` that shunning needs: the addresses of the nodes, and which node serves which.
//! Pure.
//!
//! It is separate from [`super::config`], which every fencing reads, because disks make up most of the file
//! (`src/Ganeti/Objects/Disk.hs`; a DRBD disk's `logical_id` begins with its two nodes).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;

use crate::core::node::{self, NoSuchNode, NodeName};

/// The addresses of one node, with the flags that shunning needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddresses {
    /// The address where its noded and confd listen.
    pub primary: IpAddr,
    /// The primary and the secondary address.
    pub addresses: BTreeSet<IpAddr>,
    /// Ganeti's flag `offline`: jobs and the watcher skip the node.
    pub offline: bool,
    /// Whether the node is a master candidate, which holds the configuration.
    pub candidate: bool,
}

/// The addresses of all nodes, and what they share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterNetwork {
    /// The cluster's name: SSH finds the key of all nodes by it.
    pub cluster: String,
    /// The addresses of each node.
    pub members: BTreeMap<NodeName, NodeAddresses>,
    /// The recorded master; `None` if the record names no node.
    pub master: Option<NodeName>,
    /// The IP of the master role.
    pub master_ip: Option<IpAddr>,
    /// The serial number of the configuration, which grows with each change.
    pub serial: Option<u64>,
    drbd: BTreeSet<(NodeName, NodeName)>,
    /// The instances of each node that have a disk outside of the cluster, each with the kind of disk.
    outside: BTreeMap<NodeName, BTreeSet<String>>,
}

/// Kinds of disks that only the primary node, and a DRBD secondary, can reach (`lib/constants.py`, `DT_*`). Any other
/// kind counts as storage outside of the cluster, to which a shunned host can still write.
const OF_NODES: [&str; 4] = ["plain", "drbd", "drbd8", "file"];

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    serial_no: Option<u64>,
    cluster: RawCluster,
    nodes: BTreeMap<String, RawNode>,
    #[serde(default)]
    disks: BTreeMap<String, RawDisk>,
    #[serde(default)]
    instances: BTreeMap<String, RawInstance>,
}

#[derive(Deserialize)]
struct RawInstance {
    #[serde(default)]
    name: String,
    #[serde(default)]
    primary_node: String,
    #[serde(default)]
    disks: Vec<Value>,
}

/// Returns the serial number of a text of `config.data`, without parsing the rest.
#[must_use]
pub fn serial_of(text: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Serial {
        serial_no: u64,
    }
    serde_json::from_slice(text).ok().map(|Serial { serial_no }| serial_no)
}

#[derive(Deserialize)]
struct RawCluster {
    cluster_name: String,
    master_node: String,
    #[serde(default)]
    master_ip: Option<String>,
}

#[derive(Deserialize)]
struct RawNode {
    name: NodeName,
    primary_ip: IpAddr,
    #[serde(default)]
    secondary_ip: Option<String>,
    #[serde(default)]
    offline: bool,
    #[serde(default)]
    master_candidate: bool,
}

#[derive(Deserialize)]
struct RawDisk {
    dev_type: String,
    #[serde(default)]
    logical_id: Value,
}

impl ClusterNetwork {
    /// Parses the text of `config.data`.
    ///
    /// # Errors
    /// [`serde_json::Error`] if the text is not a configuration, or a node has no address.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        let raw: Raw = serde_json::from_slice(text)?;
        let name = |uuid: &Value| raw.nodes.get(uuid.as_str()?).map(|node| node.name.clone());
        let pair = |disk: &RawDisk| {
            let ends = disk.logical_id.as_array().filter(|_| disk.dev_type.starts_with("drbd"))?;
            Some((name(ends.first()?)?, name(ends.get(1)?)?))
        };
        let mut outside: BTreeMap<NodeName, BTreeSet<String>> = BTreeMap::new();
        for instance in raw.instances.values() {
            let Some(node) = raw.nodes.get(&instance.primary_node) else { continue };
            // A disk that is not in the list may be of any kind.
            let kind = |disk: &Value| {
                let disk = disk.as_str().and_then(|uuid| raw.disks.get(uuid));
                disk.map_or("unknown", |disk| disk.dev_type.as_str())
            };
            let foreign = instance.disks.iter().map(kind).find(|kind| !OF_NODES.contains(kind));
            if let Some(kind) = foreign {
                outside.entry(node.name.clone()).or_default().insert(format!("{} ({kind})", instance.name));
            }
        }
        let member = |node: &RawNode| {
            let secondary = node.secondary_ip.as_deref().and_then(|text| text.parse().ok());
            let addresses = [Some(node.primary_ip), secondary].into_iter().flatten().collect();
            let (offline, candidate) = (node.offline, node.master_candidate);
            (node.name.clone(), NodeAddresses { primary: node.primary_ip, addresses, offline, candidate })
        };
        Ok(Self {
            cluster: raw.cluster.cluster_name,
            master: raw.nodes.get(&raw.cluster.master_node).map(|node| node.name.clone()),
            master_ip: raw.cluster.master_ip.as_deref().and_then(|text| text.parse().ok()),
            serial: raw.serial_no,
            drbd: raw.disks.values().filter_map(pair).collect(),
            outside,
            members: raw.nodes.values().map(member).collect(),
        })
    }

    /// Returns the node that `given` means (see [`node::find`]).
    ///
    /// # Errors
    /// [`NoSuchNode`] if no node has the name, or several nodes could be meant.
    pub fn find(&self, given: &NodeName) -> Result<&NodeName, NoSuchNode> {
        node::find(given, self.members.keys())
    }

    /// Returns the primary addresses of the master candidates that are not offline.
    #[must_use]
    pub fn candidates(&self) -> BTreeSet<IpAddr> {
        self.members
            .values()
            .filter(|member| member.candidate && !member.offline)
            .map(|member| member.primary)
            .collect()
    }

    /// Returns the instances of `node` with a disk outside of the cluster, each with the kind of disk.
    #[must_use]
    pub fn with_disks_outside(&self, node: &NodeName) -> Vec<&str> {
        self.outside.get(node).into_iter().flatten().map(String::as_str).collect()
    }

    /// Returns why shunning, which does not stop the node, would prove nothing for it; `None` if it would prove
    /// `isolated`.
    #[must_use]
    pub fn isolation_objection(&self, node: &NodeName) -> Option<String> {
        let outside = self.with_disks_outside(node);
        let first = outside.first()?;
        let more = if outside.len() > 1 { format!(" and {} more", outside.len() - 1) } else { String::new() };
        Some(format!("{first}{more} has a disk outside of the cluster, which it may go on to write to"))
    }

    /// Returns whether `peer` serves any channel of `target`. A candidate may call every noded and grants leases, and
    /// two nodes may share a DRBD disk.
    #[must_use]
    pub fn serves(&self, target: &NodeName, peer: &NodeName) -> bool {
        let is_candidate = |node: &NodeName| self.members.get(node).is_none_or(|member| member.candidate);
        let shares = |(a, b): &(NodeName, NodeName)| (a, b) == (target, peer) || (b, a) == (target, peer);
        is_candidate(target) || is_candidate(peer) || self.drbd.iter().any(shares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn sample() -> Value {
        let node = |n: u8, candidate: bool| {
            json!({"name": format!("n{n}.lab"), "primary_ip": format!("192.0.2.{n}"), "secondary_ip": format!("198.51.100.{n}"),
                   "master_candidate": candidate, "offline": false})
        };
        json!({"serial_no": 7, "cluster": {"cluster_name": "c.lab", "master_node": "u1", "master_ip": "192.0.2.100"},
               "nodes": {"u1": node(1, true), "u3": node(3, false), "u4": node(4, false), "u5": node(5, false)},
               "disks": {"d1": {"dev_type": "drbd", "logical_id": ["u3", "u4", 11000, 0, 0, "secret"]},
                         "d2": {"dev_type": "plain", "logical_id": ["xenvg", "d2"]}}})
    }

    fn name(n: u8) -> NodeName {
        NodeName::new(&format!("n{n}.lab")).unwrap()
    }

    #[test]
    fn who_shares_a_disk_or_is_a_candidate_serves() {
        let network = ClusterNetwork::parse(sample().to_string().as_bytes()).unwrap();
        assert!(network.serves(&name(3), &name(4)) && network.serves(&name(4), &name(3)));
        assert!(!network.serves(&name(3), &name(5)));
        assert!(network.serves(&name(1), &name(5)) && network.serves(&name(5), &name(1)));
        assert!(network.serves(&name(5), &name(9)), "of an unknown one nothing is proven");
        assert_eq!(network.members[&name(3)].addresses.len(), 2);
        assert_eq!(network.candidates(), BTreeSet::from(["192.0.2.1".parse().unwrap()]));
        assert_eq!((network.serial, serial_of(sample().to_string().as_bytes())), (Some(7), Some(7)));
        assert_eq!(network.master_ip, Some("192.0.2.100".parse().unwrap()));
    }

    /// A shunned host can still write to storage that is not the cluster's: two hosts would write to one disk.
    #[test]
    fn instances_with_disks_outside_of_the_cluster_are_known_by_their_node() {
        let mut sample = sample();
        let instance =
            |name: &str, node: &str, disks: &[&str]| json!({"name": name, "primary_node": node, "disks": disks});
        sample["disks"]["d3"] = json!({"dev_type": "rbd", "logical_id": ["rbd", "d3"]});
        sample["instances"] = json!({
            "i1": instance("web", "u3", &["d1", "d2"]), "i2": instance("db", "u4", &["d2", "d3"]),
            "i3": instance("mail", "u5", &["gone"]), "i4": instance("empty", "u5", &[])
        });
        let network = ClusterNetwork::parse(sample.to_string().as_bytes()).unwrap();
        assert!(network.with_disks_outside(&name(3)).is_empty());
        assert_eq!(network.with_disks_outside(&name(4)), ["db (rbd)"]);
        assert_eq!(network.with_disks_outside(&name(5)), ["mail (unknown)"], "what is unknown is not the cluster's");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (ClusterNetwork::parse(&bytes), serial_of(&bytes));
        }
    }
}
