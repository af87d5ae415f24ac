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
    format!("[devices.{name}]\ndriver = \"ipmi\"\naddress = \"{address}\"\nusername = \"u\"\npassword_file = \"/p\"\n")
}

fn redfish(name: &str, address: &str, more: &str) -> String {
    bmc(name, address).replace("\"ipmi\"", "\"redfish\"") + more
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
        (bmc("one", "a"), redfish("other", "b", "")),
        // A board has one protocol at its usual port, and another at any.
        (bmc("one", "a"), redfish("other", "b", "port = 8443\n")),
        (bmc("one", "a") + "port = 6230\n", redfish("other", "b", "")),
        (agent("one", "fence_idrac", "ip = \"a\""), agent("other", "fence_redfish", "ip = \"b\", ipport = 8443")),
        // Hosts are moved from one driver to another one by one, with what was copied.
        (bmc("one", "a"), redfish("other", "b", "system = \"/redfish/v1/Systems/1\"\n")),
        (redfish("one", "a", ""), redfish("other", "b", "system = \"/redfish/v1/Systems/1\"\n")),
        (
            redfish("one", "a", "uuid = \"27946b59-9e44-4fa7-8e91-f3527a1ef094\"\n"),
            redfish("other", "b", "serial_number = \"X\"\n"),
        ),
        (
            redfish("one", "a", "uuid = \"27946b59-9e44-4fa7-8e91-f3527a1ef094\"\n"),
            redfish("other", "b", "uuid = \"27946B599E444FA78E91F3527A1EF094\"\n"),
        ),
        (agent("one", "fence_redfish", "ip = \"a\""), redfish("other", "b", "system = \"/redfish/v1/Systems/1\"\n")),
        (
            redfish("one", "a", "system = \"/redfish/v1/Systems/1\"\n"),
            agent("other", "fence_redfish", "ip = \"b\", systems_uri = \"/redfish/v1/Systems/1\""),
        ),
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
        (
            redfish("one", "a", "system = \"/redfish/v1/Systems/1\"\n"),
            redfish("other", "a", "system = \"/redfish/v1/Systems/2\"\n"),
        ),
        (
            redfish("one", "a", "uuid = \"27946b59-9e44-4fa7-8e91-f3527a1ef094\"\n"),
            redfish("other", "a", "uuid = \"17946b59-9e44-4fa7-8e91-f3527a1ef094\"\n"),
        ),
        (redfish("one", "a", "port = 8443\n"), redfish("other", "a", "port = 8444\n")),
        (bmc("one", "a") + "port = 6231\n", bmc("other", "a") + "port = 6232\n"),
        (bmc("one", "a"), bmc("other", "a") + "port = 6232\n"),
        (bmc("one", "a") + "port = 6231\n", redfish("other", "a", "port = 8443\n")),
        (agent("one", "fence_ipmilan", "ip = \"a\""), agent("other", "fence_idrac", "ip = \"a\", ipport = 6232")),
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
