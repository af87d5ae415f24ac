//! Makes the networks of a lab from namespaces, bridges and cables.
//!
//! A "switch" namespace holds one bridge for each network and, on the third, the addresses of the BMCs; each host has a
//! namespace with one cable (veth) into the first two. A filter of the switch drops the packets from one host to another
//! if a test requests that.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::command::tool;
use crate::error::Result;
use crate::qnetd;

/// One of a lab's networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// eth0: names resolve to it; corosync and Ganeti use it. 192.0.2.0/24, 2001:db8:0:2::/64.
    Primary,
    /// eth1: Ganeti's secondary addresses. 198.51.100.0/24, 2001:db8:0:100::/64.
    Secondary,
    /// The network of the BMCs, routed from the primary one. 203.0.113.0/24.
    Bmc,
}

impl Network {
    /// Returns the address of host number `index` (from 1) in this network.
    pub(crate) fn address(self, index: u8) -> String {
        format!("{}.{index}", self.prefix())
    }

    /// Returns the IPv6 address of host number `index`; the BMCs have none.
    pub(crate) fn address6(self, index: u8) -> Option<String> {
        match self {
            Self::Primary => Some(format!("2001:db8:0:2::{index}")),
            Self::Secondary => Some(format!("2001:db8:0:100::{index}")),
            Self::Bmc => None,
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Primary => "192.0.2",
            Self::Secondary => "198.51.100",
            Self::Bmc => "203.0.113",
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
            Self::Bmc => "bmc",
        })
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        [Self::Primary, Self::Secondary, Self::Bmc]
            .into_iter()
            .find(|n| n.to_string() == text)
            .ok_or_else(|| "a network is primary, secondary or bmc".into())
    }
}

const SWITCH: &str = "switch";
/// The master IP: the cluster's own address in the primary network.
pub(crate) const CLUSTER: &str = "192.0.2.100";

fn namespace(lab: &str, part: &str) -> String {
    format!("gntha-{lab}-{part}")
}

/// Returns the file of a namespace (ip-netns(8)).
fn file(lab: &str, part: &str) -> PathBuf {
    Path::new("/run/netns").join(namespace(lab, part))
}

pub(crate) fn host_file(lab: &str, host: &str) -> PathBuf {
    file(lab, host)
}

pub(crate) fn switch_file(lab: &str) -> PathBuf {
    file(lab, SWITCH)
}

/// Returns the namespaces of this lab that exist, the switch first.
pub(crate) fn existing(lab: &str) -> Vec<PathBuf> {
    let hosts = (1..=7).map(|i| format!("n{i}"));
    let parts = std::iter::once(SWITCH.to_owned()).chain(hosts).chain(std::iter::once(qnetd::NAME.to_owned()));
    parts.map(|part| file(lab, &part)).filter(|path| path.exists()).collect()
}

pub(crate) fn delete(namespace: &Path) -> Result<()> {
    let Some(name) = namespace.file_name().and_then(|n| n.to_str()) else { return Ok(()) };
    tool("delete a network namespace", &["ip", "netns", "del", name], "").map(drop)
}

fn batch(lab: &str, part: &str, lines: &str) -> Result<()> {
    let namespace = namespace(lab, part);
    tool("set up the network", &["ip", "-n", &namespace, "-batch", "-"], lines).map(drop)
}

pub(crate) fn create_switch(lab: &str, hosts: u8) -> Result<()> {
    tool("make the switch", &["ip", "netns", "add", &namespace(lab, SWITCH)], "")?;
    let mut lines = String::from("link set lo up\n");
    for (number, network) in [Network::Primary, Network::Secondary, Network::Bmc].into_iter().enumerate() {
        // A bridge without an address of its own takes that of a port, and changes it when ports come or go: the hosts
        // would not reach the BMCs until they had resolved the new address.
        let mac = format!("02:00:00:00:{number:02x}:fe");
        let address = network.address(254);
        lines += &format!("link add {network} address {mac} type bridge\n");
        lines += &format!("addr add {address}/24 dev {network}\nlink set {network} up\n");
    }
    for index in 1..=hosts {
        lines += &format!("addr add {}/32 dev bmc\n", Network::Bmc.address(index));
    }
    batch(lab, SWITCH, &lines)?;
    nft(lab, FILTER)
}

/// Drops packets between pairs of ports: a packet that arrives at the first does not leave by the second.
const FILTER: &str = "\
add table bridge lab
add set bridge lab blocked { type ifname . ifname; }
add chain bridge lab forward { type filter hook forward priority 0; policy accept; }
add rule bridge lab forward iifname . oifname @blocked drop
";

fn nft(lab: &str, lines: &str) -> Result<()> {
    let switch = format!("--net={}", switch_file(lab).display());
    tool("set the switch's filter", &["nsenter", &switch, "nft", "-f", "-"], lines).map(drop)
}

/// Replaces, in one step, the pairs of hosts between which the switch drops packets, in both networks.
pub(crate) fn block(lab: &str, pairs: &[(String, String)]) -> Result<()> {
    let mut lines = String::from("flush set bridge lab blocked\n");
    for (from, to) in pairs {
        for network in [Network::Primary, Network::Secondary] {
            lines += &format!("add element bridge lab blocked {{ \"{from}-{network}\" . \"{to}-{network}\" }}\n");
        }
    }
    nft(lab, &lines)
}

/// Makes a host's cables for a new boot: no address and no filter rule of an earlier boot is left. The host brings up its
/// own ends when it boots.
pub(crate) fn connect(lab: &str, host: &str, index: u8, cuts: &[Network]) -> Result<()> {
    forget(lab, host)?;
    let own = namespace(lab, host);
    tool("make a host's network", &["ip", "netns", "add", &own], "")?;
    let (mut switch, mut inside) = (String::new(), String::from("link set lo up\n"));
    for (number, network) in [Network::Primary, Network::Secondary].into_iter().enumerate() {
        // A network card keeps its address over a power cycle, and the neighbours rely on that.
        let mac = format!("02:00:00:00:{number:02x}:{index:02x}");
        switch += &format!("link add {host}-{network} type veth peer name eth{number} address {mac} netns {own}\n");
        switch += &format!("link set {host}-{network} master {network}\n");
        if !cuts.contains(&network) {
            switch += &format!("link set {host}-{network} up\n");
        }
        inside += &format!("addr add {}/24 dev eth{number}\n", network.address(index));
    }
    batch(lab, SWITCH, &switch)?;
    batch(lab, host, &inside)
}

/// Brings up a host's own ends of its cables. To be called on the host.
pub(crate) fn raise(index: u8) -> Result<()> {
    let mut lines = String::new();
    for (number, network) in [Network::Primary, Network::Secondary].into_iter().enumerate() {
        lines += &format!("link set eth{number} up\n");
        if let Some(address) = network.address6(index) {
            lines += &format!("addr add {address}/64 dev eth{number} nodad\n");
        }
    }
    lines += &format!("route add {}.0/24 via {}\n", Network::Bmc.prefix(), Network::Primary.address(254));
    tool("bring up the network", &["ip", "-batch", "-"], &lines).map(drop)
}

/// Brings up a host's own ends from outside, for a host that does not boot.
pub(crate) fn raise_outside(lab: &str, host: &str) -> Result<()> {
    batch(lab, host, "link set eth0 up\nlink set eth1 up\n")
}

/// Returns the number of a host from its short name.
pub(crate) fn index(host: &str) -> Option<u8> {
    host.strip_prefix('n').and_then(|n| n.parse().ok()).filter(|n| (1..=7).contains(n))
}

/// Removes a host's namespace and its cables. The kernel alone would remove the cables later.
fn forget(lab: &str, host: &str) -> Result<()> {
    let own = file(lab, host);
    if own.exists() {
        let lines = format!("link del {host}-primary\nlink del {host}-secondary\n");
        let _ = batch(lab, SWITCH, &lines);
        delete(&own)?;
    }
    Ok(())
}

/// Takes the link from both cables: the other hosts see the same of a host without power.
pub(crate) fn silence(lab: &str, host: &str) -> Result<()> {
    batch(lab, SWITCH, &format!("link set {host}-primary down\nlink set {host}-secondary down\n"))
}

/// Unplugs or plugs in one cable.
pub(crate) fn set_link(lab: &str, host: &str, index: u8, network: Network, up: bool) -> Result<()> {
    let lines = match network {
        // Without the address the switch drops the packets for the BMC, as if the BMC had failed.
        Network::Bmc => format!("addr {} {}/32 dev bmc\n", if up { "add" } else { "del" }, network.address(index)),
        _ => format!("link set {host}-{network} {}\n", if up { "up" } else { "down" }),
    };
    batch(lab, SWITCH, &lines)
}

/// Returns the text of `/etc/hosts`, which is the same on all hosts.
pub(crate) fn hosts_file(hosts: u8) -> String {
    let mut text = String::from("127.0.0.1 localhost\n");
    for i in 1..=hosts {
        text += &format!("{} n{i}.lab n{i}\n", Network::Primary.address(i));
        text += &format!("{} n{i}-secondary.lab\n", Network::Secondary.address(i));
        text += &format!("{} n{i}-bmc.lab n{i}-bmc\n", Network::Bmc.address(i));
    }
    text + &format!("{CLUSTER} cluster.lab\n")
}
