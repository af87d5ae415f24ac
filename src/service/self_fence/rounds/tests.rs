//! Tests rounds against candidates that answer correctly, and against hostile hosts.

use super::*;
use crate::core::shun::lease_times::LeaseTimes;

const ECHO: u16 = 1817;
const KEY: &str = "0123456789abcdef0123456789abcdef01234567\n";
const LEASE_TIMES: LeaseTimes = LeaseTimes { lease_ms: 10_000, watchdog_ms: 5_000, drift_ppm: 0, stop_ms: 0 };

/// Three candidates on loopback addresses that no other test uses, and a node that asks them.
struct Cluster {
    dir: tempfile::TempDir,
    candidates: Vec<UdpSocket>,
    named: BTreeSet<IpAddr>,
    rounds: Rounds,
    lease: Lease,
}

impl Cluster {
    fn new(net: u8) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("hmac.key"), KEY).unwrap();
        let address = |host: u8| IpAddr::from([127, 14, net, host]);
        let named: BTreeSet<IpAddr> = (1..=3).map(address).collect();
        let candidates = named.iter().map(|at| UdpSocket::bind((*at, CONFD_PORT)).unwrap()).collect();
        let node = NodeName::new("n4.lab").unwrap();
        let rounds = Rounds::new(&node, SocketAddr::new(address(4), ECHO), dir.path()).unwrap();
        let lease = Lease::new(LEASE_TIMES, named.clone());
        Self { dir, candidates, named, rounds, lease }
    }

    fn asks(&mut self, at_ms: u64) {
        self.rounds.ask(Duration::from_millis(at_ms), &self.named, &self.named);
    }

    /// The candidates `by` answer the first question that they received, with `key` and `role`.
    fn answers(&mut self, key: &str, role: u8, by: &[usize]) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("hmac.key"), key).unwrap();
        let confd = Confd::new(dir.path()).unwrap();
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
fn an_answer_with_another_key_or_of_offline_grants_nothing() {
    let mut cluster = Cluster::new(2);
    cluster.asks(1_000);
    cluster.answers("another key of 40 digits, which is stolen\n", 3, &[0, 1, 2]);
    assert_eq!(cluster.granted_at(), None);
    cluster.asks(2_000);
    cluster.answers(KEY, 2, &[0, 1]);
    cluster.answers(KEY, 3, &[2]);
    assert_eq!(cluster.granted_at(), None);
    cluster.asks(3_000);
    let answers_of_round: Vec<&str> = cluster.rounds.last().into_values().map(text).collect();
    assert_eq!(answers_of_round, ["denied", "denied", "granted"]);
    assert_eq!(cluster.rounds.who_does_not_grant(), "127.14.2.1 denied, 127.14.2.2 denied");
}

/// One answer never counts twice: a candidate's answer that is sent on from the address of another is not a second
/// grant.
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
    let answers_of_round: Vec<&str> = cluster.rounds.last().into_values().map(text).collect();
    assert_eq!((cluster.granted_at(), answers_of_round.as_slice()), (None, &["granted", "silent", "silent"][..]));
    cluster.answers(KEY, 3, &[1]);
    assert_eq!(cluster.granted_at(), Some(1_000), "its own answer");
}

/// A key that was cut short is not taken: the node goes on with its earlier key.
#[test]
fn an_empty_key_signs_no_grant() {
    let mut cluster = Cluster::new(6);
    std::fs::write(cluster.dir.path().join("hmac.key"), "").unwrap();
    cluster.asks(1_000);
    cluster.answers(KEY, 3, &[0, 1]);
    assert_eq!(cluster.granted_at(), Some(1_000));
    let refused =
        Rounds::new(&NodeName::new("n4.lab").unwrap(), "127.14.6.4:1817".parse().unwrap(), cluster.dir.path());
    assert!(refused.err().unwrap().to_string().contains("is not a valid key: 0 bytes"));
}

#[test]
fn a_host_that_is_not_a_candidate_grants_nothing_with_a_valid_signature() {
    let mut cluster = Cluster::new(3);
    cluster.candidates[0] = UdpSocket::bind((IpAddr::from([127, 14, 3, 9]), CONFD_PORT)).unwrap();
    cluster.asks(1_000);
    // The host that is not a candidate has read the second candidate's question.
    let mut buffer = [0; 4096];
    let (length, from) = cluster.candidates[1].recv_from(&mut buffer).unwrap();
    cluster.candidates[0].send_to(&cluster.rounds.confd.role_answer(&buffer[..length], 3).unwrap(), from).unwrap();
    cluster.answers(KEY, 3, &[2]);
    assert_eq!(cluster.granted_at(), None);
}

#[test]
fn an_answer_that_comes_after_many_other_rounds_grants_nothing() {
    let mut cluster = Cluster::new(4);
    for round in 0..=ROUNDS_REMEMBERED as u64 {
        cluster.asks(1_000 + round);
    }
    cluster.answers(KEY, 3, &[0, 1, 2]);
    assert_eq!(cluster.granted_at(), None, "the first");
    cluster.answers(KEY, 3, &[0, 1, 2]);
    assert_eq!(cluster.granted_at(), Some(1_001), "the second is remembered");
}

/// Returns whether hostile packets renew a lease that signed answers began. Each packet is sent from the address and
/// port of the candidate with its number. `forge` knows what was asked and answered.
fn is_renewed_by(net: u8, forge: impl Fn(&Echoed) -> Vec<(usize, Vec<u8>)>) -> bool {
    let mut cluster = Cluster::new(net);
    let sockets: Vec<UdpSocket> = cluster.named.iter().map(|at| UdpSocket::bind((*at, ECHO)).unwrap()).collect();
    cluster.asks(1_000);
    cluster.answers(KEY, 3, &[0, 1, 2]);
    let mut buffer = [0; 4096];
    let mut asked = |cluster: &mut Cluster, at_ms: u64| -> (Vec<Vec<u8>>, SocketAddr) {
        cluster.asks(at_ms);
        cluster.rounds.echo(&cluster.named.clone());
        let mut questions = Vec::new();
        let mut asker = None;
        for socket in &sockets {
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            questions.push(buffer[..length].to_vec());
            asker = Some(from);
        }
        (questions, asker.unwrap())
    };
    let (old, _) = asked(&mut cluster, 2_000);
    let (questions, asker) = asked(&mut cluster, 3_000);
    let key = EchoKey::of_bytes(KEY.as_bytes()).unwrap();
    let candidates: Vec<IpAddr> = cluster.named.iter().copied().collect();
    let answer =
        |questions: &[Vec<u8>], by: usize| key.answer_to(&questions[by], asker.ip(), candidates[by]).unwrap().to_vec();
    let echoed = Echoed {
        answers: (0..3).map(|by| answer(&questions, by)).collect(),
        // The answers of a round that the node has forgotten prove nothing about now.
        old: (0..3).map(|by| answer(&old, by)).collect(),
        questions,
        asker: asker.ip(),
        candidates,
    };
    cluster.rounds.rounds.retain(|round| round.sent != Duration::from_secs(2));
    for (by, packet) in forge(&echoed) {
        sockets[by].send_to(&packet, asker).unwrap();
    }
    cluster.rounds.take_in(&mut cluster.lease).unwrap();
    match cluster.granted_at() {
        Some(1_000) => false,
        Some(3_000) => true,
        other => panic!("{other:?}"),
    }
}

/// The packets of two rounds that a host in the network has seen.
struct Echoed {
    questions: Vec<Vec<u8>>,
    answers: Vec<Vec<u8>>,
    old: Vec<Vec<u8>>,
    asker: IpAddr,
    candidates: Vec<IpAddr>,
}

/// No confd answers, and the daemons of two of three candidates do.
#[test]
fn signed_echoes_of_a_majority_keep_a_lease() {
    assert!(is_renewed_by(11, |seen| vec![(0, seen.answers[0].clone()), (2, seen.answers[2].clone())]));
    assert!(!is_renewed_by(12, |seen| vec![(0, seen.answers[0].clone())]));
}

/// Forged echoes from the candidates' addresses renew no lease. Otherwise a host that is cut off would run on for ever,
/// and be taken for stopped.
#[test]
fn no_forged_echo_renews_a_lease() {
    type Forge = fn(&Echoed) -> Vec<(usize, Vec<u8>)>;
    let by_all = |packets: Vec<Vec<u8>>| packets.into_iter().enumerate().collect::<Vec<_>>();
    assert!(!is_renewed_by(13, |seen| by_all(seen.questions.clone())), "reflected");
    assert!(!is_renewed_by(14, |seen| by_all(seen.old.clone())), "of another round");
    let forged: [(u8, &str, Forge); 4] = [
        (15, "one answer, from the addresses of all", |seen| (0..3).map(|by| (by, seen.answers[0].clone())).collect()),
        (16, "answers of one another", |seen| (0..3).map(|by| (by, seen.answers[(by + 1) % 3].clone())).collect()),
        (17, "unsigned", |seen| {
            let unsigned = |by: usize| {
                let mut packet = seen.answers[by].clone();
                let end = packet.len() - 20;
                packet[end..].fill(0);
                (by, packet)
            };
            (0..3).map(unsigned).collect()
        }),
        (18, "signed with another key", |seen| {
            let other = EchoKey::of_bytes(b"another key of 40 digits, which is stolen").unwrap();
            let answer = |by: usize| {
                // The hostile host has read the nonce in the question.
                let nonce: Nonce = seen.questions[by][16..32].try_into().unwrap();
                let question = other.question(&nonce, seen.asker, seen.candidates[by]);
                (by, other.answer_to(&question, seen.asker, seen.candidates[by]).unwrap().to_vec())
            };
            (0..3).map(answer).collect()
        }),
    ];
    for (net, what, forge) in forged {
        assert!(!is_renewed_by(net, forge), "{what}");
    }
}

/// The daemon's own loop answers the echo, also from a node that is a candidate itself.
#[test]
fn the_daemons_of_two_candidates_keep_each_others_lease() {
    let mut cluster = Cluster::new(19);
    cluster.asks(1_000);
    cluster.answers(KEY, 3, &[0, 1]);
    let at = |host: u8| SocketAddr::new(IpAddr::from([127, 14, 19, host]), ECHO);
    let of = |host: u8| Rounds::new(&cluster.rounds.node, at(host), cluster.dir.path()).unwrap();
    let (mut first, second) = (of(1), of(2));
    let named = cluster.named.clone();
    let mut lease = Lease::restored(LEASE_TIMES, named.clone(), Duration::from_secs(1));
    first.ask(Duration::from_secs(2), &named, &named);
    first.echo(&named);
    first.answer();
    second.answer();
    first.take_in(&mut lease).unwrap();
    assert_eq!(lease.granted_at(), Some(Duration::from_secs(2)));
    let answers_of_round: Vec<&str> = first.rounds[0].answers.values().copied().map(text).collect();
    assert_eq!(answers_of_round, ["alive", "alive"]);
}
