//! ICMP echo with a nonce (RFC 792, RFC 4443): whether a host's kernel lets this one's packets in and its own out.

use std::io;
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, SockaddrStorage, bind,
    recvfrom, sendto, socket,
};

/// What tells this question's answer from all others.
pub(super) type Nonce = [u8; 16];

const HEADER: usize = 8;
const ECHO_V4: u8 = 8;
const ANSWER_V4: u8 = 0;
const ECHO_V6: u8 = 128;
const ANSWER_V6: u8 = 129;

/// A raw socket of one family, on the node's own address.
pub(super) struct Echo {
    socket: OwnedFd,
    is_v4: bool,
}

impl Echo {
    pub(super) fn bind(own: IpAddr) -> io::Result<Self> {
        let (family, protocol) = match own {
            IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
            IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(family, SockType::Raw, flags, protocol)?;
        match own {
            IpAddr::V4(own) => bind(socket.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(own, 0)))?,
            IpAddr::V6(own) => bind(socket.as_raw_fd(), &SockaddrIn6::from(SocketAddrV6::new(own, 0, 0, 0)))?,
        }
        Ok(Self { socket, is_v4: own.is_ipv4() })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Unreachable is no answer: errors are none.
    pub(super) fn ask(&self, address: IpAddr, nonce: &Nonce) {
        let packet = question(self.is_v4, nonce);
        let fd = self.socket.as_raw_fd();
        let _ = match address {
            IpAddr::V4(to) => sendto(fd, &packet, &SockaddrIn::from(SocketAddrV4::new(to, 0)), MsgFlags::empty()),
            IpAddr::V6(to) => {
                sendto(fd, &packet, &SockaddrIn6::from(SocketAddrV6::new(to, 0, 0, 0)), MsgFlags::empty())
            }
        };
    }

    /// The next answer that has come, if any.
    pub(super) fn answer(&self) -> Option<(IpAddr, Nonce)> {
        let mut buffer = [0; 512];
        loop {
            let (length, from) = recvfrom::<SockaddrStorage>(self.socket.as_raw_fd(), &mut buffer).ok()?;
            let from = from.as_ref().and_then(|from| {
                let v4 = from.as_sockaddr_in().map(|from| IpAddr::V4(from.ip()));
                v4.or_else(|| from.as_sockaddr_in6().map(|from| IpAddr::V6(from.ip())))
            });
            if let (Some(from), Some(nonce)) = (from, nonce_in(self.is_v4, &buffer[..length])) {
                return Some((from, nonce));
            }
        }
    }
}

fn question(is_v4: bool, nonce: &Nonce) -> Vec<u8> {
    let mut packet = vec![0; HEADER];
    packet[0] = if is_v4 { ECHO_V4 } else { ECHO_V6 };
    packet.extend_from_slice(nonce);
    if is_v4 {
        // For version 6 the kernel does it: its sum is over addresses as well.
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// RFC 1071.
fn checksum(packet: &[u8]) -> u16 {
    let words =
        packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

/// A raw socket of version 4 is given the IP header, too.
fn nonce_in(is_v4: bool, packet: &[u8]) -> Option<Nonce> {
    let start = if is_v4 { usize::from(packet.first()? & 0x0f) * 4 } else { 0 };
    let icmp = packet.get(start..)?;
    let wanted = if is_v4 { ANSWER_V4 } else { ANSWER_V6 };
    if icmp.first() != Some(&wanted) || icmp.get(1) != Some(&0) {
        return None;
    }
    icmp.get(HEADER..)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_question_sums_up_to_nothing() {
        let packet = question(true, &[7; 16]);
        assert_eq!(checksum(&packet), 0);
        assert_eq!((packet[0], packet.len()), (8, 24));
    }

    #[test]
    fn only_an_echo_reply_is_an_answer() {
        let mut packet = vec![0x45; 20];
        packet.extend(question(true, &[9; 16]));
        assert_eq!(nonce_in(true, &packet), None, "a question is none");
        packet[20] = 0;
        assert_eq!(nonce_in(true, &packet), Some([9; 16]));
        packet[20] = 3;
        assert_eq!(nonce_in(true, &packet), None, "unreachable is none");
        let mut packet = question(false, &[9; 16]);
        packet[0] = 129;
        assert_eq!(nonce_in(false, &packet), Some([9; 16]));
    }

    proptest! {
        #[test]
        fn no_packet_makes_it_panic(packet in proptest::collection::vec(any::<u8>(), 0..80), is_v4: bool) {
            let _ = nonce_in(is_v4, &packet);
        }
    }
}
