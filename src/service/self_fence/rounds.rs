//! Asking the candidates: a round of questions each few seconds, and what came to each of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::node::NodeName;
use crate::core::shun::lease::{CandidateAnswer, Lease};
use crate::sys::ganeti::confd::{Confd, ConfdNodeRole, PORT, Salts};
use crate::sys::signed_echo::{EchoKey, EchoKeys, Nonce, Responder};

/// How many rounds are remembered: later than that no answer extends a lease.
const REMEMBERED: usize = 16;

/// How many packets are taken in before it is looked again what else is to be done.
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
    rounds: VecDeque<Round>,
}

struct Round {
    salts: Salts,
    sent: Duration,
    named: BTreeSet<IpAddr>,
    words: BTreeMap<IpAddr, CandidateAnswer>,
    nonces: BTreeMap<IpAddr, Nonce>,
}

impl Rounds {
    /// From the node's own address, as that is the one that is refused; `own` has the port at which all nodes answer.
    pub(super) fn new(node: &NodeName, own: SocketAddr, data_dir: &Path) -> Result<Self, String> {
        let confd = Confd::new(data_dir).map_err(|error| error.to_string())?;
        let keys = EchoKeys::new(EchoKey::new(&confd).map_err(|error| error.to_string())?);
        let at = SocketAddr::new(own.ip(), 0);
        let socket = UdpSocket::bind(at).map_err(|error| format!("cannot use {}: {error}", own.ip()))?;
        socket.set_nonblocking(true).map_err(|error| error.to_string())?;
        // A node that cannot answer others asks them all the same.
        let responder = Responder::new(own);
        let (node, data_dir) = (node.clone(), data_dir.to_owned());
        Ok(Self { node, data_dir, confd, socket, own, keys, responder, rounds: VecDeque::new() })
    }

    /// What to wait for.
    pub(super) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        std::iter::once(self.socket.as_fd()).chain(self.responder.fd()).collect()
    }

    /// Answers those who ask whether this node is there: armed or not, and whatever it is let do itself.
    pub(super) fn answer(&self) {
        self.responder.answer(&self.keys);
    }

    /// Why this node answers nobody, while that is so.
    pub(super) fn fault(&self) -> Option<&str> {
        self.responder.fault()
    }

    /// Asks everybody, in a round that counts from `sent`.
    pub(super) fn ask(&mut self, sent: Duration, named: &BTreeSet<IpAddr>, in_force: &BTreeSet<IpAddr>) {
        // The cluster's key may have been renewed: with the old one nobody's refusal would be heard.
        if let Ok(confd) = Confd::new(&self.data_dir) {
            if let Ok(key) = EchoKey::new(&confd) {
                self.keys.take(key, sent);
            }
            self.confd = confd;
        }
        self.responder.try_again();
        // Without a salt that was never used nothing is asked: no answer, no lease.
        let Ok(salts) = Salts::new().inspect_err(|error| tracing::warn!(%error, "no random salt")) else { return };
        for address in named.union(in_force) {
            let question = self.confd.role_question(&self.node, &salts, *address);
            // Refused or unreachable is no answer.
            let _ = self.socket.send_to(&question, SocketAddr::new(*address, PORT));
        }
        self.rounds.push_back(Round {
            salts,
            sent,
            named: named.clone(),
            words: BTreeMap::new(),
            nonces: BTreeMap::new(),
        });
        if self.rounds.len() > REMEMBERED {
            self.rounds.pop_front();
        }
    }

    /// Asks the daemons of those whose confd is silent in the last round.
    pub(super) fn echo(&mut self, in_force: &BTreeSet<IpAddr>) {
        let Some(round) = self.rounds.back_mut() else { return };
        for address in round.named.union(in_force) {
            if round.words.contains_key(address) {
                continue;
            }
            let mut nonce = Nonce::default();
            if getrandom::fill(&mut nonce).is_err() {
                continue;
            }
            round.nonces.insert(*address, nonce);
            for key in self.keys.all() {
                let question = key.question(&nonce, self.own.ip(), *address);
                // Refused or unreachable is no answer.
                let _ = self.socket.send_to(&question, SocketAddr::new(*address, self.own.port()));
            }
        }
    }

    /// Takes in everything that has come, and has the lease judge the rounds that it came to.
    pub(super) fn take_in(&mut self, lease: &mut Lease) -> io::Result<()> {
        let mut touched = BTreeSet::new();
        let mut buffer = [0; 4096];
        let mut failed = None;
        // Whoever floods it does not keep it from petting.
        for _ in 0..AT_ONCE {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => touched.extend(self.hear(&buffer[..length], from)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // A refusal by ICMP comes as an error of a later call.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                // What has come is taken in all the same.
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        for round in self.rounds.iter().filter(|round| touched.contains(&round.sent)) {
            lease.round(round.sent, &round.named, &round.words);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Takes in one datagram; when the round was sent that it answers, if it answers one.
    fn hear(&mut self, datagram: &[u8], from: SocketAddr) -> Option<Duration> {
        if let Some((salt, role)) = self.confd.role(datagram) {
            let round = self.rounds.iter_mut().find(|round| round.salts.is_answer(&salt, from))?;
            let word = if role == ConfdNodeRole::Offline { CandidateAnswer::Refuses } else { CandidateAnswer::MayRun };
            round.words.insert(from.ip(), word);
            return Some(round.sent);
        }
        let nonce =
            self.keys.answered(datagram, self.own.ip(), from.ip()).filter(|_| from.port() == self.own.port())?;
        let round = self.rounds.iter_mut().find(|round| round.nonces.get(&from.ip()) == Some(&nonce))?;
        // A signed word of confd counts more, whichever comes first.
        round.words.entry(from.ip()).or_insert(CandidateAnswer::Alive);
        Some(round.sent)
    }

    /// What each candidate said in the last round but this one, which may not be over.
    pub(super) fn last(&self) -> BTreeMap<IpAddr, CandidateAnswer> {
        let round = self.rounds.iter().rev().nth(1).or(self.rounds.back());
        let Some(round) = round else { return BTreeMap::new() };
        round
            .named
            .iter()
            .map(|address| (*address, round.words.get(address).copied().unwrap_or(CandidateAnswer::Silent)))
            .collect()
    }

    /// Those who let it run no longer, and what each of them said, for people.
    pub(super) fn who_does_not_grant(&self) -> String {
        let last = self.last().into_iter().filter(|(_, word)| !word.grants());
        last.map(|(address, word)| format!("{address} {}", text(word))).collect::<Vec<_>>().join(", ")
    }
}

/// A word for people.
pub(super) const fn text(word: CandidateAnswer) -> &'static str {
    match word {
        CandidateAnswer::MayRun => "may run",
        CandidateAnswer::Refuses => "refuses",
        CandidateAnswer::Alive => "alive",
        CandidateAnswer::Silent => "silent",
    }
}

#[cfg(test)]
mod tests;
