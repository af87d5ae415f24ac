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
use crate::sys::ganeti::confd::{Confd, PORT, Role, Salts};

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
}

struct Round {
    salts: Salts,
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
        Ok(Self { node: node.clone(), data_dir, confd, socket, echo, rounds: VecDeque::new() })
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
                    let Some(round) = self.rounds.iter_mut().find(|round| round.salts.is_answer(&salt, from)) else {
                        continue;
                    };
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

    /// Those who let it run no longer, and what each of them said, for people.
    pub(super) fn who_does_not_grant(&self) -> String {
        let last = self.last().into_iter().filter(|(_, word)| !word.grants());
        last.map(|(address, word)| format!("{address} {}", text(word))).collect::<Vec<_>>().join(", ")
    }
}

/// A word for people.
pub(super) const fn text(word: Word) -> &'static str {
    match word {
        Word::MayRun => "may run",
        Word::Refuses => "refuses",
        Word::Alive => "alive",
        Word::Silent => "silent",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::shun::terms::Terms;

    const KEY: &str = "0123456789abcdef0123456789abcdef01234567\n";
    const TERMS: Terms = Terms { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 0, stop_ms: 0 };

    /// Three candidates on loopback addresses that no other test uses, and a node that asks them.
    struct Cluster {
        folder: tempfile::TempDir,
        candidates: Vec<UdpSocket>,
        named: BTreeSet<IpAddr>,
        rounds: Rounds,
        lease: Lease,
    }

    impl Cluster {
        fn new(net: u8) -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("hmac.key"), KEY).unwrap();
            let address = |host: u8| IpAddr::from([127, 14, net, host]);
            let named: BTreeSet<IpAddr> = (1..=3).map(address).collect();
            let candidates = named.iter().map(|at| UdpSocket::bind((*at, PORT)).unwrap()).collect();
            let node = NodeName::new("n4.lab").unwrap();
            let mut rounds = Rounds::new(&node, address(4), folder.path()).unwrap();
            rounds.echo = None;
            let lease = Lease::new(TERMS, named.clone());
            Self { folder, candidates, named, rounds, lease }
        }

        fn asks(&mut self, at_ms: u64) {
            self.rounds.ask(Duration::from_millis(at_ms), &self.named, &self.named);
        }

        /// Each of them answers the question that came first, by `key`, from where `by` says.
        fn answers(&mut self, key: &str, role: u8, by: &[usize]) {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("hmac.key"), key).unwrap();
            let confd = Confd::new(folder.path()).unwrap();
            for candidate in by.iter().map(|at| &self.candidates[*at]) {
                candidate.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let mut buffer = [0; 4096];
                let (length, from) = candidate.recv_from(&mut buffer).unwrap();
                candidate.send_to(&confd.role_answer(&buffer[..length], role).unwrap(), from).unwrap();
            }
            self.rounds.take_in(&mut self.lease).unwrap();
        }

        fn granted_at(&self) -> Option<u64> {
            self.lease.granted_at().map(|at| at.as_millis() as u64)
        }
    }

    #[test]
    fn a_majority_of_signed_answers_grants_from_when_the_question_was_sent() {
        let mut cluster = Cluster::new(1);
        cluster.asks(1_000);
        cluster.answers(KEY, 3, &[0]);
        assert_eq!(cluster.granted_at(), None, "one of three");
        cluster.asks(4_000);
        cluster.answers(KEY, 1, &[1]);
        assert_eq!(cluster.granted_at(), Some(1_000), "the second answered the first question");
        cluster.answers(KEY, 0, &[0, 1]);
        assert_eq!(cluster.granted_at(), Some(4_000));
    }

    #[test]
    fn what_is_signed_with_another_key_or_says_offline_grants_nothing() {
        let mut cluster = Cluster::new(2);
        cluster.asks(1_000);
        cluster.answers("another key of 40 digits, which is stolen\n", 3, &[0, 1, 2]);
        assert_eq!(cluster.granted_at(), None);
        cluster.asks(2_000);
        cluster.answers(KEY, 2, &[0, 1]);
        cluster.answers(KEY, 3, &[2]);
        assert_eq!(cluster.granted_at(), None);
        cluster.asks(3_000);
        let said: Vec<&str> = cluster.rounds.last().into_values().map(text).collect();
        assert_eq!(said, ["refuses", "refuses", "may run"]);
        assert_eq!(cluster.rounds.who_does_not_grant(), "127.14.2.1 refuses, 127.14.2.2 refuses");
    }

    /// One answer never counts for two: a candidate's answer that is sent on from the address of another is no second grant.
    #[test]
    fn one_candidates_answer_does_not_grant_for_another() {
        let mut cluster = Cluster::new(5);
        cluster.asks(1_000);
        let mut buffer = [0; 4096];
        let (length, from) = cluster.candidates[0].recv_from(&mut buffer).unwrap();
        let answer = cluster.rounds.confd.role_answer(&buffer[..length], 3).unwrap();
        for candidate in &cluster.candidates {
            candidate.send_to(&answer, from).unwrap();
        }
        cluster.rounds.take_in(&mut cluster.lease).unwrap();
        let said: Vec<&str> = cluster.rounds.last().into_values().map(text).collect();
        assert_eq!((cluster.granted_at(), said.as_slice()), (None, &["may run", "silent", "silent"][..]));
        cluster.answers(KEY, 3, &[1]);
        assert_eq!(cluster.granted_at(), Some(1_000), "its own answer");
    }

    /// A key that was cut short is not taken: the node goes on with the one that it has.
    #[test]
    fn an_empty_key_signs_no_grant() {
        let mut cluster = Cluster::new(6);
        std::fs::write(cluster.folder.path().join("hmac.key"), "").unwrap();
        cluster.asks(1_000);
        cluster.answers(KEY, 3, &[0, 1]);
        assert_eq!(cluster.granted_at(), Some(1_000));
        let refused =
            Rounds::new(&NodeName::new("n4.lab").unwrap(), IpAddr::from([127, 14, 6, 4]), cluster.folder.path());
        assert!(refused.err().unwrap().contains("is not a valid key: 0 bytes"));
    }

    #[test]
    fn who_is_no_candidate_grants_nothing_however_well_he_signs() {
        let mut cluster = Cluster::new(3);
        cluster.candidates[0] = UdpSocket::bind((IpAddr::from([127, 14, 3, 9]), PORT)).unwrap();
        cluster.asks(1_000);
        // He has seen the second candidate's question.
        let mut buffer = [0; 4096];
        let (length, from) = cluster.candidates[1].recv_from(&mut buffer).unwrap();
        cluster.candidates[0].send_to(&cluster.rounds.confd.role_answer(&buffer[..length], 3).unwrap(), from).unwrap();
        cluster.answers(KEY, 3, &[2]);
        assert_eq!(cluster.granted_at(), None);
    }

    #[test]
    fn an_answer_that_comes_after_many_other_rounds_grants_nothing() {
        let mut cluster = Cluster::new(4);
        for round in 0..=REMEMBERED as u64 {
            cluster.asks(1_000 + round);
        }
        cluster.answers(KEY, 3, &[0, 1, 2]);
        assert_eq!(cluster.granted_at(), None, "the first");
        cluster.answers(KEY, 3, &[0, 1, 2]);
        assert_eq!(cluster.granted_at(), Some(1_001), "the second is remembered");
    }
}
