//! Established connections between hosts, and the time of the last data in each direction.

use std::collections::BTreeMap;
use std::time::Duration;

use lab::{Host, Network};

use crate::support::cluster::Scene;

/// A program that echoes on port 7000 (DRBD's ports begin there), TCP and UDP, both families. It keeps one TCP
/// connection and one UDP socket to each named address. A file has the time of the last data from each, by the
/// machine's clock since boot.
const FLOWS: &str = r#"
import json, os, socket, sys, threading, time
PORT, FILE, seen = 7000, '/run/flows.json', {}
def note(what, address):
    seen[what + ' ' + address.replace('::ffff:', '')] = time.clock_gettime(time.CLOCK_BOOTTIME)
def listener(kind):
    s = socket.socket(socket.AF_INET6, kind)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('::', PORT))
    return s
def echo_tcp(s, address):
    try:
        while True:
            data = s.recv(64)
            if not data: return
            note('tcp from', address)
            s.sendall(data)
    except OSError: pass
def serve_tcp():
    s = listener(socket.SOCK_STREAM)
    s.listen(64)
    while True:
        c, a = s.accept()
        threading.Thread(target=echo_tcp, args=(c, a[0]), daemon=True).start()
def serve_udp():
    s = listener(socket.SOCK_DGRAM)
    while True:
        try:
            data, a = s.recvfrom(64)
            note('udp from', a[0])
            s.sendto(data, a)
        except OSError: pass
def tcp(address):
    while True:
        try: s = socket.create_connection((address, PORT), 1); break
        except OSError: time.sleep(0.1)
    s.settimeout(1)
    while True:
        try:
            s.send(b'x')
            if not s.recv(64): return
            note('tcp back', address)
        except TimeoutError: pass
        except OSError: return
        time.sleep(0.1)
def udp(address):
    s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(0.5)
    s.connect((address, PORT))
    while True:
        try:
            s.send(b'x')
            s.recv(64)
            note('udp back', address)
        except OSError: pass
        time.sleep(0.1)
work = [(serve_tcp, ()), (serve_udp, ())] + [(f, (a,)) for a in sys.argv[1:] for f in (tcp, udp)]
for f, a in work: threading.Thread(target=f, args=a, daemon=True).start()
while True:
    with open(FILE + '.new', 'w') as f: json.dump(dict(seen), f)
    os.rename(FILE + '.new', FILE)
    time.sleep(0.1)
"#;

const FILE: &str = "run/flows.json";

/// The time without data after which a flow is dead.
pub(crate) const LATELY: Duration = Duration::from_millis(1_500);

/// Returns the addresses of a host that flows use.
pub(crate) fn addresses(host: &Host) -> Vec<String> {
    let both = [Network::Primary, Network::Secondary];
    both.into_iter().flat_map(|network| [Some(host.address(network)), host.address6(network)]).flatten().collect()
}

/// Starts flows on all hosts, each with all others; returns when all of them have data.
pub(crate) fn begin(scene: &Scene, hosts: &[Host]) {
    for host in hosts {
        let others = hosts.iter().filter(|other| other.name() != host.name());
        let targets: Vec<String> = others.flat_map(addresses).collect();
        host.write_file("/root/flows.py", FLOWS.as_bytes(), 0o644).unwrap();
        let mut words = vec!["setsid", "--fork", "python3", "/root/flows.py"];
        words.extend(targets.iter().map(String::as_str));
        host.check(&words).unwrap();
    }
    scene.wait("everything flows", 30, || {
        let each = (hosts.len() - 1) * 4;
        Ok(hosts.iter().all(|host| of(host).len() == each * 4))
    });
}

/// Returns the last data at a host: `tcp from`, `tcp back`, `udp from` or `udp back`, and the address.
fn of(host: &Host) -> BTreeMap<String, f64> {
    let path = host.root().map(|root| root.join(FILE));
    let text = path.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Returns the flows between two hosts with recent data, each named by the host that received it.
pub(crate) fn alive(one: &Host, other: &Host) -> Vec<String> {
    let since = lab::now().unwrap() - LATELY;
    let mut alive = Vec::new();
    for (here, there) in [(one, other), (other, one)] {
        let own = addresses(there);
        for (flow, at) in of(here) {
            let from = flow.rsplit(' ').next().unwrap_or_default();
            if at > since.as_secs_f64() && own.iter().any(|address| address == from) {
                alive.push(format!("{}: {flow}", here.name()));
            }
        }
    }
    alive
}

/// Returns all flows between two hosts: four addresses each, TCP and UDP, requests and answers.
pub(crate) const BETWEEN_TWO: usize = 2 * 4 * 2 * 2;
