//! What is made unreachable, in a network of the test's own with the real nft.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its scene cannot be set")]

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use gnt_ha::sys::reachable::NODED;
use gnt_ha::sys::record::unreachable::{make_reachable, make_unreachable};
use nix::sched::{CloneFlags, unshare};

const HERE: &str = "192.0.2.1";
const DEAD: &str = "192.0.2.2";

fn ip(words: &str) {
    let done = Command::new("ip").args(words.split_whitespace()).status().unwrap();
    assert!(done.success(), "ip {words}");
}

fn connect(address: &str) -> Result<(), ErrorKind> {
    connect_to(address, NODED)
}

fn connect_to(address: &str, port: u16) -> Result<(), ErrorKind> {
    let target = SocketAddr::new(address.parse().unwrap(), port);
    TcpStream::connect_timeout(&target, Duration::from_millis(300)).map(drop).map_err(|error| error.kind())
}

/// A dead node costs Ganeti 5 s a call, an unreachable one nothing. What this host has itself is reached all the same:
/// once it waited 30 s for a master IP that it had just taken over. Nothing but noded's port is refused: a refused datagram
/// would reach corosync as an error of one to a peer that lives. Nothing stays: neither after an undo nor by itself.
#[test]
fn a_dead_address_fails_at_once_and_an_own_one_is_reached() {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    ip("link set lo up");
    ip("link add v0 type veth peer name v1");
    ip(&format!("addr add {HERE}/24 dev v0"));
    ip("link set v0 up");
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
    assert_eq!(connect(DEAD), Err(ErrorKind::TimedOut), "the kernel has let go");
}
