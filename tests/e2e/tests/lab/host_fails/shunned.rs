//! Hosts without a BMC: the others shun a lost host, and no other device fences it.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use e2e::install::{GNT_HA, Proof};
use e2e::receipts;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::receipt::Outcome;
use lab::{Host, Power};
use serde_json::{Value, json};

use crate::administration::graceful::STOP;
use crate::daemon_fails::full::shell;
use crate::support::cib::Roles;
use crate::support::cluster::Scene;
use crate::support::end::End;
use crate::support::flows;

/// A program that prints which of a host's addresses and ports accept a connection, and whether its confd answers a
/// request that is signed as Ganeti's own clients sign it; all at once, within 1 s.
const REACH: &str = r#"
import hashlib, hmac, json, socket, sys, threading, time
def tcp(address, port):
    try: socket.create_connection((address, port), 0.7).close()
    except OSError: return
    print(address, port, flush=True)
def confd(address):
    key = open('/var/lib/ganeti/hmac.key', 'rb').read()
    salt = str(int(time.time()))
    ask = json.dumps({'protocol': 1, 'type': 1, 'query': 'n1.lab', 'rsalt': 'x'})
    sign = hmac.new(key, (salt + ask).encode(), hashlib.sha1).hexdigest()
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(0.7)
    try:
        s.sendto(b'plj0' + json.dumps({'msg': ask, 'salt': salt, 'hmac': sign}).encode(), (address, 1814))
        s.recv(4096)
    except OSError: return
    print('confd', flush=True)
work = [(tcp, (a, int(p))) for a in sys.argv[2].split() for p in sys.argv[1].split()] + [(confd, (sys.argv[2].split()[0],))]
threads = [threading.Thread(target=f, args=a) for f, a in work]
for t in threads: t.start()
for t in threads: t.join()
"#;

/// The ports of noded, SSH, and DRBD's first resource.
const PORTS: &str = "1811 22 7000";

const SHUN_LIST: &str = "/var/lib/gnt-ha/shun-list.json";

/// Returns what one host reaches of another: each port of each address, and its confd.
fn reached(from: &Host, to: &Host) -> BTreeSet<String> {
    let addresses = flows::addresses(to).join(" ");
    let output = from.check(&["python3", "-c", REACH, PORTS, &addresses]).unwrap();
    output.stdout.lines().map(str::to_owned).collect()
}

/// Returns what one host reaches of another at the addresses that Ganeti knows.
pub(crate) fn reached_as_ganeti(from: &Host, to: &Host) -> BTreeSet<String> {
    reached(from, to).into_iter().filter(|what| !what.contains(':')).collect()
}

/// Returns a host's shun list entry of another.
pub(crate) fn entry(host: &Host, node: &str) -> Value {
    let shun_list: Value = serde_json::from_str(&host.read_file(SHUN_LIST).unwrap()).unwrap();
    shun_list[format!("{node}.lab")].clone()
}

/// Checks that neither host reaches the other, and no established connection has data.
fn assert_apart(one: &Host, other: &Host) {
    assert!(reached(one, other).is_empty() && reached(other, one).is_empty(), "{:?}", reached(one, other));
    // Data from before the return of the rules does not count as a living flow.
    std::thread::sleep(flows::LATELY * 2);
    assert!(flows::alive(one, other).is_empty(), "{:#?}", flows::alive(one, other));
}

pub(crate) fn shuns(host: &Host, node: &str) -> bool {
    let status = host.run(&[GNT_HA, "shun", "status", "--json"]).unwrap();
    let status: Value = serde_json::from_str(&status.stdout).unwrap_or_default();
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    nodes.iter().any(|one| one["node"] == format!("{node}.lab") && one["applied"] == true)
}

/// Stops only the host's cluster stack: the state of a lost host that still has power.
fn lose(host: &Host) {
    host.check(&["sh", "-c", "kill -STOP $(pidof corosync)"]).unwrap();
}

/// Clocks may differ by a minute: only a boot that begins later than that after the shunning is proven to be another
/// one.
fn power_on_as_another_boot(host: &Host, node: &str, by: &Host) {
    let since_ms = entry(by, node)["since_ms"].as_u64().unwrap();
    let begun = UNIX_EPOCH + Duration::from_millis(since_ms) + Duration::from_secs(62);
    std::thread::sleep(begun.duration_since(SystemTime::now()).unwrap_or_default());
    host.power_on().unwrap();
}

/// Stops the cluster stack cleanly, and then the host.
fn shut_down(host: &Host) {
    shell(host, STOP);
    host.power_off().unwrap();
}

/// Ganeti's configuration has one address family. No shun entry has the other one, so an administrator adds it on each
/// host.
fn add_other_family(hosts: &[&Host], lost: &Host) {
    for host in hosts {
        let mut shun_list: Value = serde_json::from_str(&host.read_file(SHUN_LIST).unwrap()).unwrap();
        shun_list[lost.fqdn()]["addresses"] = json!(flows::addresses(lost));
        host.write_file(SHUN_LIST, shun_list.to_string().as_bytes(), 0o600).unwrap();
        host.check(&[GNT_HA, "shun", "apply"]).unwrap();
    }
}

/// A host without BMC is shunned while its network and processes run. Its established TCP and UDP flows to every peer
/// end, in both directions and both families. The ports of noded, SSH, confd and DRBD refuse connections. After a
/// peer's reboot, an nft flush and a firewall reload the rules return. A host that was down meanwhile gets the entry
/// later. The shunned host reboots and stays shunned until it is readmitted. Pacemaker fences by shunning alone.
/// `gnt-node power off` shuns it, and its power stays recorded as on.
#[test]
fn a_host_without_a_bmc_is_shunned_until_it_is_readmitted() {
    let proof = Proof { shun: true, least: Some(Grade::Isolated), self_fence: None };
    let mut scene = Scene::without_bmcs("shunned", 5, Roles::Promotable, &proof);
    let all = scene.lab.hosts();
    let [n1, n2, n3, n4, n5] = <[Host; 5]>::try_from(all.clone()).unwrap();
    flows::begin(&scene, &all);
    let before = reached(&n1, &n3);
    let ports = PORTS.split(' ').map(|port| format!("192.0.2.3 {port}"));
    assert!(ports.chain(["confd".to_owned()]).all(|what| before.contains(&what)), "{before:?}");
    assert_eq!(flows::alive(&n1, &n3).len(), flows::BETWEEN_TWO);

    // One host is down when the other is shunned.
    scene.kill(&["n5"]);
    scene.wait_offline(&["n5"]);

    lose(&n3);
    let took = scene.wait_fenced("n3", 60);
    println!("n3 fenced by shun alone, {:.1} s after its stack had stopped", took.as_secs_f64());
    assert_eq!(n3.power_status(), Power::On);
    assert!(n3.check(&["pgrep", "--full", "flows.py"]).is_ok(), "its processes live");
    scene.wait_offline(&["n3", "n5"]);
    let action = receipts::on_all(&scene.lab).into_iter().rfind(|action| action.intent.node.short() == "n3").unwrap();
    let receipt = action.receipt.unwrap();
    assert_eq!((receipt.outcome, receipt.grade), (Outcome::Done, Grade::Isolated), "{receipt:?}");
    // An address that Ganeti does not have is in no shun entry, so the host that was down comes first.
    one_that_was_down_catches_up(&scene, &n1, &n5);
    add_other_family(&[&n1, &n2, &n4, &n5], &n3);
    std::thread::sleep(Duration::from_secs(2));
    for peer in [&n1, &n2, &n4] {
        assert_apart(peer, &n3);
        assert_eq!(entry(peer, "n3")["epoch"], 1, "shunned once");
    }
    assert_eq!(flows::alive(&n1, &n2).len(), flows::BETWEEN_TWO, "nothing else is touched");

    rules_come_back(&scene, &n1, &n2, &n3);
    scene.expect_boot("n2");
    it_stays_out_until_it_is_readmitted(&scene, &n1, &n3);

    // Ganeti's own command, while Pacemaker loses the node because of it: both have the same result. No power is off.
    let power_off = n1.run(&["gnt-node", "power", "-f", "off", "n4.lab"]).unwrap();
    assert!(!power_off.success() && power_off.text().contains("proven isolated"), "{}", power_off.text());
    assert!(scene.flags().get("n4").is_some_and(|flags| flags.offline && !flags.unpowered));
    scene.wait_fenced("n4", 60);
    scene.wait_offline(&["n4"]);
    scene.settle();
    for peer in [&n1, &n2, &n3, &n5] {
        assert_eq!(entry(peer, "n4")["epoch"], 1, "{}: it is shunned once", peer.name());
        assert!(shuns(peer, "n4"), "{}", peer.name());
    }
    assert_eq!(n4.power_status(), Power::On);
    assert!(reached_as_ganeti(&n1, &n4).is_empty() && reached_as_ganeti(&n4, &n1).is_empty());
    let end = End { master: "n1", fenced: &["n3", "n4", "n5"], offline: &["n4"], ..End::default() };
    scene.assert_end(&end);
}

/// The rules are lost with the kernel's tables, and return: by the unit that follows the firewall, by the sync, and at
/// a boot before the network is up.
fn rules_come_back(scene: &Scene, n1: &Host, n2: &Host, n3: &Host) {
    n2.check(&["nft", "flush", "ruleset"]).unwrap();
    assert!(!shuns(n2, "n3"));
    n2.check(&[GNT_HA, "shun", "apply"]).unwrap();
    assert!(shuns(n2, "n3"));
    assert_apart(n2, n3);
    n2.check(&["nft", "flush", "ruleset"]).unwrap();
    n1.check(&[GNT_HA, "shun", "sync"]).unwrap();
    assert!(shuns(n2, "n3"), "n1 has sent the shun list again");
    assert_apart(n2, n3);

    let script = b"#!/bin/sh\n/usr/sbin/gnt-ha shun apply\nnft list ruleset > /root/rules-before-network\n";
    n2.write_file("/etc/rc.network", script, 0o755).unwrap();
    shut_down(n2);
    n2.power_on().unwrap();
    let rules = n2.read_file("/root/rules-before-network").unwrap();
    for address in flows::addresses(n3) {
        assert!(rules.contains(&address), "{address} in {rules}");
    }
    assert!(shuns(n2, "n3"));
    scene.wait_back("n2");
    scene.wait("n2 is drained no more", 60, || Ok(scene.flags().get("n2").is_some_and(|flags| !flags.drained)));
}

/// The host was down when the other was lost. It is a new boot that runs nothing, so it may be readmitted without a
/// confirmation.
fn one_that_was_down_catches_up(scene: &Scene, n1: &Host, n5: &Host) {
    power_on_as_another_boot(n5, "n5", n1);
    scene.wait("n5 has booted", 60, || Ok(n5.power_status() == Power::On));
    assert!(reached_as_ganeti(n1, n5).is_empty(), "it is shunned itself");
    n1.check(&[GNT_HA, "readmit", "n5.lab"]).unwrap();
    n1.check(&[GNT_HA, "shun", "sync"]).unwrap();
    assert!(shuns(n5, "n3"));
    scene.add_again("n5", "n1");
    scene.wait_back("n5");
}

/// A reboot of its own does not end the shunning. After its readmission it is a node like any other.
fn it_stays_out_until_it_is_readmitted(scene: &Scene, n1: &Host, n3: &Host) {
    let output = n1.run(&[GNT_HA, "readmit", "n3.lab"]).unwrap();
    assert!(!output.success(), "it is the boot that is shunned: {}", output.text());
    n3.power_off().unwrap();
    power_on_as_another_boot(n3, "n3", n1);
    scene.wait("n3 has booted", 60, || Ok(n3.power_status() == Power::On));
    scene.nothing_happens();
    let seen = scene.host("n1").crm_mon().unwrap();
    assert!(!seen.is_online("n3"), "it is out: {seen:?}");
    for peer in scene.others("n3") {
        let both = (reached_as_ganeti(&peer, n3), reached_as_ganeti(n3, &peer));
        assert!(both.0.is_empty() && both.1.is_empty(), "{}: {both:?}", peer.name());
    }
    n1.check(&[GNT_HA, "readmit", "n3.lab"]).unwrap();
    scene.add_again("n3", "n1");
    scene.wait_back("n3");
    assert!(reached(n1, n3).contains("confd"));
}
