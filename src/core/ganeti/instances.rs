//! Which instances run where, by Ganeti's `config.data` (`src/Ganeti/Objects.hs`).

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::core::node::{self, NodeName};

#[derive(Deserialize)]
struct Raw {
    nodes: BTreeMap<String, RawNode>,
    #[serde(default)]
    instances: BTreeMap<String, RawInstance>,
}

#[derive(Deserialize)]
struct RawNode {
    name: NodeName,
}

#[derive(Deserialize)]
struct RawInstance {
    name: String,
    #[serde(default)]
    primary_node: String,
    #[serde(default)]
    admin_state: String,
}

/// The instances that are to run on `wanted`, by name.
///
/// # Errors
/// When that is no configuration.
pub fn running_on(config_data: &[u8], wanted: &NodeName) -> Result<Vec<String>, serde_json::Error> {
    let raw: Raw = serde_json::from_slice(config_data)?;
    let all = || raw.nodes.values().map(|known| &known.name);
    let is_there = |uuid: &str| raw.nodes.get(uuid).is_some_and(|found| node::same(wanted, &found.name, all()));
    let running =
        raw.instances.values().filter(|instance| instance.admin_state == "up" && is_there(&instance.primary_node));
    let mut names: Vec<String> = running.map(|instance| instance.name.clone()).collect();
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_there_is_named() {
        let text = br#"{"nodes": {"u1": {"name": "n1.lab"}, "u2": {"name": "n2.lab"}}, "instances": {
            "a": {"name": "web2", "primary_node": "u1", "admin_state": "up"},
            "b": {"name": "web1", "primary_node": "u1", "admin_state": "up"},
            "c": {"name": "off", "primary_node": "u1", "admin_state": "down"},
            "d": {"name": "other", "primary_node": "u2", "admin_state": "up"},
            "e": {"name": "lost"}}}"#;
        assert_eq!(running_on(text, &NodeName::new("n1").unwrap()).unwrap(), ["web1", "web2"]);
        let two = text.as_slice().to_vec();
        let two = String::from_utf8(two).unwrap().replace("n2.lab", "n1.other");
        assert_eq!(running_on(two.as_bytes(), &NodeName::new("n1").unwrap()).unwrap(), [""; 0], "it may be either");
        assert_eq!(running_on(two.as_bytes(), &NodeName::new("n1.other").unwrap()).unwrap(), ["other"]);
        assert!(running_on(b"{}", &NodeName::new("n1").unwrap()).is_err());
        let bare = br#"{"nodes": {"u1": {"name": "n1.lab"}}}"#;
        assert_eq!(running_on(bare, &NodeName::new("n1").unwrap()).unwrap(), [""; 0]);
    }
}
