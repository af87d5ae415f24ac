//! What is never refused: this host would cut itself off, or the wrong one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::config::{Config, Shun};
use crate::core::node::NodeName;
use crate::core::shun::register::Entry;
use crate::sys::addresses;
use crate::sys::ganeti::ssconf::Ssconf;

/// Judges the addresses of nodes that are to be refused.
#[derive(Debug)]
pub(super) struct Protected<'a> {
    shun: &'a Shun,
    here: &'a NodeName,
    owners: BTreeMap<IpAddr, BTreeSet<NodeName>>,
    master_ip: Option<IpAddr>,
    devices: BTreeSet<IpAddr>,
}

impl<'a> Protected<'a> {
    /// By what Ganeti has told this host; where it has told nothing, only the rest counts.
    pub(super) fn new(config: &'a Config, here: &'a NodeName, ssconf: &Ssconf) -> Self {
        let mut owners: BTreeMap<IpAddr, BTreeSet<NodeName>> = BTreeMap::new();
        for key in ["node_primary_ips", "node_secondary_ips"] {
            for (name, address) in ssconf.name_addresses(key).unwrap_or_default() {
                owners.entry(address).or_default().insert(name);
            }
        }
        let master_ip = ssconf.addresses("master_ip").unwrap_or_default().into_iter().next();
        Self { shun: &config.shun, here, owners, master_ip, devices: config.device_addresses() }
    }

    /// Why this entry must not be applied here.
    pub(super) fn why_not(&self, node: &NodeName, entry: &Entry) -> Option<String> {
        if node == self.here {
            return Some("it is this node itself".to_owned());
        }
        if entry.addresses.is_empty() {
            return Some("it names no address: nothing would be refused".to_owned());
        }
        entry.addresses.iter().find_map(|address| Some(format!("{address} {}", self.why_no_target(node, *address)?)))
    }

    fn why_no_target(&self, node: &NodeName, address: IpAddr) -> Option<String> {
        let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
        if address.is_loopback() || address.is_unspecified() || address.is_multicast() || broadcast {
            return Some("is no address of a node".to_owned());
        }
        // An address that cannot be looked for may be this host's.
        if addresses::has(address, None).unwrap_or(true) {
            return Some("is an address of this host".to_owned());
        }
        if self.master_ip == Some(address) {
            return Some("is the cluster's master IP".to_owned());
        }
        // Refused, it could no longer be asked to switch its node off.
        if self.devices.contains(&address) {
            return Some("is a BMC's in config.toml".to_owned());
        }
        if self.shun.protected.iter().any(|network| network.contains(address)) {
            return Some("is protected in config.toml".to_owned());
        }
        let owners = self.owners.get(&address)?;
        (!owners.contains(node)).then(|| {
            let names: Vec<&str> = owners.iter().map(NodeName::as_str).collect();
            format!("is {}'s in Ganeti", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use crate::core::grade::Grade;
    use crate::core::shun::register::{Epoch, Reach};

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    fn entry(addresses: &[&str]) -> Entry {
        Entry {
            epoch: Epoch(1),
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            reach: Reach::Everything,
            grade: Grade::Isolated,
            boot_id: None,
            since_ms: 1,
            by: "a test".into(),
        }
    }

    /// "Never cuts itself off."
    #[test]
    fn what_would_cut_this_host_or_another_off_is_no_target() {
        let data = tempfile::tempdir().unwrap();
        for (key, text) in [
            ("node_primary_ips", "n1 198.18.0.1\nn2 198.18.0.2\nn3 198.18.0.3\n"),
            ("node_secondary_ips", "n1 198.51.100.1\nn3 198.51.100.3\n"),
            ("master_ip", "198.18.0.100\n"),
        ] {
            std::fs::write(data.path().join(format!("ssconf_{key}")), text).unwrap();
        }
        let text = r#"
            [shun]
            protected = ["203.0.113.0/24"]
            [devices.bmc]
            driver = "ipmi"
            address = "{bmc}"
            username = "fence"
            password_file = "/etc/gnt-ha/bmc.password"
            [devices.chassis]
            driver = "ipmi"
            address = "2001:db8::b"
            username = "fence"
            password_file = "/etc/gnt-ha/bmc.password"
            [nodes.n3]
            levels = [["bmc"]]
            values = { bmc = "192.0.2.3" }
        "#;
        let config = Config::parse(text, Path::new("config.toml")).unwrap();
        let (here, ssconf) = (name("n1"), Ssconf::new(data.path()));
        let protected = Protected::new(&config, &here, &ssconf);
        let why =
            |node: &str, addresses: &[&str]| protected.why_not(&name(node), &entry(addresses)).unwrap_or_default();
        assert_eq!(why("n3", &["198.18.0.3", "198.51.100.3", "2001:db8::3"]), "");
        assert!(why("n1", &["198.18.0.1"]).contains("this node itself"));
        assert!(why("n3", &[]).contains("no address"));
        assert!(why("n3", &["127.0.0.1"]).contains("no address of a node"));
        assert!(why("n3", &["224.0.0.1"]).contains("no address of a node"));
        assert!(why("n3", &["255.255.255.255"]).contains("no address of a node"));
        assert!(why("n3", &["198.18.0.100"]).contains("master IP"));
        assert!(why("n3", &["203.0.113.7"]).contains("protected"));
        assert!(why("n3", &["192.0.2.3"]).contains("a BMC's"));
        assert!(why("n3", &["198.18.0.3", "2001:db8::b"]).contains("a BMC's"));
        assert!(why("n3", &["198.18.0.2"]).contains("n2's in Ganeti"));
    }
}
