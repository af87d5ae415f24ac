//! Finds BMCs of different nodes that show one TLS key: a certificate ties a BMC to its node only if no other BMC has its key;
//! touches nothing.

use std::collections::BTreeMap;
use std::fmt;

use super::{Driver, Level, RedfishDevice};
use crate::core::node::NodeName;

/// Two nodes whose BMCs have one public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedKey {
    /// The two nodes, by their names in Ganeti.
    pub nodes: [NodeName; 2],
    /// The name of the device of each node, in the order of `nodes`.
    pub devices: [String; 2],
}

impl fmt::Display for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes: [one, other], devices: [first, second] } = self;
        write!(f, "the BMCs of {one} (device {first}) and {other} (device {second}) have one fingerprint")
    }
}

/// Returns each node that has the fingerprint of an earlier node's BMC, with that node. A system is tied to its node also by
/// a UUID or a serial number, if both nodes set one. One BMC may have several systems: then the key is that of one machine.
#[must_use]
pub fn shared_keys(nodes: &[(NodeName, Vec<Level>)]) -> Vec<SharedKey> {
    let mut owners: BTreeMap<&str, Vec<(&NodeName, &str, &RedfishDevice)>> = BTreeMap::new();
    let mut found: Vec<SharedKey> = Vec::new();
    let is_tied = |bmc: &RedfishDevice| bmc.uuid.is_some() || bmc.serial_number.is_some();
    for (node, levels) in nodes {
        for device in levels.iter().flatten() {
            let Driver::Redfish(bmc) = &device.driver else { continue };
            for key in bmc.fingerprint.iter().flat_map(|keys| keys.split(';')).map(str::trim) {
                let known = owners.entry(key).or_default();
                let other = known.iter().find(|(owner, _, other)| {
                    let is_one_bmc = bmc.address.eq_ignore_ascii_case(&other.address) && bmc.port == other.port;
                    *owner != node && !is_one_bmc && !(is_tied(bmc) && is_tied(other))
                });
                if let Some((owner, name, _)) = other {
                    let nodes = [(*owner).clone(), node.clone()];
                    if found.iter().all(|shared| shared.nodes != nodes) {
                        found.push(SharedKey { nodes, devices: [(*name).to_owned(), device.name.clone()] });
                    }
                }
                known.push((node, &device.name, bmc));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::core::config::Config;

    fn pairs(first: &str, second: &str) -> Vec<String> {
        let bmc = |name: &str, more: &str| {
            format!(
                "[devices.{name}]\ndriver = \"redfish\"\nusername = \"u\"\npassword_file = \"/p\"\n{more}\n[nodes.{name}]\n\
                 levels = [[\"{name}\"]]\n"
            )
        };
        let config = Config::parse(&(bmc("n1", first) + &bmc("n2", second)), Path::new("config.toml")).unwrap();
        let node = |name| NodeName::new(name).unwrap();
        let nodes: Vec<_> = ["n1", "n2"].map(|name| (node(name), config.levels_of(&node(name)).unwrap())).into();
        shared_keys(&nodes).iter().map(ToString::to_string).collect()
    }

    /// Many makers ship one key for all boards: the BMC of another host at a node's address passes the check of the key.
    #[test]
    fn one_key_of_two_bmcs_is_found() {
        let key = |letter: &str| format!("sha256//{}=", letter.repeat(43));
        let (a, b) = (key("A"), key("B"));
        let at = |address: &str, keys: &str, more: &str| {
            format!("address = \"{address}\"\nfingerprint = \"{keys}\"\n{more}")
        };
        let found = "the BMCs of n1 (device n1) and n2 (device n2) have one fingerprint";
        assert_eq!(pairs(&at("a", &a, ""), &at("b", &a, "")), [found]);
        assert_eq!(
            pairs(&at("a", &format!("{b};{a}"), ""), &at("b", &a, "uuid = \"27946b59-9e44-4fa7-8e91-f3527a1ef094\"")),
            [found]
        );
        assert_eq!(pairs(&at("a", &a, ""), &at("b", &b, "")), [] as [&str; 0]);
        assert_eq!(
            pairs(
                &at("a", &a, "serial_number = \"1\""),
                &at("b", &a, "uuid = \"27946b59-9e44-4fa7-8e91-f3527a1ef094\"")
            ),
            [] as [&str; 0]
        );
        let system = |number: u32| at("a", &a, &format!("system = \"/redfish/v1/Systems/{number}\""));
        assert_eq!(pairs(&system(1), &system(2)), [] as [&str; 0]);
    }
}
