//! Decides which machine a device switches, so that one machine belongs to one node; touches nothing. Fencing a node
//! whose BMC or outlet is also another node's would switch off the other node, and prove the wrong one off.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;

use super::agents::{is_board, kind_of};
use super::{Config, Driver, Level};
use crate::core::ganeti::config::{GanetiConfig, Node};
use crate::core::ganeti::oob::is_ours;
use crate::core::node::NodeName;
use crate::core::power::reading::ReadingSubject;

/// The addresses of host names, as far as they could be resolved; names in lower case.
pub type Resolved = BTreeMap<String, BTreeSet<IpAddr>>;

/// Two nodes whose devices switch one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedMachine {
    /// The two nodes, by their names in Ganeti.
    pub nodes: [NodeName; 2],
    /// The name of the device of each node, in the order of `nodes`.
    pub devices: [String; 2],
    /// The machine, as text for the message.
    pub machine: String,
}

impl fmt::Display for SharedMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes: [one, other], devices: [first, second], machine } = self;
        write!(f, "{one} (device {first}) and {other} (device {second}) have one machine: {machine}")
    }
}

/// The options of fence agents that decide how a device is asked, not which device (fence-agents 4.12,
/// `lib/fencing.py.py`).
const HOW: [&str; 54] = [
    "api_path",
    "auth",
    "cipher",
    "cmd_prompt",
    "command_prompt",
    "community",
    "debug",
    "debug_file",
    "delay",
    "diag",
    "disable_ssl",
    "disable_timeout",
    "filter",
    "gnutlscli_path",
    "help",
    "hexadecimal_kg",
    "identity_file",
    "inet4_only",
    "inet6_only",
    "ipmitool_path",
    "ipmitool_timeout",
    "lanplus",
    "login",
    "login_timeout",
    "method",
    "missing_as_off",
    "notls",
    "password",
    "passwd",
    "plug_separator",
    "port_as_ip",
    "power_timeout",
    "power_wait",
    "privlvl",
    "quiet",
    "retry_on",
    "secure",
    "separator",
    "shell_timeout",
    "ssh",
    "ssh_options",
    "ssh_path",
    "ssl",
    "ssl_insecure",
    "ssl_secure",
    "stonith_status_sleep",
    "sudo_path",
    "telnet_path",
    "timeout",
    "tls1_0",
    "use_sudo",
    "username",
    "verbose",
    "verbose_level",
];

/// The class of a board, which is one machine under any plug.
const BOARD: &str = "board";

/// The protocols of boards that several drivers and agents speak.
const IPMI: &str = "ipmi";
const REDFISH: &str = "redfish";

/// Returns the protocol of a board's fence agent, by its file name; that name for an agent with a protocol of its own.
fn protocol_of(agent: &str) -> String {
    match agent {
        "fence_redfish" => REDFISH,
        // The agents that fence-agents makes of `fence_ipmilan`.
        "fence_ipmilan" | "fence_ipmilanplus" | "fence_idrac" | "fence_ilo3" | "fence_ilo4" | "fence_ilo5"
        | "fence_imm" => IPMI,
        other => other,
    }
    .to_owned()
}

/// Returns a property of a board in the form in which it is compared.
fn plain(name: &str, value: &str) -> String {
    match name {
        "uuid" => value.replace('-', ""),
        _ => value.trim_end_matches('/').to_owned(),
    }
}

/// The properties that distinguish one machine from another.
struct Identity {
    /// The class of the device at an address: a board, an outlet, or another agent by its name.
    class: String,
    address: Option<String>,
    /// The port; `None` for a usual one ([`unusual`]).
    port: Option<u16>,
    /// The protocol of a board: the ports of two protocols cannot be compared. Empty for other devices.
    protocol: String,
    which: BTreeMap<String, String>,
    words: String,
}

impl Identity {
    /// Returns the identity; `None` for a driver that receives the name of the node.
    fn of(driver: &Driver) -> Option<Self> {
        match driver {
            Driver::Ipmi(bmc) => Some(Self {
                class: BOARD.to_owned(),
                address: Some(bmc.address.clone()),
                port: unusual(bmc.port),
                protocol: IPMI.to_owned(),
                which: BTreeMap::new(),
                words: format!("the BMC at {} port {}", bmc.address, bmc.port),
            }),
            Driver::Redfish(bmc) => {
                let parts = [("systems_uri", &bmc.system), ("serial_number", &bmc.serial_number), ("uuid", &bmc.uuid)];
                let which = parts
                    .into_iter()
                    .filter_map(|(name, value)| Some((name.to_owned(), value.as_ref()?.trim().to_ascii_lowercase())));
                let which: BTreeMap<String, String> = which.collect();
                let system = which.values().map(|value| format!(", system {value}")).collect::<String>();
                Some(Self {
                    class: BOARD.to_owned(),
                    address: Some(bmc.address.clone()),
                    port: unusual(bmc.port),
                    protocol: REDFISH.to_owned(),
                    words: format!("the BMC at {} port {}{system}", bmc.address, bmc.port),
                    which,
                })
            }
            Driver::Agent(agent) => {
                let options = agent.options.iter().map(|(name, value)| (name.clone(), value.text()));
                Some(Self::of_agent(&agent.agent, &options.collect()))
            }
            Driver::Exec(_) | Driver::Shun => None,
        }
    }

    fn of_agent(agent: &str, options: &BTreeMap<String, String>) -> Self {
        let file = agent.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        let as_ip = options.iter().any(|(name, value)| {
            name.replace('-', "_") == "port_as_ip" && ["1", "yes", "on", "true"].contains(&value.as_str())
        });
        let mut which = BTreeMap::new();
        for (name, value) in options {
            let name = canonical(name);
            if !HOW.contains(&name.as_str()) && !name.starts_with("snmp_") {
                which.insert(name, value.trim().to_ascii_lowercase());
            }
        }
        let words: Vec<String> = which.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let words = format!("{file} {}", words.join(" "));
        let address = which.remove("ip");
        let address = if as_ip { which.remove("plug").or(address) } else { address };
        let port = which.remove("ipport").and_then(|port| port.parse().ok()).and_then(unusual);
        let is_outlet = kind_of(&file).sees == ReadingSubject::Feed;
        let mut protocol = String::new();
        let class = if is_board(&file) {
            // A board is one machine, with any plug.
            which.remove("plug");
            protocol = protocol_of(&file);
            BOARD.to_owned()
        } else if is_outlet {
            "outlet".to_owned()
        } else {
            file
        };
        if let Some(plug) = which.get("plug") {
            let plug = if is_outlet { plug.strip_prefix("1:").unwrap_or(plug) } else { plug };
            let number = plug.parse::<u32>().map_or_else(|_| plug.to_owned(), |number| number.to_string());
            which.insert("plug".to_owned(), number);
        }
        if is_outlet && which.get("switch").is_some_and(|switch| switch == "1") {
            which.remove("switch");
        }
        Self { class, address, port, protocol, which, words }
    }

    /// Returns the identity without its address: only devices with the same text can be one machine. Two boards at one
    /// address are compared further ([`Self::is_of_another`]).
    fn kind(&self) -> String {
        match self.class.as_str() {
            BOARD => self.class.clone(),
            _ => format!("{} {:?} {:?}", self.class, self.port, self.which),
        }
    }

    /// Returns whether a board is another one than `other`, which is at the same address: by a property that both have. A
    /// host that is moved from one driver to another has a property that the other has not.
    ///
    /// Two ports of one protocol are forwarded to two boards. A board that has an address to itself has one protocol at its
    /// usual port, and may have another at any port.
    fn is_of_another(&self, other: &Self) -> bool {
        let are_forwarded = self.port.is_some() && other.port.is_some();
        if self.class == BOARD && self.port != other.port && (self.protocol == other.protocol || are_forwarded) {
            return true;
        }
        let differs = |(name, value): (&String, &String)| {
            other.which.get(name).is_some_and(|theirs| plain(name, theirs) != plain(name, value))
        };
        self.class == BOARD && self.which.iter().any(differs)
    }

    /// Returns the keys of the identity: two identities with a common key are one machine, unless they are boards that
    /// differ.
    fn keys(&self, resolved: &Resolved) -> BTreeSet<String> {
        self.keys_of(&self.kind(), resolved)
    }

    fn keys_of(&self, kind: &str, resolved: &Resolved) -> BTreeSet<String> {
        let Some(address) = &self.address else { return [kind.to_owned()].into() };
        let name = name_of(address);
        let literal = name.parse::<IpAddr>().map(|address| address.to_canonical()).ok();
        let all = resolved.get(&name).into_iter().flatten().map(IpAddr::to_canonical).chain(literal);
        let all = all.map(|address| format!("{address} {kind}"));
        all.chain(literal.is_none().then(|| format!("{name} {kind}"))).collect()
    }
}

/// Returns the keys of the machine that an agent switches with these options. Two machines with a common key are the
/// same. Host names are not resolved.
#[must_use]
pub fn machine_of_agent(agent: &str, options: &BTreeMap<String, String>) -> BTreeSet<String> {
    let identity = Identity::of_agent(agent, options);
    let kind = format!("{} {:?} {:?}", identity.class, identity.port, identity.which);
    identity.keys_of(&kind, &Resolved::new())
}

/// Returns the present name of an option that also has an old one (`lib/fencing.py.py`, `DEPENDENCY_OPT` and
/// "deprecated").
pub fn canonical(option: &str) -> String {
    match option.to_ascii_lowercase().replace('-', "_").as_str() {
        "ipaddr" => "ip".to_owned(),
        "port" => "plug".to_owned(),
        other => other.to_owned(),
    }
}

fn name_of(address: &str) -> String {
    address.trim().trim_end_matches('.').to_ascii_lowercase()
}

/// Returns the port, unless boards and power strips are found there by default.
fn unusual(port: u16) -> Option<u16> {
    (![22, 23, 80, 161, 443, 623].contains(&port)).then_some(port)
}

/// Returns the host names that have to be resolved to compare the machines of these nodes. With `of`, they are only
/// those of machines that this node could share.
#[must_use]
pub fn names_to_resolve(nodes: &[(NodeName, Vec<Level>)], of: Option<&NodeName>) -> BTreeSet<String> {
    let identities = |levels: &[Level]| -> Vec<Identity> {
        levels.iter().flatten().filter_map(|device| Identity::of(&device.driver)).collect()
    };
    let own: Option<BTreeSet<String>> = of.map(|of| {
        let own = nodes.iter().filter(|(node, _)| node == of);
        own.flat_map(|(_, levels)| identities(levels)).map(|identity| identity.kind()).collect()
    });
    let all = nodes.iter().flat_map(|(_, levels)| identities(levels));
    let comparable = all.filter(|identity| own.as_ref().is_none_or(|own| own.contains(&identity.kind())));
    let names: BTreeSet<String> = comparable.filter_map(|identity| Some(name_of(identity.address.as_ref()?))).collect();
    names.into_iter().filter(|name| name.parse::<IpAddr>().is_err()).collect()
}

/// Returns the nodes that `ganeti-oob` switches, each with its levels. A node without levels is left out.
#[must_use]
pub fn with_levels(ganeti: &GanetiConfig, config: &Config) -> Vec<(NodeName, Vec<Level>)> {
    let is_ours = |node: &&Node| node.oob_program.as_deref().is_none_or(is_ours);
    let nodes = ganeti.nodes().iter().filter(is_ours);
    nodes.filter_map(|node| Some((node.name.clone(), config.levels_of(&node.name).ok()?))).collect()
}

/// A node that has the machine, with the device and the identity by which it has it.
struct Owner<'a> {
    node: &'a NodeName,
    device: &'a str,
    identity: Rc<Identity>,
}

/// Returns each node that has the machine of an earlier node, with that node. A host name that was not resolved is
/// compared as it is written. A device that receives the node's name belongs to that node.
#[must_use]
pub fn shared(nodes: &[(NodeName, Vec<Level>)], resolved: &Resolved) -> Vec<SharedMachine> {
    let mut owners: BTreeMap<String, Vec<Owner<'_>>> = BTreeMap::new();
    let mut found: Vec<SharedMachine> = Vec::new();
    for (node, levels) in nodes {
        for device in levels.iter().flatten() {
            let Some(identity) = Identity::of(&device.driver).map(Rc::new) else { continue };
            for key in identity.keys(resolved) {
                let known = owners.entry(key).or_default();
                let owner = known.iter().find(|owner| !identity.is_of_another(&owner.identity));
                match owner {
                    None => {}
                    Some(owner) if owner.node == node => continue,
                    Some(owner) => {
                        let nodes = [owner.node.clone(), node.clone()];
                        if found.iter().all(|shared| shared.nodes != nodes) {
                            let devices = [owner.device.to_owned(), device.name.clone()];
                            found.push(SharedMachine { nodes, devices, machine: identity.words.clone() });
                        }
                    }
                }
                known.push(Owner { node, device: &device.name, identity: Rc::clone(&identity) });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
