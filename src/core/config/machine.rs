//! Decides which machine a device switches, so that one machine belongs to one node; touches nothing. Fencing a node
//! whose BMC or outlet is also another node's would switch off the other node, and prove the wrong one off.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

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

/// The properties that distinguish one machine from another.
struct Identity {
    /// The class of the device at an address: a board, an outlet, or another agent by its name.
    class: String,
    address: Option<String>,
    /// The port; `None` for a usual one ([`unusual`]).
    port: Option<u16>,
    which: BTreeMap<String, String>,
    words: String,
}

impl Identity {
    /// Returns the identity; `None` for a driver that receives the name of the node.
    fn of(driver: &Driver) -> Option<Self> {
        match driver {
            Driver::Ipmi(bmc) => Some(Self {
                class: "board".to_owned(),
                address: Some(bmc.address.clone()),
                port: unusual(bmc.port),
                which: BTreeMap::new(),
                words: format!("the BMC at {} port {}", bmc.address, bmc.port),
            }),
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
        let class = if is_board(&file) {
            // A board is one machine, with any plug.
            which.remove("plug");
            "board".to_owned()
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
        Self { class, address, port, which, words }
    }

    /// Returns the identity without its address: only devices with the same text can be one machine.
    fn kind(&self) -> String {
        format!("{} {:?} {:?}", self.class, self.port, self.which)
    }

    /// Returns the keys of the identity: two identities with a common key are one machine.
    fn keys(&self, resolved: &Resolved) -> BTreeSet<String> {
        let kind = self.kind();
        let Some(address) = &self.address else { return [kind].into() };
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
    Identity::of_agent(agent, options).keys(&Resolved::new())
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

/// Returns each node that has the machine of an earlier node, with that node. A host name that was not resolved is
/// compared as it is written. A device that receives the node's name belongs to that node.
#[must_use]
pub fn shared(nodes: &[(NodeName, Vec<Level>)], resolved: &Resolved) -> Vec<SharedMachine> {
    let mut owners: BTreeMap<String, (&NodeName, &str)> = BTreeMap::new();
    let mut found: Vec<SharedMachine> = Vec::new();
    for (node, levels) in nodes {
        for device in levels.iter().flatten() {
            let Some(identity) = Identity::of(&device.driver) else { continue };
            for key in identity.keys(resolved) {
                let (owner, named) = *owners.entry(key).or_insert((node, &device.name));
                let is_known = || found.iter().any(|shared| shared.nodes == [owner.clone(), node.clone()]);
                if owner != node && !is_known() {
                    found.push(SharedMachine {
                        nodes: [owner.clone(), node.clone()],
                        devices: [named.to_owned(), device.name.clone()],
                        machine: identity.words.clone(),
                    });
                }
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

    fn nodes(text: &str, names: &[&str]) -> Vec<(NodeName, Vec<Level>)> {
        let config = Config::parse(text, Path::new("config.toml")).unwrap();
        let node = |name: &&str| NodeName::new(name).unwrap();
        names.iter().map(|name| (node(name), config.levels_of(&node(name)).unwrap())).collect()
    }

    fn pairs(text: &str, names: &[&str], resolved: &[(&str, &str)]) -> Vec<String> {
        let resolved: Resolved =
            resolved.iter().map(|(name, address)| ((*name).to_owned(), [address.parse().unwrap()].into())).collect();
        let found = shared(&nodes(text, names), &resolved);
        found.into_iter().map(|SharedMachine { nodes: [one, other], .. }| format!("{one} {other}")).collect()
    }

    fn bmc(name: &str, address: &str) -> String {
        format!(
            "[devices.{name}]\ndriver = \"ipmi\"\naddress = \"{address}\"\nusername = \"u\"\npassword_file = \"/p\"\n"
        )
    }

    fn agent(name: &str, agent: &str, options: &str) -> String {
        format!("[devices.{name}]\ndriver = \"agent\"\nagent = \"{agent}\"\noptions = {{ {options} }}\n")
    }

    /// A template with the short name gives one BMC to two hosts of different domains.
    #[test]
    fn a_template_that_gives_two_nodes_one_machine_is_found() {
        let text = bmc("bmc", "{short}-bmc") + "[default]\nlevels = [[\"bmc\"]]\n";
        assert_eq!(pairs(&text, &["web.site-a", "db.site-a", "web.site-b"], &[]), ["web.site-a web.site-b"]);
        let text = agent("pdu", "fence_apc", "ip = \"pdu\", plug = \"{outlet}\"")
            + "[nodes.\"rack1-*\"]\nlevels = [[\"pdu\"]]\nvalues = { outlet = \"3\" }\n";
        assert_eq!(pairs(&text, &["rack1-1", "rack1-2", "rack1-3"], &[]), ["rack1-1 rack1-2", "rack1-1 rack1-3"]);
    }

    fn two(one: &str, other: &str) -> String {
        format!("{one}{other}[nodes.n1]\nlevels = [[\"one\"]]\n[nodes.n2]\nlevels = [[\"other\"]]\n")
    }

    /// Two names with one address are one machine; so are two spellings of a name, an address, an option or an outlet,
    /// and a BMC that two drivers ask.
    #[test]
    fn one_machine_under_two_names_is_found() {
        let resolved = [("a", "192.0.2.1"), ("b", "192.0.2.1"), ("c", "192.0.2.9")];
        let same = [
            (bmc("one", "a"), bmc("other", "b")),
            (bmc("one", "a"), bmc("other", "192.0.2.1")),
            (bmc("one", "::ffff:192.0.2.1"), bmc("other", "192.0.2.1")),
            (bmc("one", "BMC.lab"), bmc("other", "bmc.lab")),
            (bmc("one", "a"), agent("other", "fence_ipmilan", "ipaddr = \"b\", lanplus = 1")),
            (bmc("one", "a"), agent("other", "fence_ipmilan", "plug = \"b\", port_as_ip = 1")),
            (bmc("one", "a"), agent("other", "/usr/sbin/fence_redfish", "ip = \"b\", ssl = 1, ipport = 443")),
            (
                agent("one", "fence_apc", "ipaddr = \"a\", port = \"1:03\", login = \"x\""),
                agent("other", "fence_apc_snmp", "ip = \"b\", plug = 3, snmp-version = 3, switch = 1"),
            ),
            (agent("one", "fence_ours", "plug = \"VM1\""), agent("other", "fence_ours", "port = \"vm1\", verbose = 1")),
        ];
        for (one, other) in same {
            let text = two(&one, &other);
            // Machines that need no resolver are compared when the file is read.
            match Config::parse(&text, Path::new("config.toml")) {
                Err(error) => {
                    assert!(error.to_string().contains("n1 (device one) and n2 (device other) have one machine"))
                }
                Ok(_) => assert_eq!(pairs(&text, &["n1", "n2"], &resolved), ["n1 n2"], "{text}"),
            }
        }
        let different = [
            (bmc("one", "a"), bmc("other", "c")),
            // A name that is not resolved cannot be compared.
            (bmc("one", "a"), bmc("other", "unknown")),
            // These ports are forwarded to several boards.
            (bmc("one", "a") + "port = 6231\n", bmc("other", "a") + "port = 6232\n"),
            (agent("one", "fence_apc", "ip = \"a\", plug = 3"), agent("other", "fence_apc", "ip = \"b\", plug = 4")),
            (
                agent("one", "fence_apc", "ip = \"a\", plug = 3, switch = 1"),
                agent("other", "fence_apc", "ip = \"b\", plug = 3, switch = 2"),
            ),
            (
                agent("one", "fence_vmware_soap", "ip = \"a\", plug = \"x\""),
                agent("other", "fence_virsh", "ip = \"a\", plug = \"x\""),
            ),
            (
                agent("one", "fence_redfish", "ip = \"a\", systems_uri = \"/1\""),
                agent("other", "fence_redfish", "ip = \"a\", systems_uri = \"/2\""),
            ),
        ];
        for (one, other) in different {
            assert_eq!(pairs(&two(&one, &other), &["n1", "n2"], &resolved), [] as [String; 0], "{one}{other}");
        }
    }

    /// A program receives the node's name, and two devices of one node may be one machine.
    #[test]
    fn what_the_node_gets_belongs_to_it() {
        let text = "[devices.one]\ndriver = \"exec\"\nprogram = \"/p\"\n".to_owned()
            + &bmc("bmc", "{short}-bmc")
            + &agent("agent", "fence_ipmilan", "ip = \"{short}-bmc\"")
            + "[default]\nlevels = [[\"one\"], [\"bmc\"], [\"agent\"]]\n";
        assert_eq!(pairs(&text, &["n1", "n2"], &[]), [] as [String; 0]);
    }

    /// During a fencing only the names of machines that could be the same are resolved.
    #[test]
    fn only_what_could_be_one_machine_is_resolved() {
        let text = agent("pdu", "fence_apc", "ip = \"pdu\", plug = \"{short}\"")
            + &bmc("bmc", "{short}-bmc")
            + "[default]\nlevels = [[\"pdu\"]]\n[nodes.n3]\nlevels = [[\"bmc\"]]\n[nodes.n4]\nlevels = [[\"bmc\"]]\n";
        let nodes = nodes(&text, &["n1", "n2", "n3", "n4"]);
        let resolve = |of: &str| names_to_resolve(&nodes, Some(&NodeName::new(of).unwrap()));
        assert_eq!(resolve("n1").into_iter().collect::<Vec<_>>(), ["pdu"]);
        assert_eq!(resolve("n3").into_iter().collect::<Vec<_>>(), ["n3-bmc", "n4-bmc"]);
        assert_eq!(names_to_resolve(&nodes, None).len(), 3);
    }
}
