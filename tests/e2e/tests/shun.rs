//! Tests the shunning of packets between two network namespaces of the test, with the real nft and the real kernel.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use gnt_ha::core::config::Config;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::node::NodeName;
use gnt_ha::core::shun::list::{Epoch, ShunEntry, ShunList, ShunScope};
use gnt_ha::core::shun::messages::{PeerReport, PeerRequest};
use gnt_ha::service::shun::applier::ShunApplier;
use gnt_ha::sys::clock::Deadline;
use gnt_ha::sys::nft::shun_table::ApplyResult;
use nix::sched::{CloneFlags, setns, unshare};

const HERE: [&str; 2] = ["192.0.2.1", "2001:db8::1"];
const TARGET_ADDRESSES: [&str; 2] = ["192.0.2.2", "2001:db8::2"];
const OTHER: &str = "192.0.2.3";

const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

fn run(words: &str) {
    let words: Vec<&str> = words.split_whitespace().collect();
    let done = Command::new(words[0]).args(&words[1..]).status().unwrap();
    assert!(done.success(), "{words:?}");
}

/// This host, and another one on the same cable, each in a network namespace.
struct Scene {
    other: File,
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        run("ip link set lo up");
        let other = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        let other = other.join().unwrap();
        let path = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&other));
        run(&format!("ip link add v0 type veth peer name v1 netns {path}"));
        let scene = Self { other, dir: tempfile::tempdir().unwrap() };
        for address in ["192.0.2.1/24", "2001:db8::1/64"] {
            run(&format!("ip addr add {address} dev v0 {}", nodad(address)));
        }
        run("ip link set v0 up");
        scene.there(|| {
            for address in ["192.0.2.2/24", "192.0.2.3/24", "2001:db8::2/64"] {
                run(&format!("ip addr add {address} dev v1 {}", nodad(address)));
            }
            run("ip link set lo up");
            run("ip link set v1 up");
        });
        scene
    }

    /// Runs a command on the other host.
    fn there<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                setns(&self.other, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            there.join().unwrap()
        })
    }

    fn config(&self) -> Config {
        let dir = self.dir.path().display();
        let text = format!("state_directory = \"{dir}/state\"\nrun_directory = \"{dir}/run\"\n");
        Config::parse(&text, Path::new("config.toml")).unwrap()
    }

    fn send(&self, epoch: u64, scope: ShunScope) -> PeerReport {
        let config = self.config();
        let applier = ShunApplier::new(&config, self.dir.path()).unwrap();
        let entry = ShunEntry {
            epoch: Epoch(epoch),
            addresses: TARGET_ADDRESSES.map(|text| text.parse().unwrap()).into(),
            scope,
            grade: Grade::Isolated,
            boot_id: None,
            since_ms: 1,
            by: "a test".into(),
        };
        let shun_list = ShunList(BTreeMap::from([(node("n3"), entry)]));
        let question = PeerRequest { shun_list, ..PeerRequest::requested_by(node("n1")) };
        applier.merge_and_apply(&question, Deadline::after(Duration::from_secs(5))).unwrap()
    }

    fn apply(&self) -> ApplyResult {
        let config = self.config();
        ShunApplier::new(&config, self.dir.path()).unwrap().apply(Deadline::after(Duration::from_secs(5))).unwrap()
    }
}

fn nodad(address: &str) -> &'static str {
    if address.contains("::") { "nodad" } else { "" }
}

fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse::<IpAddr>().unwrap(), port)
}

fn connect(address: &str, port: u16) -> Result<TcpStream, ErrorKind> {
    TcpStream::connect_timeout(&at(address, port), CONNECT_TIMEOUT).map_err(|error| error.kind())
}

/// A working connection, with both of its ends.
fn connected(scene: &Scene, address: &str, port: u16) -> (TcpStream, TcpStream) {
    let listener = scene.there(|| TcpListener::bind(at(address, port)).unwrap());
    // The neighbour entry has to be found first.
    let mut here = TcpStream::connect_timeout(&at(address, port), CONNECT_TIMEOUT * 10).unwrap();
    let (mut there, _) = listener.accept().unwrap();
    here.write_all(b"x").unwrap();
    there.read_exact(&mut [0]).unwrap();
    there.set_read_timeout(Some(CONNECT_TIMEOUT)).unwrap();
    here.set_read_timeout(Some(CONNECT_TIMEOUT)).unwrap();
    (here, there)
}

/// Its established TCP and UDP flows to every peer end, in both directions and both families. A new connection to it is
/// refused at once. Other hosts on the same socket are not affected: corosync has one for all its peers.
#[test]
fn flows_die_in_both_directions_and_no_other_is_touched() {
    let scene = Scene::new();
    let mut flows: Vec<(TcpStream, TcpStream)> =
        TARGET_ADDRESSES.iter().map(|address| connected(&scene, address, 7000)).collect();
    let (mut with_other, mut others_end) = connected(&scene, OTHER, 7001);
    let udp = UdpSocket::bind((HERE[0], 5405)).unwrap();
    udp.set_read_timeout(Some(CONNECT_TIMEOUT)).unwrap();
    let (udp_there, udp_other) = scene
        .there(|| (UdpSocket::bind((TARGET_ADDRESSES[0], 5405)).unwrap(), UdpSocket::bind((OTHER, 5405)).unwrap()));
    udp.send_to(b"a", (TARGET_ADDRESSES[0], 5405)).unwrap();
    udp_there.recv_from(&mut [0; 9]).unwrap();

    let report = scene.send(1, ShunScope::All);
    assert_eq!(report.shunned, BTreeMap::from([(node("n3"), Epoch(1))]));
    for (here, there) in &mut flows {
        // The kernel has ended our end. Packets of the other end get no answer, and packets to it do not arrive.
        assert!(here.write_all(b"y").and_then(|()| here.read_exact(&mut [0])).is_err());
        let _ = there.write_all(b"z");
        assert!(there.read_exact(&mut [0]).is_err(), "nothing came through");
    }
    for address in TARGET_ADDRESSES {
        assert_eq!(connect(address, 7000).unwrap_err(), ErrorKind::ConnectionRefused, "{address}");
    }
    for address in HERE {
        let _listener = TcpListener::bind(at(address, 22)).unwrap();
        let from_there = scene.there(|| connect(address, 22).map(drop));
        assert_eq!(from_there, Err(ErrorKind::TimedOut), "{address} is silent to it");
    }
    assert_eq!(udp.send_to(b"b", (TARGET_ADDRESSES[0], 5405)).unwrap_err().kind(), ErrorKind::PermissionDenied);
    udp_there.send_to(b"c", (HERE[0], 5405)).unwrap();
    assert!(udp.recv_from(&mut [0; 9]).is_err(), "nothing of it comes in");
    for _ in 0..3 {
        udp.send_to(b"d", (OTHER, 5405)).unwrap();
        udp_other.recv_from(&mut [0; 9]).unwrap();
    }
    with_other.write_all(b"x").unwrap();
    others_end.read_exact(&mut [0]).unwrap();

    assert_eq!(scene.send(2, ShunScope::All).shunned, BTreeMap::new());
    connected(&scene, TARGET_ADDRESSES[0], 7002);
    udp.send_to(b"e", (TARGET_ADDRESSES[0], 5405)).unwrap();
}

/// A node whose power was read as off returns to the cluster stack, and to nothing else.
#[test]
fn of_a_node_that_was_seen_off_only_tcp_is_shunned() {
    let scene = Scene::new();
    scene.send(1, ShunScope::Tcp);
    assert_eq!(connect(TARGET_ADDRESSES[0], 1811).unwrap_err(), ErrorKind::ConnectionRefused);
    let udp = UdpSocket::bind((HERE[0], 5405)).unwrap();
    udp.set_read_timeout(Some(CONNECT_TIMEOUT)).unwrap();
    let there = scene.there(|| UdpSocket::bind((TARGET_ADDRESSES[0], 5405)).unwrap());
    udp.send_to(b"a", (TARGET_ADDRESSES[0], 5405)).unwrap();
    there.recv_from(&mut [0; 9]).unwrap();
    there.send_to(b"b", (HERE[0], 5405)).unwrap();
    udp.recv_from(&mut [0; 9]).unwrap();
}

/// Rules that were deleted for a moment are restored, and the deletion can be seen. Existing rules are not made again.
#[test]
fn after_a_flush_the_rules_are_there_again_with_another_ruleset_id() {
    let scene = Scene::new();
    let first = scene.send(1, ShunScope::All);
    assert!(matches!(scene.apply(), ApplyResult::Unchanged(_)));
    assert_eq!(scene.send(1, ShunScope::All).ruleset_id, first.ruleset_id);
    for damage in [
        "nft flush ruleset",
        "nft flush chain inet gnt-ha-shunned output",
        "nft insert rule inet gnt-ha-shunned prerouting accept",
        "nft delete table inet gnt-ha-shunned",
    ] {
        run(damage);
        assert!(matches!(scene.apply(), ApplyResult::Done(_)), "{damage}");
        assert_eq!(connect(TARGET_ADDRESSES[0], 1811).unwrap_err(), ErrorKind::ConnectionRefused, "{damage}");
        let after = scene.send(1, ShunScope::All);
        assert_ne!(after.ruleset_id, first.ruleset_id, "{damage}");
        assert_eq!(after.shunned, first.shunned, "{damage}");
    }
    let before = scene.send(1, ShunScope::All);
    run("nft delete element inet gnt-ha-shunned all4 { 192.0.2.2 }");
    assert!(matches!(scene.apply(), ApplyResult::Done(_)));
    assert_ne!(scene.send(1, ShunScope::All).ruleset_id, before.ruleset_id, "an address was let through for a moment");
    assert_eq!(connect(TARGET_ADDRESSES[0], 1811).unwrap_err(), ErrorKind::ConnectionRefused);
}

/// A shun entry that arrives late, twice, or at the wrong host.
#[test]
fn old_orders_and_own_addresses_change_nothing() {
    let scene = Scene::new();
    scene.send(1, ShunScope::All);
    scene.send(2, ShunScope::All);
    assert_eq!(scene.send(1, ShunScope::All).shunned, BTreeMap::new(), "readmitted since");
    assert_eq!(scene.send(3, ShunScope::All).shunned, BTreeMap::from([(node("n3"), Epoch(3))]));
    run("ip addr add 192.0.2.2/32 dev lo");
    let report = scene.send(5, ShunScope::All);
    assert!(report.not_applied[&node("n3")].contains("an address of this host"), "{:?}", report.not_applied);
    assert_eq!(report.shun_list.epoch(&node("n3")), Epoch(3));
}

/// The addresses of an old entry may belong to another node or this host by now, which must not be cut off.
#[test]
fn an_address_of_another_node_by_now_is_shunned_no_more() {
    let scene = Scene::new();
    scene.send(1, ShunScope::All);
    let ganeti = format!("n3 {}\nn4 {}\n", TARGET_ADDRESSES[1], TARGET_ADDRESSES[0]);
    std::fs::write(scene.dir.path().join("ssconf_node_primary_ips"), ganeti).unwrap();
    let shunned = || scene.apply().rules().addresses.keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shunned(), [TARGET_ADDRESSES[1]]);
    let report = scene.send(1, ShunScope::All);
    assert!(
        !report.shunned.contains_key(&node("n3")) && report.not_applied[&node("n3")].contains("n4's"),
        "{report:?}"
    );
    run(&format!("ip addr add {}/128 dev lo", TARGET_ADDRESSES[1]));
    assert_eq!(shunned(), [""; 0]);
}

/// A damaged shun list is never an empty one: no node is readmitted by it.
#[test]
fn a_damaged_list_readmits_no_node() {
    let scene = Scene::new();
    scene.send(1, ShunScope::All);
    std::fs::write(scene.dir.path().join("state/shun-list.json"), "{\"n3\":").unwrap();
    let config = scene.config();
    let applier = ShunApplier::new(&config, scene.dir.path()).unwrap();
    let error = applier.apply(Deadline::after(Duration::from_secs(5))).unwrap_err().to_string();
    assert!(error.contains("shun-list.json"), "{error}");
    assert_eq!(connect(TARGET_ADDRESSES[0], 1811).unwrap_err(), ErrorKind::ConnectionRefused);
}

/// Instances' traffic to and from it, routed or bridged by this host, is also dropped.
#[test]
fn what_is_forwarded_is_shunned_too() {
    let scene = Scene::new();
    // An instance behind this host, on a routed network of its own.
    let instance = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        File::open("/proc/thread-self/ns/net").unwrap()
    });
    let instance = instance.join().unwrap();
    let path = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&instance));
    run(&format!("ip link add i0 type veth peer name i1 netns {path}"));
    run("ip addr add 198.51.100.1/24 dev i0");
    run("ip link set i0 up");
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
    let in_instance = |work: fn()| {
        std::thread::scope(|scope| {
            let done = scope.spawn(|| {
                setns(&instance, CloneFlags::CLONE_NEWNET).unwrap();
                work();
            });
            done.join().unwrap();
        });
    };
    in_instance(|| {
        run("ip addr add 198.51.100.7/24 dev i1");
        run("ip link set i1 up");
        run("ip route add default via 198.51.100.1");
    });
    scene.there(|| run("ip route add 198.51.100.0/24 via 192.0.2.1"));
    let _listener = scene.there(|| TcpListener::bind((TARGET_ADDRESSES[0], 7000)).unwrap());
    in_instance(|| drop(connect("192.0.2.2", 7000).unwrap()));
    scene.send(1, ShunScope::All);
    in_instance(|| assert_eq!(connect("192.0.2.2", 7000).unwrap_err(), ErrorKind::ConnectionRefused));
}

/// The bridge of the instances forwards nothing from or to it.
#[test]
fn what_is_bridged_is_shunned_too() {
    let scene = Scene::new();
    let instance = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        File::open("/proc/thread-self/ns/net").unwrap()
    });
    let instance = instance.join().unwrap();
    let path = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&instance));
    run(&format!("ip link add i0 type veth peer name i1 netns {path}"));
    run("ip link add br0 type bridge");
    for words in ["ip link set v0 master br0", "ip link set i0 master br0", "ip link set br0 up", "ip link set i0 up"] {
        run(words);
    }
    run("ip addr flush dev v0");
    run("ip addr add 192.0.2.1/24 dev br0");
    let _listener = scene.there(|| TcpListener::bind((TARGET_ADDRESSES[0], 7000)).unwrap());
    let connects = |within: Duration| {
        std::thread::scope(|scope| {
            let done = scope.spawn(|| {
                setns(&instance, CloneFlags::CLONE_NEWNET).unwrap();
                run("ip addr replace 192.0.2.7/24 dev i1");
                run("ip link set i1 up");
                TcpStream::connect_timeout(&at(TARGET_ADDRESSES[0], 7000), within)
                    .map(drop)
                    .map_err(|error| error.kind())
            });
            done.join().unwrap()
        })
    };
    // The kernel lets a new port of a bridge forward only after it has seen the carrier, up to a second later: the first
    // packet may be lost, and TCP sends it again after 1 s and after 3 s.
    assert_eq!(connects(CONNECT_TIMEOUT * 20), Ok(()));
    scene.send(1, ShunScope::All);
    // By a reset, if the kernel passes bridged packets to the other tables as well (br_netfilter).
    assert!(connects(CONNECT_TIMEOUT).is_err());
    scene.send(2, ShunScope::All);
    assert_eq!(connects(CONNECT_TIMEOUT * 20), Ok(()));
}
