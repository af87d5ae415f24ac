//! The signed echo. It shows that another node's daemon runs, and that its kernel accepts this node's packets and sends
//! its own. Sends and receives UDP datagrams.
//!
//! An echo keeps a lease, so it must not be forged. A request and its answer are signed with a key that is derived from
//! the cluster's (`hmac.key`, as for confd). No daemon of Ganeti's needs to run for it. A datagram consists of
//!
//! | bytes | content |
//! |---|---|
//! | 16 | `QUESTION` or `ANSWER`: the kind and the version of the datagram |
//! | 16 | the nonce of the request, which was never used before |
//! | 17 | the address of the node that asks: 4 or 6, and 16 bytes (version 4 in the first four) |
//! | 17 | the address of the node that is asked |
//! | 20 | HMAC-SHA1 (RFC 2104) of all bytes before |
//!
//! So an answer counts for one request of one node to one other node, and a request never counts as an answer. Only the
//! node that the request names answers, and only to the address that the request names. So a request that is forwarded
//! from an address that is not shunned gets no answer. Both have the same length: the node that asks receives no more
//! bytes than it has sent.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha1::Sha1;

use crate::sys::ganeti::confd::Confd;

/// A random number that distinguishes one request from all others.
pub type Nonce = [u8; 16];

/// A request or an answer.
pub type Packet = [u8; PACKET_LEN];

const WORD_LEN: usize = 16;
const QUESTION: [u8; WORD_LEN] = *b"gnt-ha fence ? 1";
const ANSWER: [u8; WORD_LEN] = *b"gnt-ha fence ! 1";

/// The text by which the key is derived from the cluster's. A message that confd signs with the cluster's key ends with
/// a brace, so it never equals this text.
const PURPOSE: &[u8] = b"gnt-ha self-fence echo 1";

/// The length of a datagram without the signature, in bytes.
const SIGNED_LEN: usize = WORD_LEN + size_of::<Nonce>() + 2 * ADDRESS_LEN;
const ADDRESS_LEN: usize = 17;
const SIGNATURE_LEN: usize = 20;

/// The length of a request or an answer, in bytes.
pub const PACKET_LEN: usize = SIGNED_LEN + SIGNATURE_LEN;

/// The most requests that are answered before the daemon continues with its other work.
const AT_ONCE: usize = 1_024;

/// The time for which a replaced key still signs, by the clock since boot.
/// `gnt-cluster renew-crypto --new-confd-hmac-key` replaces it on one node after the other, while Ganeti's
/// daemons are stopped everywhere. Nodes that have different keys for that time must not be reset.
const OLD_KEY_LIFETIME: Duration = Duration::from_secs(600);

/// The key that signs requests and answers.
#[derive(Clone)]
pub struct EchoKey {
    bytes: [u8; SIGNATURE_LEN],
    mac: Hmac<Sha1>,
}

impl PartialEq for EchoKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl EchoKey {
    /// Derives the key from the key with which `confd` signs.
    ///
    /// # Errors
    /// No condition is known: HMAC accepts keys of any length.
    pub fn new(confd: &Confd) -> io::Result<Self> {
        Self::of(confd.key())
    }

    /// Derives the key from these bytes of the cluster's key.
    ///
    /// # Errors
    /// No condition is known: HMAC accepts keys of any length.
    pub fn of_bytes(key: &[u8]) -> io::Result<Self> {
        Self::of(Hmac::new_from_slice(key).map_err(io::Error::other)?)
    }

    fn of(mut key: Hmac<Sha1>) -> io::Result<Self> {
        key.update(PURPOSE);
        let bytes: [u8; SIGNATURE_LEN] = key.finalize().into_bytes().into();
        let mac = Hmac::new_from_slice(&bytes).map_err(io::Error::other)?;
        Ok(Self { bytes, mac })
    }

    /// Returns the request of the node at `asker` to the node at `asked`.
    #[must_use]
    pub fn question(&self, nonce: &Nonce, asker: IpAddr, asked: IpAddr) -> Packet {
        self.signed(QUESTION, nonce, asker, asked)
    }

    /// Returns the answer of the node at `asked` to a packet from `asker`. Returns `None` if the packet is not a
    /// request of that node to this one.
    #[must_use]
    pub fn answer_to(&self, packet: &[u8], asker: IpAddr, asked: IpAddr) -> Option<Packet> {
        let nonce = self.read(packet, QUESTION, asker, asked)?;
        Some(self.signed(ANSWER, &nonce, asker, asked))
    }

    /// Returns the nonce in the answer of the node at `asked` to a request of the node at `asker`. Returns `None` if
    /// the packet is not such an answer.
    #[must_use]
    pub fn answered(&self, packet: &[u8], asker: IpAddr, asked: IpAddr) -> Option<Nonce> {
        self.read(packet, ANSWER, asker, asked)
    }

    fn signed(&self, word: [u8; WORD_LEN], nonce: &Nonce, asker: IpAddr, asked: IpAddr) -> Packet {
        let mut packet = [0; PACKET_LEN];
        let fields = word.into_iter().chain(*nonce).chain(wire(asker)).chain(wire(asked));
        packet.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
        let (signed, signature) = packet.split_at_mut(SIGNED_LEN);
        let mac = self.mac.clone().chain_update(&*signed).finalize().into_bytes();
        signature.copy_from_slice(&mac);
        packet
    }

    /// Makes the cheap checks first, so that a flood of foreign packets costs almost nothing.
    fn read(&self, packet: &[u8], word: [u8; WORD_LEN], asker: IpAddr, asked: IpAddr) -> Option<Nonce> {
        let packet: &Packet = packet.try_into().ok()?;
        let (signed, signature) = packet.split_at(SIGNED_LEN);
        let (head, addresses) = signed.split_at(SIGNED_LEN - 2 * ADDRESS_LEN);
        let (theirs, nonce) = head.split_at(WORD_LEN);
        if theirs != word || addresses != [wire(asker), wire(asked)].concat() {
            return None;
        }
        // The time of this comparison does not depend on where the signatures differ.
        self.mac.clone().chain_update(signed).verify_slice(signature).ok()?;
        nonce.try_into().ok()
    }
}

/// Encodes an address with a fixed length and in a single form.
fn wire(address: IpAddr) -> [u8; ADDRESS_LEN] {
    let mut bytes = [0; ADDRESS_LEN];
    match address {
        IpAddr::V4(address) => {
            bytes[0] = 4;
            bytes[1..5].copy_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            bytes[0] = 6;
            bytes[1..].copy_from_slice(&address.octets());
        }
    }
    bytes
}

/// The current key and, for [`OLD_KEY_LIFETIME`], the key before it.
pub(crate) struct EchoKeys {
    current: EchoKey,
    before: Option<(EchoKey, Duration)>,
}

impl EchoKeys {
    pub(crate) fn new(key: EchoKey) -> Self {
        Self { current: key, before: None }
    }

    /// Takes the key that was read at `at`, by the clock since boot, and drops an old key whose time is over.
    pub(crate) fn take(&mut self, key: EchoKey, at: Duration) {
        if key != self.current {
            self.before = Some((std::mem::replace(&mut self.current, key), at + OLD_KEY_LIFETIME));
        }
        self.before.take_if(|(_, until)| at >= *until);
    }

    /// Returns all keys, the current one first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &EchoKey> {
        std::iter::once(&self.current).chain(self.before.as_ref().map(|(key, _)| key))
    }

    fn answer_to(&self, packet: &[u8], asker: IpAddr, asked: IpAddr) -> Option<Packet> {
        self.all().find_map(|key| key.answer_to(packet, asker, asked))
    }

    /// Does the same as [`EchoKey::answered`], with either key.
    pub(crate) fn answered(&self, packet: &[u8], asker: IpAddr, asked: IpAddr) -> Option<Nonce> {
        self.all().find_map(|key| key.answered(packet, asker, asked))
    }
}

/// Answers the requests of other nodes, from this node's own address.
pub struct Responder {
    at: SocketAddr,
    socket: Option<UdpSocket>,
    fault: Option<String>,
}

impl Responder {
    /// Binds the node's own address and the port that all nodes use. If that fails, [`Responder::fault`] returns the
    /// reason.
    #[must_use]
    pub fn new(at: SocketAddr) -> Self {
        let mut responder = Self { at, socket: None, fault: None };
        responder.try_again();
        responder
    }

    /// Binds the port if that has failed before.
    pub(crate) fn try_again(&mut self) {
        if self.socket.is_some() {
            return;
        }
        let bound = UdpSocket::bind(self.at).and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
        match bound {
            Ok(socket) => (self.socket, self.fault) = (Some(socket), None),
            Err(error) => {
                let fault = format!(
                    "cannot answer other nodes at {}: {error}; find the program that has the port (ss -ulpn sport = :{}), or set [self_fence] port \
                     on all nodes",
                    self.at,
                    self.at.port()
                );
                if self.fault.as_ref() != Some(&fault) {
                    tracing::warn!("{fault}");
                }
                self.fault = Some(fault);
            }
        }
    }

    /// Returns the reason why requests are not answered; `None` while they are.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Returns the descriptor to poll.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    pub(crate) fn answer(&self, keys: &EchoKeys) {
        self.serve(|packet, from, own| keys.answer_to(packet, from, own));
    }

    /// Answers the requests that have arrived, with one key.
    pub fn answer_by(&self, key: &EchoKey) {
        self.serve(|packet, from, own| key.answer_to(packet, from, own));
    }

    fn serve(&self, answer: impl Fn(&[u8], IpAddr, IpAddr) -> Option<Packet>) {
        let Some(socket) = &self.socket else { return };
        // A datagram that is longer is cut to one byte more than any request has.
        let mut buffer = [0; PACKET_LEN + 1];
        for _ in 0..AT_ONCE {
            match socket.recv_from(&mut buffer) {
                Ok((length, from)) => {
                    if let Some(answer) = answer(&buffer[..length], from.ip(), self.at.ip()) {
                        // Our own kernel may drop the answer, or the peer may be unreachable: the node that asked gets
                        // no answer then.
                        let _ = socket.send_to(&answer, from);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The error belongs to an earlier answer; packets that arrived since are not lost.
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &[u8] = b"0123456789abcdef0123456789abcdef01234567\n";

    fn key(bytes: &[u8]) -> EchoKey {
        EchoKey::of_bytes(bytes).unwrap()
    }

    fn at(host: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, host])
    }

    #[test]
    fn the_node_that_is_asked_answers_the_one_that_asks() {
        for (asker, asked) in [(at(1), at(2)), ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap())] {
            let ours = key(KEY);
            let question = ours.question(&[7; 16], asker, asked);
            let answer = ours.answer_to(&question, asker, asked).unwrap();
            assert_eq!(ours.answered(&answer, asker, asked), Some([7; 16]));
            assert_eq!((question.len(), answer.len()), (PACKET_LEN, PACKET_LEN), "no more than was sent");
        }
    }

    /// A request that is forwarded from an address that is not shunned, or to another candidate, gets no answer.
    #[test]
    fn only_a_question_of_that_node_to_this_one_is_answered() {
        let ours = key(KEY);
        let question = ours.question(&[7; 16], at(1), at(2));
        assert!(ours.answer_to(&question, at(1), at(2)).is_some());
        assert_eq!(ours.answer_to(&question, at(9), at(2)), None, "handed on");
        assert_eq!(ours.answer_to(&question, at(1), at(3)), None, "to another one");
        assert_eq!(ours.answer_to(&question, at(2), at(1)), None, "the other way");
        assert_eq!(key(b"other").answer_to(&question, at(1), at(2)), None);
        let answer = ours.answer_to(&question, at(1), at(2)).unwrap();
        assert_eq!(ours.answer_to(&answer, at(1), at(2)), None, "an answer is not a question");
        // An IPv4 address that is mapped to IPv6 is a different address.
        let mapped = |v4: [u8; 4]| IpAddr::V6(std::net::Ipv4Addr::from(v4).to_ipv6_mapped());
        assert_eq!(ours.answer_to(&question, mapped([192, 0, 2, 1]), mapped([192, 0, 2, 2])), None);
    }

    #[test]
    fn an_answer_counts_for_its_question_alone() {
        let ours = key(KEY);
        let question = ours.question(&[7; 16], at(1), at(2));
        assert_eq!(ours.answered(&question, at(1), at(2)), None, "reflected");
        let answer = ours.answer_to(&question, at(1), at(2)).unwrap();
        assert_eq!(ours.answered(&answer, at(1), at(3)), None, "another candidate's");
        assert_eq!(ours.answered(&answer, at(4), at(2)), None, "another node's");
        assert_eq!(key(b"other").answered(&answer, at(1), at(2)), None);
        for end in 0..PACKET_LEN {
            assert_eq!(ours.answered(&answer[..end], at(1), at(2)), None, "cut at {end}");
        }
        for byte in 0..PACKET_LEN {
            let mut changed = answer;
            changed[byte] ^= 1;
            assert_eq!(ours.answered(&changed, at(1), at(2)), None, "changed at {byte}");
        }
        let longer = [&answer[..], &[0]].concat();
        assert_eq!(ours.answered(&longer, at(1), at(2)), None);
    }

    /// A packet that is signed with the cluster's key itself, as confd signs, does not count.
    #[test]
    fn the_key_is_not_the_one_of_confd() {
        let plain = Hmac::<Sha1>::new_from_slice(KEY).unwrap();
        let mut packet = key(KEY).question(&[7; 16], at(1), at(2));
        let mac = plain.chain_update(&packet[..SIGNED_LEN]).finalize().into_bytes();
        packet[SIGNED_LEN..].copy_from_slice(&mac);
        assert_eq!(key(KEY).answer_to(&packet, at(1), at(2)), None);
    }

    /// While Ganeti replaces the key on one node after the other, nodes with the old and the new key accept each other,
    /// for a limited time.
    #[test]
    fn a_key_that_was_replaced_still_counts_for_a_while() {
        let (old, new) = (key(KEY), key(b"the next one"));
        let mut keys = EchoKeys::new(old.clone());
        let begun = Duration::from_secs(100);
        keys.take(new.clone(), begun);
        let counts = |keys: &EchoKeys, key: &EchoKey| {
            let question = key.question(&[7; 16], at(1), at(2));
            let answer = keys.answer_to(&question, at(1), at(2))?;
            key.answered(&answer, at(1), at(2))
        };
        assert_eq!((counts(&keys, &old), counts(&keys, &new)), (Some([7; 16]), Some([7; 16])));
        keys.take(new.clone(), begun + OLD_KEY_LIFETIME);
        assert_eq!((counts(&keys, &old), counts(&keys, &new)), (None, Some([7; 16])));
    }

    #[test]
    fn a_port_that_is_in_use_is_reported_and_taken_later() {
        let place: SocketAddr = "127.14.10.1:1817".parse().unwrap();
        let other = UdpSocket::bind(place).unwrap();
        let mut responder = Responder::new(place);
        let fault = responder.fault().unwrap();
        assert!(fault.contains("127.14.10.1:1817") && fault.contains("ss -ulpn sport = :1817"), "{fault}");
        drop(other);
        responder.try_again();
        assert_eq!((responder.fault(), responder.fd().is_some()), (None, true));
    }

    proptest! {
        #[test]
        fn no_packet_makes_it_panic_or_answer(packet in proptest::collection::vec(any::<u8>(), 0..2 * PACKET_LEN), is_ours: bool) {
            let mut packet = packet;
            if is_ours {
                // Only packets with the right head reach the signature check.
                let head = key(KEY).question(&[7; 16], at(1), at(2));
                let most = packet.len().min(SIGNED_LEN);
                packet[..most].copy_from_slice(&head[..most]);
            }
            prop_assert_eq!(key(KEY).answer_to(&packet, at(1), at(2)), None);
            prop_assert_eq!(key(KEY).answered(&packet, at(1), at(2)), None);
        }
    }
}
