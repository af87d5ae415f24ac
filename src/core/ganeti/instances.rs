//! The instances of each node, from Ganeti's `config.data` (`src/Ganeti/Objects.hs`). Pure.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::core::node::{self, NodeName};
use crate::core::quorum::AddressOwner;

#[derive(Deserialize)]
struct Raw {
    nodes: BTreeMap<String, RawNode>,
    #[serde(default)]
    instances: BTreeMap<String, RawInstance>,
}

#[derive(Deserialize)]
struct RawNode {
    name: NodeName,
    #[serde(default)]
    primary_ip: String,
    #[serde(default)]
    secondary_ip: String,
}

#[derive(Deserialize)]
struct RawInstance {
    name: String,
    #[serde(default)]
    primary_node: String,
    #[serde(default)]
    admin_state: String,
    #[serde(default)]
    nics: Vec<RawNic>,
}

#[derive(Deserialize)]
struct RawNic {
    /// `None` if the instance gets its address in another way.
    #[serde(default)]
    ip: Option<String>,
}

/// Returns the names of the instances that are to run on `wanted`, sorted.
///
/// # Errors
/// [`serde_json::Error`] if the text is not a configuration.
pub fn instances_marked_up(config_data: &[u8], wanted: &NodeName) -> Result<Vec<String>, serde_json::Error> {
    let raw: Raw = serde_json::from_slice(config_data)?;
    let all = || raw.nodes.values().map(|known| &known.name);
    let is_there = |uuid: &str| raw.nodes.get(uuid).is_some_and(|found| node::same(wanted, &found.name, all()));
    let running =
        raw.instances.values().filter(|instance| instance.admin_state == "up" && is_there(&instance.primary_node));
    let mut names: Vec<String> = running.map(|instance| instance.name.clone()).collect();
    names.sort_unstable();
    Ok(names)
}

/// Returns the cluster's own hosts and instances, with the addresses in Ganeti's configuration.
///
/// # Errors
/// [`serde_json::Error`] if the text is not a configuration.
pub fn owners(config_data: &[u8]) -> Result<Vec<AddressOwner>, serde_json::Error> {
    let raw: Raw = serde_json::from_slice(config_data)?;
    let read = |text: &String| text.parse().ok();
    let nodes = raw.nodes.values().map(|node| AddressOwner {
        what: format!("node {}", node.name),
        name: node.name.to_string(),
        addresses: [&node.primary_ip, &node.secondary_ip].into_iter().filter_map(read).collect(),
    });
    let instances = raw.instances.values().map(|instance| AddressOwner {
        what: format!("instance {}", instance.name),
        name: instance.name.clone(),
        addresses: instance.nics.iter().filter_map(|nic| nic.ip.as_ref()).filter_map(read).collect(),
    });
    Ok(nodes.chain(instances).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_addresses_they_are_is_known() {
        let text = br#"{"nodes": {"u1": {"name": "n1.lab", "primary_ip": "192.0.2.1", "secondary_ip": "198.51.100.1"}},
            "instances": {"a": {"name": "web1", "nics": [{"ip": "192.0.2.50"}, {"ip": null}, {}]}}}"#;
        let found: Vec<_> =
            owners(text).unwrap().into_iter().map(|owner| (owner.what, owner.addresses.len())).collect();
        assert_eq!(found, [("node n1.lab".to_owned(), 2), ("instance web1".to_owned(), 1)]);
    }

    #[test]
    fn what_runs_there_is_named() {
        let text = br#"{"nodes": {"u1": {"name": "n1.lab"}, "u2": {"name": "n2.lab"}}, "instances": {
            "a": {"name": "web2", "primary_node": "u1", "admin_state": "up"},
            "b": {"name": "web1", "primary_node": "u1", "admin_state": "up"},
            "c": {"name": "off", "primary_node": "u1", "admin_state": "down"},
            "d": {"name": "other", "primary_node": "u2", "admin_state": "up"},
            "e": {"name": "lost"}}}"#;
        assert_eq!(instances_marked_up(text, &NodeName::new("n1").unwrap()).unwrap(), ["web1", "web2"]);
        let two = text.as_slice().to_vec();
        let two = String::from_utf8(two).unwrap().replace("n2.lab", "n1.other");
        assert_eq!(
            instances_marked_up(two.as_bytes(), &NodeName::new("n1").unwrap()).unwrap(),
            [""; 0],
            "it may be either"
        );
        assert_eq!(instances_marked_up(two.as_bytes(), &NodeName::new("n1.other").unwrap()).unwrap(), ["other"]);
        assert!(instances_marked_up(b"{}", &NodeName::new("n1").unwrap()).is_err());
        let bare = br#"{"nodes": {"u1": {"name": "n1.lab"}}}"#;
        assert_eq!(owners(bare).unwrap().len(), 1);
        assert_eq!(instances_marked_up(bare, &NodeName::new("n1").unwrap()).unwrap(), [""; 0]);
    }
}
