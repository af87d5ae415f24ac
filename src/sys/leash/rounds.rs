//! Asking the candidates: a round of questions each few seconds, and what came to each of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::echo::{Echo, Nonce};
use crate::core::node::NodeName;
use crate::core::shun::lease::{Lease, Word};
use crate::sys::ganeti::confd::{Confd, PORT, Role};

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
    echo: Option<Echo>,
    rounds: VecDeque<Round>,
    number: u64,
}

struct Round {
    salt: String,
    sent: Duration,
    named: BTreeSet<IpAddr>,
    words: BTreeMap<IpAddr, Word>,
    nonces: BTreeMap<IpAddr, Nonce>,
}

impl Rounds {
    /// From the node's own address, as that is the one that is refused.
    pub(super) fn new(node: &NodeName, own: IpAddr, data_dir: &Path) -> Result<Self, String> {
        let confd = Confd::new(data_dir).map_err(|error| error.to_string())?;
        let socket = UdpSocket::bind(SocketAddr::new(own, 0)).map_err(|error| format!("cannot use {own}: {error}"))?;
        socket.set_nonblocking(true).map_err(|error| error.to_string())?;
        // Without echoes a fault of confd everywhere cannot be told from a cut: strict, and safe.
        let echo = Echo::bind(own).inspect_err(|error| tracing::warn!(%error, "no echo")).ok();
        let data_dir = data_dir.to_owned();
        Ok(Self { node: node.clone(), data_dir, confd, socket, echo, rounds: VecDeque::new(), number: 0 })
    }

    /// What to wait for.
    pub(super) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        std::iter::once(self.socket.as_fd()).chain(self.echo.as_ref().map(Echo::fd)).collect()
    }

    /// Asks everybody, in a round that counts from `sent`.
    pub(super) fn ask(&mut self, sent: Duration, named: &BTreeSet<IpAddr>, in_force: &BTreeSet<IpAddr>) {
        // The cluster's key may have been renewed: with the old one nobody's refusal would be heard.
        if let Ok(confd) = Confd::new(&self.data_dir) {
            self.confd = confd;
        }
        self.number += 1;
        let salt = format!("{:x}-{:x}-{:x}", std::process::id(), self.number, sent.as_nanos());
        let question = self.confd.role_question(&self.node, &salt);
        for address in named.union(in_force) {
            // Refused or unreachable is no answer.
            let _ = self.socket.send_to(&question, SocketAddr::new(*address, PORT));
        }
        self.rounds.push_back(Round {
            salt,
            sent,
            named: named.clone(),
            words: BTreeMap::new(),
            nonces: BTreeMap::new(),
        });
        if self.rounds.len() > REMEMBERED {
            self.rounds.pop_front();
        }
    }

    /// Asks the kernels of those whose confd is silent in the last round.
    pub(super) fn echo(&mut self, in_force: &BTreeSet<IpAddr>) {
        let (Some(echo), Some(round)) = (&self.echo, self.rounds.back_mut()) else { return };
        for address in round.named.union(in_force) {
            if round.words.contains_key(address) {
                continue;
            }
            let mut nonce = Nonce::default();
            if getrandom::fill(&mut nonce).is_ok() {
                round.nonces.insert(*address, nonce);
                echo.ask(*address, &nonce);
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
                Ok((length, from)) => {
                    let Some((salt, role)) = self.confd.role(&buffer[..length]) else { continue };
                    let Some(round) = self.rounds.iter_mut().find(|round| round.salt == salt) else { continue };
                    let word = if role == Role::Offline { Word::Refuses } else { Word::MayRun };
                    round.words.insert(from.ip(), word);
                    touched.insert(round.sent);
                }
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
        for _ in 0..AT_ONCE {
            let Some((from, nonce)) = self.echo.as_ref().and_then(Echo::answer) else { break };
            let answered = self.rounds.iter_mut().find(|round| round.nonces.get(&from) == Some(&nonce));
            if let Some(round) = answered {
                // A signed word counts more, whichever comes first.
                round.words.entry(from).or_insert(Word::Alive);
                touched.insert(round.sent);
            }
        }
        for round in self.rounds.iter().filter(|round| touched.contains(&round.sent)) {
            lease.round(round.sent, &round.named, &round.words);
        }
        failed.map_or(Ok(()), Err)
    }

    /// What each candidate said in the last round but this one, which may not be over.
    pub(super) fn last(&self) -> BTreeMap<IpAddr, Word> {
        let round = self.rounds.iter().rev().nth(1).or(self.rounds.back());
        let Some(round) = round else { return BTreeMap::new() };
        round
            .named
            .iter()
            .map(|address| (*address, round.words.get(address).copied().unwrap_or(Word::Silent)))
            .collect()
    }
}
