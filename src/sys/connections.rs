//! Ends connections with nodes that are shunned or dead, so that no process waits on them (ss(8), `-K`;
//! `SOCK_DESTROY`).
//!
//! TCP repeats unacknowledged data for a quarter of an hour, and the shun rules end that only at its next attempt.
//! Meanwhile wconfd holds the lock of the configuration, and every job that changes anything fails after 30 s. Sockets
//! that the kernel itself owns are not ended; the shun rules still block them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::sys::clock::Deadline;
use crate::sys::command::run;

/// The maximum number of addresses in one command.
const AT_ONCE: usize = 200;

/// The connections with an address that are to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionChoice {
    /// All TCP and UDP connections.
    All,
    /// All TCP connections with the address, in both directions.
    Tcp,
    /// TCP connections from this host to this port of the address.
    TcpTo(u16),
}

/// Ends the connections with `addresses`, as far as the kernel supports it. A failure is logged only.
pub fn end(which: ConnectionChoice, addresses: &[IpAddr], deadline: Deadline) {
    if addresses.is_empty() {
        return;
    }
    // Of thousands of addresses, very few have a connection.
    let connected = connected();
    let peers: Vec<String> =
        addresses.iter().filter(|address| connected.contains(address)).map(|address| which.peer(*address)).collect();
    let protocols = if which == ConnectionChoice::All { "-tu" } else { "-t" };
    for some in peers.chunks(AT_ONCE) {
        let mut words = vec!["-K", "-H", "-n", "-a", protocols];
        for (index, peer) in some.iter().enumerate() {
            words.extend(if index == 0 { &["dst"][..] } else { &["or", "dst"] });
            words.push(peer);
        }
        if let Err(error) = run(Path::new("ss"), &words, &[], deadline) {
            tracing::warn!(%error, "connections with a shunned node are not ended; their packets are dropped all the same");
        }
    }
}

impl ConnectionChoice {
    /// Returns the address in the syntax of `ss`.
    fn peer(self, address: IpAddr) -> String {
        match (self, address) {
            (Self::TcpTo(port), _) => SocketAddr::new(address, port).to_string(),
            (_, IpAddr::V4(address)) => address.to_string(),
            (_, IpAddr::V6(address)) => format!("[{address}]"),
        }
    }
}

/// Returns the addresses with which this host has connections (`proc_net_tcp(5)`, and the same for UDP), except itself.
fn connected() -> BTreeSet<IpAddr> {
    let tables = ["tcp", "tcp6", "udp", "udp6"].map(|table| format!("/proc/thread-self/net/{table}"));
    let texts = tables.iter().filter_map(|table| std::fs::read_to_string(table).ok());
    texts.flat_map(|text| text.lines().skip(1).filter_map(remote).collect::<Vec<_>>()).collect()
}

/// Parses the remote address of a line: words of 32 bits in the byte order of this host.
fn remote(line: &str) -> Option<IpAddr> {
    let mut words = line.split_whitespace().skip(1);
    let (here, _) = words.next()?.split_once(':')?;
    let (address, _) = words.next()?.split_once(':')?;
    if here == address {
        return None;
    }
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    if address.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let mut bytes = [0; 16];
    for (n, chunk) in bytes.chunks_exact_mut(4).enumerate() {
        chunk.copy_from_slice(&word(n * 8)?);
    }
    // An IPv4 connection on an IPv6 socket is shunned by its IPv4 address.
    Some(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines have the form of Linux 6.1 on a little-endian host.
    #[test]
    #[cfg(target_endian = "little")]
    fn the_remote_address_is_read() {
        let v4 = "   0: 010200C0:1F90 020200C0:0016 01 00000000:00000000 00:00000000 00000000     0        0 1 1";
        assert_eq!(remote(v4), Some("192.0.2.2".parse().unwrap()));
        let v6 = "   1: B80D0120000000000000000001000000:1F90 B80D0120000000000000000002000000:0016 01 0:0 0:0 0 0 0";
        assert_eq!(remote(v6), Some("2001:db8::2".parse().unwrap()));
        let mapped = "   1: 0:1F90 0000000000000000FFFF0000020200C0:0016 01";
        assert_eq!(remote(mapped), Some("192.0.2.2".parse().unwrap()));
        let itself = "   0: 020200C0:1F90 020200C0:0016 01 00000000:00000000 00:00000000 00000000     0        0 1 1";
        assert_eq!(remote(itself), None, "the master IP is a dead master's until it is ours");
        for bad in ["", "x", "0: a b", "0: a 0102:1", "0: a zzzzzzzz:1"] {
            assert_eq!(remote(bad), None, "{bad}");
        }
    }
}
