//! Asks the master candidates in rounds, one every few seconds, and assigns each answer to its round. It sends and
//! receives UDP packets, and answers the echoes of other nodes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::SelfFenceError;
use crate::core::ganeti::CONFD_PORT;
use crate::core::node::NodeName;
use crate::core::shun::lease::{CandidateAnswer, Lease};
use crate::sys::ganeti::confd::{Confd, ConfdNodeRole, Salts};
use crate::sys::signed_echo::{EchoKey, EchoKeys, Nonce, Responder};

/// The number of rounds that are remembered; a later answer does not extend a lease.
const ROUNDS_REMEMBERED: usize = 16;

/// The largest number of packets that are read before the loop goes on.
const AT_ONCE: usize = 1_024;

/// The rounds of one node.
pub(super) struct Rounds {
    node: NodeName,
    data_dir: PathBuf,
    confd: Confd,
    socket: UdpSocket,
    own: SocketAddr,
    keys: EchoKeys,
    responder: Responder,
    rounds: VecDeque<LeaseRound>,
}

struct LeaseRound {
    salts: Salts,
    sent: Duration,
    named: BTreeSet<IpAddr>,
    answers: BTreeMap<IpAddr, CandidateAnswer>,
    nonces: BTreeMap<IpAddr, Nonce>,
}

impl Rounds {
    /// Returns the rounds of `node`. Questions are sent from its own address, as the others shun that one. `own` also
    /// has the port at which all nodes answer echoes.
    pub(super) fn new(node: &NodeName, own: SocketAddr, data_dir: &Path) -> Result<Self, SelfFenceError> {
        let confd = Confd::new(data_dir)?;
        let keys = EchoKeys::new(EchoKey::new(&confd).map_err(SelfFenceError::EchoKey)?);
        let unusable = |error| SelfFenceError::Address { address: own.ip(), error };
        let socket = UdpSocket::bind(SocketAddr::new(own.ip(), 0)).map_err(unusable)?;
        socket.set_nonblocking(true).map_err(unusable)?;
        // A node that cannot answer others still asks them.
        let responder = Responder::new(own);
        let (node, data_dir) = (node.clone(), data_dir.to_owned());
        Ok(Self { node, data_dir, confd, socket, own, keys, responder, rounds: VecDeque::new() })
    }

    /// Returns the sockets to wait for.
    pub(super) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        std::iter::once(self.socket.as_fd()).chain(self.responder.fd()).collect()
    }

    /// Answers the echoes of other nodes, also if this node is not armed or has no lease.
    pub(super) fn answer(&self) {
        self.responder.answer(&self.keys);
    }

    /// Returns why this node cannot answer echoes; `None` if it can.
    pub(super) fn fault(&self) -> Option<&str> {
        self.responder.fault()
    }

    /// Asks all candidates, in a round that counts from `sent`.
    pub(super) fn ask(&mut self, sent: Duration, named: &BTreeSet<IpAddr>, in_force: &BTreeSet<IpAddr>) {
        // The cluster's key may have been renewed: with the old key no denial could be verified.
        if let Ok(confd) = Confd::new(&self.data_dir) {
            if let Ok(key) = EchoKey::new(&confd) {
                self.keys.take(key, sent);
            }
            self.confd = confd;
        }
        self.responder.try_again();
        // Without a random salt no question is sent: no answer, no lease.
        let Ok(salts) = Salts::new().inspect_err(|error| tracing::warn!(%error, "no random salt")) else { return };
        for address in named.union(in_force) {
            let question = self.confd.role_question(&self.node, &salts, *address);
            // An error of sending counts as no answer.
            let _ = self.socket.send_to(&question, SocketAddr::new(*address, CONFD_PORT));
        }
        self.rounds.push_back(LeaseRound {
            salts,
            sent,
            named: named.clone(),
            answers: BTreeMap::new(),
            nonces: BTreeMap::new(),
        });
        if self.rounds.len() > ROUNDS_REMEMBERED {
            self.rounds.pop_front();
        }
    }

    /// Asks the self-fence daemons of the candidates whose confd has not answered in the last round.
    pub(super) fn echo(&mut self, in_force: &BTreeSet<IpAddr>) {
        let Some(round) = self.rounds.back_mut() else { return };
        for address in round.named.union(in_force) {
            if round.answers.contains_key(address) {
                continue;
            }
            let mut nonce = Nonce::default();
            if getrandom::fill(&mut nonce).is_err() {
                continue;
            }
            round.nonces.insert(*address, nonce);
            for key in self.keys.all() {
                let question = key.question(&nonce, self.own.ip(), *address);
                // An error of sending counts as no answer.
                let _ = self.socket.send_to(&question, SocketAddr::new(*address, self.own.port()));
            }
        }
    }

    /// Reads all packets that have arrived, and evaluates the rounds that they belong to for the lease.
    pub(super) fn take_in(&mut self, lease: &mut Lease) -> io::Result<()> {
        let mut touched = BTreeSet::new();
        let mut buffer = [0; 4096];
        let mut failed = None;
        // A flood of packets must not delay the keepalives.
        for _ in 0..AT_ONCE {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => touched.extend(self.read_answer(&buffer[..length], from)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // An ICMP error for an earlier packet comes as an error of a later call.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                // The packets before the error still count.
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        for round in self.rounds.iter().filter(|round| touched.contains(&round.sent)) {
            lease.round(round.sent, &round.named, &round.answers);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Reads one datagram. Returns when its round was sent; `None` if it is not an answer of a remembered round.
    fn read_answer(&mut self, datagram: &[u8], from: SocketAddr) -> Option<Duration> {
        if let Some((salt, role)) = self.confd.role(datagram) {
            let round = self.rounds.iter_mut().find(|round| round.salts.is_answer(&salt, from))?;
            let answer =
                if role == ConfdNodeRole::Offline { CandidateAnswer::Denied } else { CandidateAnswer::Granted };
            round.answers.insert(from.ip(), answer);
            return Some(round.sent);
        }
        let nonce =
            self.keys.answered(datagram, self.own.ip(), from.ip()).filter(|_| from.port() == self.own.port())?;
        let round = self.rounds.iter_mut().find(|round| round.nonces.get(&from.ip()) == Some(&nonce))?;
        // A signed answer of confd counts more than an echo, in either order.
        round.answers.entry(from.ip()).or_insert(CandidateAnswer::Alive);
        Some(round.sent)
    }

    /// Returns each candidate's answer in the last round but one: the last one may not be over.
    pub(super) fn last(&self) -> BTreeMap<IpAddr, CandidateAnswer> {
        let round = self.rounds.iter().rev().nth(1).or(self.rounds.back());
        let Some(round) = round else { return BTreeMap::new() };
        round
            .named
            .iter()
            .map(|address| (*address, round.answers.get(address).copied().unwrap_or(CandidateAnswer::Silent)))
            .collect()
    }

    /// Returns the candidates that do not grant the lease, each with its answer, as text for the log.
    pub(super) fn who_does_not_grant(&self) -> String {
        let last = self.last().into_iter().filter(|(_, answer)| !answer.grants());
        last.map(|(address, answer)| format!("{address} {}", text(answer))).collect::<Vec<_>>().join(", ")
    }
}

/// Returns the answer as text for the status.
pub(super) const fn text(answer: CandidateAnswer) -> &'static str {
    match answer {
        CandidateAnswer::Granted => "granted",
        CandidateAnswer::Denied => "denied",
        CandidateAnswer::Alive => "alive",
        CandidateAnswer::Silent => "silent",
    }
}

#[cfg(test)]
mod tests;
