//! Decides which addresses are never shunned, so that this host cuts off neither itself nor another host. It reads
//! Ganeti's files, the configuration and this host's addresses, gateways and name servers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::core::config::{Config, ShunConfig};
use crate::core::node::NodeName;
use crate::core::shun::list::ShunEntry;
use crate::sys::addresses;
use crate::sys::ganeti::ssconf::Ssconf;

/// The addresses that are never shunned, and the owners of the others.
#[derive(Debug)]
pub(super) struct Protected<'a> {
    shun: &'a ShunConfig,
    here: &'a NodeName,
    /// This host's own addresses; `None` if they cannot be read.
    own: Option<BTreeSet<IpAddr>>,
    owners: BTreeMap<IpAddr, BTreeSet<NodeName>>,
    master_ip: Option<IpAddr>,
    devices: BTreeSet<IpAddr>,
    services: BTreeSet<IpAddr>,
}

impl<'a> Protected<'a> {
    /// Reads the addresses from Ganeti's files on this host, the configuration and the system. A file of Ganeti that
    /// cannot be read protects none.
    pub(super) fn new(config: &'a Config, here: &'a NodeName, ssconf: &Ssconf) -> Self {
        let mut owners: BTreeMap<IpAddr, BTreeSet<NodeName>> = BTreeMap::new();
        for key in ["node_primary_ips", "node_secondary_ips"] {
            for (name, address) in ssconf.name_addresses(key).unwrap_or_default() {
                owners.entry(address).or_default().insert(name);
            }
        }
        let master_ip = ssconf.addresses("master_ip").unwrap_or_default().into_iter().next();
        let (own, devices) = (addresses::all().ok(), config.device_addresses());
        Self { shun: &config.shun, here, own, owners, master_ip, devices, services: services() }
    }

    /// Returns why this entry must not be applied here; `None` if it may.
    pub(super) fn objection(&self, node: &NodeName, entry: &ShunEntry) -> Option<String> {
        if node == self.here {
            return Some("it is this node itself".to_owned());
        }
        if entry.addresses.is_empty() {
            return Some("it has no address: nothing would be shunned".to_owned());
        }
        entry.addresses.iter().find_map(|address| Some(format!("{address} {}", self.why_no_target(node, *address)?)))
    }

    /// Returns why one of the addresses of an earlier entry is not shunned; `None` if all are.
    pub(super) fn why_in_part(&self, node: &NodeName, entry: &ShunEntry) -> Option<String> {
        entry.addresses.iter().find_map(|address| Some(format!("{address} {}", self.why_left_out(node, *address)?)))
    }

    fn why_no_target(&self, node: &NodeName, address: IpAddr) -> Option<String> {
        // While this host's own addresses are unknown, any address may be one of them.
        if self.own.is_none() {
            return Some("may be an address of this host".to_owned());
        }
        self.why_left_out(node, address)
    }

    /// Returns why an address of an earlier entry is not shunned any more: another host has it by now. An address that
    /// is unknown stays in the rules.
    pub(super) fn why_left_out(&self, node: &NodeName, address: IpAddr) -> Option<String> {
        let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
        if address.is_loopback() || address.is_unspecified() || address.is_multicast() || broadcast {
            return Some("is not an address of a node".to_owned());
        }
        if self.own.as_ref().is_some_and(|own| own.contains(&address)) {
            return Some("is an address of this host".to_owned());
        }
        if self.master_ip == Some(address) {
            return Some("is the cluster's master IP".to_owned());
        }
        // A BMC that is shunned could no longer be asked to switch its node off.
        if self.devices.contains(&address) {
            return Some("is a BMC's in config.toml".to_owned());
        }
        if self.shun.protected.iter().any(|network| network.contains(address)) {
            return Some("is protected in config.toml".to_owned());
        }
        let Some(owners) = self.owners.get(&address) else {
            // An address that Ganeti does not know may have been given to another host since.
            let is_service = self.services.contains(&address);
            return is_service.then(|| "is a gateway or name server of this host".to_owned());
        };
        (!owners.contains(node)).then(|| {
            let names: Vec<&str> = owners.iter().map(NodeName::as_str).collect();
            format!("is {}'s in Ganeti", names.join(", "))
        })
    }
}

/// Reads this host's default gateways and name servers. A file that cannot be read names none.
fn services() -> BTreeSet<IpAddr> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (v4, v6) = (read("/proc/net/route"), read("/proc/net/ipv6_route"));
    let gateways = v4.lines().filter_map(gateway).chain(v6.lines().filter_map(gateway_v6));
    let servers = read("/etc/resolv.conf");
    let servers = servers.lines().filter_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok());
    gateways.chain(servers).collect()
}

/// Parses the gateway from a line of `/proc/net/route` (`proc_pid_net(5)`): hexadecimal, in the host's byte order.
fn gateway(line: &str) -> Option<IpAddr> {
    let mut fields = line.split_whitespace().skip(1);
    let (to, by) = (fields.next()?, fields.next()?);
    let by = u32::from_str_radix(by, 16).ok().filter(|by| *by != 0 && to == "00000000")?;
    Some(IpAddr::from(by.to_ne_bytes()))
}

/// Parses the gateway from a line of `/proc/net/ipv6_route`: 32 hexadecimal digits in the network's byte order.
fn gateway_v6(line: &str) -> Option<IpAddr> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (to, length, by) = (fields.first()?, fields.get(1)?, fields.get(4)?);
    let by = u128::from_str_radix(by, 16).ok().filter(|by| *by != 0)?;
    (to.bytes().all(|digit| digit == b'0') && *length == "00").then(|| IpAddr::from(by.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    use crate::core::grade::Grade;
    use crate::core::shun::list::{Epoch, ShunScope};

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    fn entry(addresses: &[&str]) -> ShunEntry {
        ShunEntry {
            epoch: Epoch(1),
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            scope: ShunScope::All,
            grade: Grade::Isolated,
            boot_id: None,
            since_ms: 1,
            by: "a test".into(),
        }
    }

    /// A gateway or a name server is shunned only if Ganeti has its address as that of the node.
    #[test]
    fn gateways_and_name_servers_are_read_as_the_kernel_shows_them() {
        let of = |gateway: Option<IpAddr>| gateway.map(|gateway| gateway.to_string()).unwrap_or_default();
        let hex = format!("{:08X}", u32::from_ne_bytes([192, 0, 2, 254]));
        assert_eq!(of(gateway(&format!("eth0\t00000000\t{hex}\t0003\t0"))), "192.0.2.254");
        assert_eq!(of(gateway(&format!("eth0\t000200C0\t{hex}\t0003\t0"))), "");
        assert_eq!(of(gateway("Iface\tDestination\tGateway \tFlags")), "");
        let zero = "0".repeat(32);
        let line = |by: &str| format!("{zero} 00 {zero} 00 {by} 00000400 00000001 00000000 00000003 eth0");
        assert_eq!(of(gateway_v6(&line("20010db80000000000000000000000fe"))), "2001:db8::fe");
        assert_eq!(of(gateway_v6(&line(&zero))), "");
        assert_eq!(of(gateway_v6("")), "");
    }

    /// This host never cuts off itself, nor a host that was not meant.
    #[test]
    fn an_address_of_this_host_or_of_another_is_never_shunned() {
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
        let mut protected = Protected::new(&config, &here, &ssconf);
        protected.services = ["198.18.0.3", "2001:db8::fe"].map(|text| text.parse().unwrap()).into();
        let why =
            |node: &str, addresses: &[&str]| protected.objection(&name(node), &entry(addresses)).unwrap_or_default();
        assert_eq!(why("n3", &["198.18.0.3", "198.51.100.3", "2001:db8::3"]), "");
        assert!(why("n3", &["2001:db8::fe"]).contains("gateway"));
        assert!(why("n1", &["198.18.0.1"]).contains("this node itself"));
        assert!(why("n3", &[]).contains("no address"));
        assert!(why("n3", &["127.0.0.1"]).contains("not an address of a node"));
        assert!(why("n3", &["224.0.0.1"]).contains("not an address of a node"));
        assert!(why("n3", &["255.255.255.255"]).contains("not an address of a node"));
        assert!(why("n3", &["198.18.0.100"]).contains("master IP"));
        assert!(why("n3", &["203.0.113.7"]).contains("protected"));
        assert!(why("n3", &["192.0.2.3"]).contains("a BMC's"));
        assert!(why("n3", &["198.18.0.3", "2001:db8::b"]).contains("a BMC's"));
        assert!(why("n3", &["198.18.0.2"]).contains("n2's in Ganeti"));
    }
}
