//! Tests unreachable addresses in a network namespace of the test, with the real nft.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use gnt_ha::sys::nft::unreachable::{make_reachable, make_unreachable};
use gnt_ha::sys::tcp_check::NODED_PORT;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::gettid;

const HERE: &str = "192.0.2.1";
const DEAD: &str = "192.0.2.2";

fn ip(words: &str) {
    let done = Command::new("ip").args(words.split_whitespace()).status().unwrap();
    assert!(done.success(), "ip {words}");
}

fn connect(address: &str) -> Result<(), ErrorKind> {
    connect_to(address, NODED_PORT)
}

fn connect_to(address: &str, port: u16) -> Result<(), ErrorKind> {
    let target = SocketAddr::new(address.parse().unwrap(), port);
    TcpStream::connect_timeout(&target, Duration::from_millis(300)).map(drop).map_err(|error| error.kind())
}

/// This host in a network namespace of its own, with a cable.
fn cabled() {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    ip("link set lo up");
    ip("link add v0 type veth peer name v1");
    ip(&format!("addr add {HERE}/24 dev v0"));
    ip("link set v0 up");
}

/// A dead node costs Ganeti 5 s for each call, an unreachable one nothing. This host's own addresses stay reachable:
/// once it waited 30 s for a master IP that it had just taken over. Only noded's port is rejected: a rejected datagram
/// would reach corosync as an error of one to a living peer. Nothing remains after an undo, or after the time.
#[test]
fn a_dead_address_fails_at_once_and_an_own_one_is_reached() {
    cabled();
    ip("link set v1 up");
    let _noded = TcpListener::bind((HERE, 1811)).unwrap();
    let addresses: Vec<IpAddr> = [HERE, DEAD, "2001:db8::2"].map(|text| text.parse().unwrap()).into();

    assert_eq!(connect(DEAD), Err(ErrorKind::TimedOut), "before");
    make_unreachable(&addresses, Duration::from_secs(60));
    assert_eq!(connect(DEAD), Err(ErrorKind::HostUnreachable));
    assert_eq!(connect(HERE), Ok(()));
    assert_eq!(connect_to(DEAD, 22), Err(ErrorKind::TimedOut), "another port is not refused by us");
    let corosync = UdpSocket::bind((HERE, 5405)).unwrap();
    assert_eq!(corosync.send_to(b"ping", (DEAD, 5405)).unwrap(), 4);
    make_unreachable(&addresses, Duration::from_secs(60));
    assert_eq!(connect(DEAD), Err(ErrorKind::HostUnreachable), "twice is once");

    make_reachable();
    assert_eq!(connect(DEAD), Err(ErrorKind::TimedOut), "undone");
    make_reachable();

    make_unreachable(&addresses, Duration::from_secs(1));
    assert_eq!(connect(DEAD), Err(ErrorKind::HostUnreachable));
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(connect(DEAD), Err(ErrorKind::TimedOut), "the kernel has removed the rule");
}

/// Two nodes died within 10 s. wconfd had asked the noded of the second just before. For a quarter of an hour it sent
/// data again that no host acknowledged, with the configuration locked. The job that was to record the failure failed
/// after 30 s, each time. Now a program that waits for a dead node gets an error at once; connections of this host with
/// itself are not affected.
#[test]
fn a_program_that_waits_for_a_lost_node_gets_an_error() {
    cabled();
    let _noded = TcpListener::bind((HERE, NODED_PORT)).unwrap();
    let (sender, steps) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let node = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        sender.send(gettid()).unwrap();
        ended.recv().unwrap();
        ip(&format!("addr add {DEAD}/24 dev v1"));
        ip("link set v1 up");
        let [noded, other] = [NODED_PORT, 22].map(|port| TcpListener::bind((DEAD, port)).unwrap());
        sender.send(gettid()).unwrap();
        let taken = [noded.accept().unwrap(), other.accept().unwrap()];
        ended.recv().unwrap();
        ip("link set v1 down");
        sender.send(gettid()).unwrap();
        ended.recv().unwrap();
        drop(taken);
    });
    ip(&format!("link set v1 netns {}", steps.recv().unwrap()));
    end.send(()).unwrap();
    steps.recv().unwrap();
    let mut to = [(DEAD, NODED_PORT), (DEAD, 22), (HERE, NODED_PORT)].map(|to| TcpStream::connect(to).unwrap());
    end.send(()).unwrap();
    steps.recv().unwrap();
    for stream in &mut to {
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        stream.write_all(b"POST /node_info").unwrap();
    }

    make_unreachable(&[DEAD, HERE].map(|text| text.parse::<IpAddr>().unwrap()), Duration::from_secs(60));
    let ends = to.map(|mut stream| stream.read(&mut [0]).map_err(|error| error.kind()));
    let waits = Err(ErrorKind::WouldBlock);
    assert_eq!(ends, [Err(ErrorKind::ConnectionAborted), waits, waits]);
    end.send(()).unwrap();
    node.join().unwrap();
}
