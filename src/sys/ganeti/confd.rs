//! Client of confd, Ganeti's configuration query daemon. Reads the cluster key and exchanges UDP datagrams: one signed
//! request, one signed answer.
//!
//! Source: `lib/confd/client.py`, `lib/serializer.py` (`DumpSignedJson`), `src/Ganeti/Confd/Server.hs`. confd answers
//! on master candidates, from their copy of the configuration. A candidate that was cut off answers from an old copy.
//!
//! The `serial` of an answer is the serial number of the *cluster object*, which most changes of instances do not
//! increment (`clusterSerial`, `Server.hs`). The serial number of the configuration shows how recent a copy is: each
//! change increments it (`bumpSerial`, `src/Ganeti/WConfd/Monad.hs`). A request for the master asks for it, too. Serial
//! numbers are comparable within one cluster only; the key belongs to the cluster.
//!
//! An answer does not name the node that sends it. It repeats the salt of its request. So each candidate is asked with
//! a salt of its own, which contains the candidate's address: the answer to one candidate's request never counts as
//! another's. This does not protect against a host that holds a candidate's address and lacks the key: such a host can
//! forward its request to another candidate and return the answer.
//! another candidate and the answer back.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hmac::{Hmac, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::Sha1;

use crate::core::node::NodeName;
use crate::sys::clock::{Deadline, wall_nanos};
use crate::sys::limited;

/// UDP port of confd (`DEFAULT_CONFD_PORT`, `src/Ganeti/Constants.hs`).
pub const PORT: u16 = 1814;

/// The first bytes of every datagram (`CONFD_MAGIC_FOURCC`).
const MAGIC: &[u8] = b"plj0";

/// The most bytes that are read of an answer: the maximum of a UDP datagram.
const ANSWER_LIMIT: usize = 65_536;

/// The minimum length of a key, in bytes without white space. A key of Ganeti's has 40 (`GenerateHmacKey`,
/// `lib/bootstrap.py`). A shorter key comes from a file that was cut short, and an empty key protects nothing.
const KEY_LEAST: usize = 16;

/// The most bytes that are read of the key file.
const KEY_LIMIT: u64 = 64 * 1024;

/// Request type for the role of a node, `CONFD_REQ_NODE_ROLE_BYNAME`.
const NODE_ROLE: u8 = 1;

/// A request that is the same for every candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    /// `CONFD_REQ_PING`: whether confd answers.
    Ping,
    /// `CONFD_REQ_CLUSTER_MASTER`: the master's name.
    Master,
    /// `CONFD_REQ_CONFIG_QUERY`: the configuration's serial number.
    Serial,
}

impl Question {
    const fn kind(self) -> u8 {
        match self {
            Self::Ping => 0,
            Self::Master => 3,
            Self::Serial => 10,
        }
    }

    fn query(self) -> Value {
        match self {
            Self::Ping | Self::Master => Value::Null,
            Self::Serial => json!("/serial_no"),
        }
    }
}

/// The role of a node in a candidate's configuration (`ConfdNodeRole`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfdNodeRole {
    /// Role 2: the node is recorded offline.
    Offline,
    /// Any other role, 0 to 4: the node takes part in the cluster.
    Online,
}

/// The reason why confd cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ConfdError {
    /// The key that signs requests and answers cannot be read.
    #[error("cannot read the key {}: {error}", path.display())]
    Key {
        /// The path of the key file.
        path: PathBuf,
        /// The error of the file system.
        error: io::Error,
    },
    /// The key has fewer bytes than the minimum.
    #[error(
        "{} is not a valid key: {length} bytes without white space, Ganeti's have 40; on the master: gnt-cluster redist-conf, \
         or gnt-cluster renew-crypto --new-confd-hmac-key",
        path.display()
    )]
    ShortKey {
        /// The path of the key file.
        path: PathBuf,
        /// The number of bytes without white space.
        length: usize,
    },
    /// The socket of this host failed, or the kernel has no random numbers.
    #[error("cannot ask confd: {0}")]
    Socket(#[from] io::Error),
}

/// The answer of one confd to the request for the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterAnswer {
    /// The address of the candidate that answered.
    pub from: IpAddr,
    /// The master's name in the candidate's configuration.
    pub master: String,
    /// The serial number of that configuration, the `serial_no` of its `config.data`.
    pub serial: u64,
}

/// The salts of one request to several candidates, one for each candidate.
///
/// A salt consists of a random number that was never used before and the candidate's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salts(String);

impl Salts {
    /// Makes salts that no earlier request had.
    ///
    /// # Errors
    /// [`io::Error`] if the kernel has no random numbers.
    pub fn new() -> io::Result<Self> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)?;
        Ok(Self(hex(&nonce)))
    }

    /// Returns the salt of the request to `candidate`.
    #[must_use]
    pub fn of(&self, candidate: IpAddr) -> String {
        format!("{}-{candidate}", self.0)
    }

    /// Returns whether an answer with this salt, received from `from`, answers the request that was sent there.
    #[must_use]
    pub fn is_answer(&self, salt: &str, from: SocketAddr) -> bool {
        from.port() == PORT && salt == self.of(from.ip())
    }
}

/// A client of confd, with the cluster's key.
pub struct Confd {
    key: Hmac<Sha1>,
}

impl Confd {
    /// Reads the cluster's key, `hmac.key` in Ganeti's data directory. The key is the whole file, with its newline.
    ///
    /// # Errors
    /// [`ConfdError::Key`] if the file cannot be read, [`ConfdError::ShortKey`] if the key is empty or cut short.
    pub fn new(data_dir: &Path) -> Result<Self, ConfdError> {
        let path = data_dir.join("hmac.key");
        let unreadable = |error| ConfdError::Key { path: path.clone(), error };
        let key = limited::read(&path, KEY_LIMIT).map_err(unreadable)?;
        let length = key.iter().filter(|byte| !byte.is_ascii_whitespace()).count();
        if length < KEY_LEAST {
            return Err(ConfdError::ShortKey { path, length });
        }
        let key = Hmac::new_from_slice(&key).map_err(|error| unreadable(io::Error::other(error)))?;
        Ok(Self { key })
    }

    /// Returns the signing key, from which other keys are derived.
    pub(crate) fn key(&self) -> Hmac<Sha1> {
        self.key.clone()
    }

    /// Asks all of `peers` at once for the master. Returns the answers received before the deadline, or before all have
    /// answered.
    ///
    /// # Errors
    /// [`ConfdError::Socket`] if this host cannot ask. A peer that does not answer is not an error.
    pub fn masters(&self, peers: &[IpAddr], deadline: Deadline) -> Result<Vec<MasterAnswer>, ConfdError> {
        let answers = self.ask(peers, &[Question::Master, Question::Serial], deadline)?;
        let master = |from: &IpAddr| {
            let (named, serial) = (answers.get(&(*from, Question::Master))?, answers.get(&(*from, Question::Serial))?);
            // A new master changes the serial number of the cluster object: so both answers come from the time of one
            // master.
            let is_one = named.cluster_serial == serial.cluster_serial;
            let (master, serial) = (named.answer.as_str()?.to_owned(), serial.answer.as_u64()?);
            is_one.then_some(MasterAnswer { from: *from, master, serial })
        };
        Ok(peers.iter().filter_map(master).collect())
    }

    /// Returns whether confd at `peer` answers by the deadline.
    ///
    /// # Errors
    /// [`ConfdError::Socket`] if this host cannot ask.
    pub fn answers(&self, peer: IpAddr, deadline: Deadline) -> Result<bool, ConfdError> {
        Ok(!self.ask(&[peer], &[Question::Ping], deadline)?.is_empty())
    }

    /// Returns the datagram that asks `candidate` for the role of `node`. [`Salts::is_answer`] recognizes the answer.
    #[must_use]
    pub fn role_question(&self, node: &NodeName, salts: &Salts, candidate: IpAddr) -> Vec<u8> {
        self.request(NODE_ROLE, &json!(node), &salts.of(candidate), wall_nanos())
    }

    /// Returns the role in an answer and the salt of its request. Returns `None` for an answer that is not signed by
    /// the key, reports an error, or has no role.
    #[must_use]
    pub fn role(&self, datagram: &[u8]) -> Option<(String, ConfdNodeRole)> {
        const OFFLINE: u64 = 2;
        const LAST: u64 = 4;
        let (reply, salt) = self.reply(datagram)?;
        match reply.answer.as_u64()? {
            OFFLINE => Some((salt, ConfdNodeRole::Offline)),
            0..=LAST => Some((salt, ConfdNodeRole::Online)),
            _ => None,
        }
    }

    /// Sends all `questions` to all of `peers` and returns the answers.
    fn ask(&self, peers: &[IpAddr], questions: &[Question], deadline: Deadline) -> io::Result<Answers> {
        const AGAIN: Duration = Duration::from_millis(150);
        let mut answers = Answers::new();
        let Some(first) = peers.first() else { return Ok(answers) };
        let salts = questions.iter().map(|_| Salts::new()).collect::<io::Result<Vec<_>>>()?;
        let mut open: BTreeSet<(IpAddr, Question)> =
            peers.iter().flat_map(|peer| questions.iter().map(|question| (*peer, *question))).collect();
        let nanos = wall_nanos();
        let any: IpAddr = if first.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0))?;
        let mut buffer = vec![0; ANSWER_LIMIT];
        // A datagram may be lost, so open requests are sent again.
        while !open.is_empty() && !deadline.passed() {
            for (question, salts) in questions.iter().zip(&salts) {
                for (peer, _) in open.iter().filter(|(_, open)| open == question) {
                    let datagram = self.request(question.kind(), &question.query(), &salts.of(*peer), nanos);
                    // A peer that is unreachable has not answered.
                    let _ = socket.send_to(&datagram, SocketAddr::new(*peer, PORT));
                }
            }
            let round = deadline.at_most(AGAIN);
            while !open.is_empty() && !round.passed() {
                socket.set_read_timeout(Some(round.left().max(Duration::from_millis(1))))?;
                // An ICMP rejection of one peer arrives as the error of a later call; answers of other peers are not
                // lost by it.
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let Some((reply, salt)) = self.reply(&buffer[..length]) else { continue };
                let answered = questions.iter().zip(&salts).find(|(_, salts)| salts.is_answer(&salt, from));
                let Some((question, _)) = answered else { continue };
                if open.remove(&(from.ip(), *question)) {
                    answers.insert((from.ip(), *question), reply);
                }
            }
        }
        Ok(answers)
    }

    /// Returns the answer of a confd with this key to [`Confd::role_question`].
    #[cfg(test)]
    pub(crate) fn role_answer(&self, question: &[u8], role: u8) -> Option<Vec<u8>> {
        let signed: Signed = serde_json::from_slice(question.strip_prefix(MAGIC)?).ok()?;
        let asked: Value = serde_json::from_str(&signed.msg).ok()?;
        Some(self.answer(asked["rsalt"].as_str()?, &json!({"protocol": 1, "status": 0, "answer": role, "serial": 9})))
    }

    /// Returns a signed answer to the request with this salt.
    #[cfg(test)]
    fn answer(&self, salt: &str, body: &Value) -> Vec<u8> {
        let message = body.to_string();
        let hmac = hex(&self.sign(salt, &message).finalize().into_bytes());
        [MAGIC, json!({"msg": message, "salt": salt, "hmac": hmac}).to_string().as_bytes()].concat()
    }

    fn request(&self, what: u8, query: &Value, rsalt: &str, nanos: u64) -> Vec<u8> {
        let message = json!({"protocol": 1, "type": what, "query": query, "rsalt": rsalt}).to_string();
        let salt = (nanos / 1_000_000_000).to_string();
        let hmac = hex(&self.sign(&salt, &message).finalize().into_bytes());
        let mut datagram = MAGIC.to_vec();
        datagram.extend(json!({"msg": message, "salt": salt, "hmac": hmac}).to_string().into_bytes());
        datagram
    }

    /// Returns the reply and its salt, if the datagram is signed with the key and reports no error.
    fn reply(&self, datagram: &[u8]) -> Option<(Reply, String)> {
        let signed: Signed = serde_json::from_slice(datagram.strip_prefix(MAGIC)?).ok()?;
        self.sign(&signed.salt, &signed.msg).verify_slice(&unhex(&signed.hmac)?).ok()?;
        let reply: Reply = serde_json::from_str(&signed.msg).ok()?;
        (reply.status == 0).then_some((reply, signed.salt))
    }

    fn sign(&self, salt: &str, message: &str) -> Hmac<Sha1> {
        let mut mac = self.key.clone();
        mac.update(salt.as_bytes());
        mac.update(message.as_bytes());
        mac
    }
}

/// The replies, by candidate and question.
type Answers = BTreeMap<(IpAddr, Question), Reply>;

#[derive(Deserialize)]
struct Signed {
    msg: String,
    salt: String,
    hmac: String,
}

/// `ConfdReply` of Ganeti; status 0 means success.
#[derive(Deserialize)]
struct Reply {
    status: u8,
    #[serde(default)]
    answer: Value,
    #[serde(default, rename = "serial")]
    cluster_serial: u64,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with_key(key: &[u8]) -> Confd {
        Confd { key: Hmac::new_from_slice(key).unwrap() }
    }

    fn confd() -> Confd {
        with_key(b"secret\n")
    }

    /// A datagram counts as an answer only if a confd with the cluster's key signed it, and only for its own request.
    #[test]
    fn no_hostile_datagram_is_an_answer() {
        const ALL: usize = 20_000;
        let from = SocketAddr::from(([192, 0, 2, 1], PORT));
        let (ours, salts) = (confd(), Salts::new().unwrap());
        let body = |answer: Value, serial: u64| json!({"protocol": 1, "status": 0, "answer": answer, "serial": serial});
        let old = Salts::new().unwrap();
        let signed: Vec<(String, Value)> =
            [(salts.of(from.ip()), 9), (old.of(from.ip()), 8), (salts.of([192, 0, 2, 2].into()), 7)]
                .into_iter()
                .map(|(salt, serial)| (salt, body(json!("n1.lab"), serial)))
                .collect();
        let mut valid: Vec<Vec<u8>> = signed.iter().map(|(salt, body)| ours.answer(salt, body)).collect();
        // Signed with another key, and with an empty one.
        valid.extend(
            [with_key(b"other\n"), with_key(b"")]
                .map(|foreign| foreign.answer(&salts.of(from.ip()), &body(json!("n3.lab"), u64::MAX))),
        );
        let valid: Vec<&[u8]> = valid.iter().map(Vec::as_slice).collect();
        let mut dice = program_test::hostile::Dice::new(3);
        for number in 0..ALL {
            let bytes = program_test::hostile::mutated(&mut dice, &valid);
            let Some((reply, salt)) = ours.reply(&bytes) else { continue };
            // The datagrams that are left are unchanged answers of a confd.
            let sent = signed.iter().find(|(known, body)| *known == salt && body["serial"] == reply.cluster_serial);
            assert!(sent.is_some_and(|(_, body)| body["answer"] == reply.answer), "{number}");
            assert_eq!(salts.is_answer(&salt, from), salt == signed[0].0, "{number}");
        }
    }

    /// The signature of `DumpSignedJson` of Ganeti 3.0.2 for the same key, salt and message.
    #[test]
    fn the_signature_is_ganetis() {
        let mac = confd().sign("1700000000", "[1]");
        assert_eq!(hex(&mac.finalize().into_bytes()), "7875c89cc7f6e456db1fcc9306b3d94abbcdeb65");
    }

    #[test]
    fn only_what_is_signed_with_the_key_is_an_answer() {
        let ours = confd();
        let body = json!({"protocol": 1, "status": 0, "answer": "n1.lab", "serial": 9});
        let datagram = ours.answer("s", &body);
        let (reply, salt) = ours.reply(&datagram).unwrap();
        assert_eq!((reply.cluster_serial, salt.as_str()), (9, "s"));
        assert!(with_key(b"other\n").reply(&datagram).is_none());
        let refused = json!({"protocol": 1, "status": 1, "answer": 1, "serial": 9});
        assert!(ours.reply(&ours.answer("s", &refused)).is_none());
        for end in 0..datagram.len() {
            assert!(ours.reply(&datagram[..end]).is_none(), "cut at {end}");
        }
    }

    /// An empty key protects nothing: every sender could sign. The same holds for a key file that was cut short.
    #[test]
    fn a_key_that_is_empty_or_cut_short_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let made = |key: &str| {
            std::fs::write(dir.path().join("hmac.key"), key).unwrap();
            Confd::new(dir.path()).err().map(|error| error.to_string())
        };
        for (key, length) in
            [("", 0), ("\n", 0), ("                                        \n", 0), ("0123456789abcde\n", 15)]
        {
            let error = made(key).unwrap();
            assert!(error.contains(&format!("hmac.key is not a valid key: {length} bytes")), "{error}");
            assert!(error.contains("gnt-cluster redist-conf") && !error.contains("0123"), "{error}");
        }
        assert_eq!(made("0123456789abcdef\n"), None);
        assert_eq!(made(&format!("{}\n", "0".repeat(40))), None, "as Ganeti makes it");
        std::fs::remove_file(dir.path().join("hmac.key")).unwrap();
        assert!(matches!(Confd::new(dir.path()), Err(ConfdError::Key { .. })));
    }

    /// A candidate at `at`, which calls `answer` with the kind, the query and the salt of each request.
    fn candidate(at: IpAddr, answer: impl Fn(u64, &Value, &str) -> Vec<Vec<u8>> + Send + 'static) {
        let socket = UdpSocket::bind((at, PORT)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let signed: Signed = serde_json::from_slice(buffer[..length].strip_prefix(MAGIC).unwrap()).unwrap();
                let asked: Value = serde_json::from_str(&signed.msg).unwrap();
                let (kind, salt) = (asked["type"].as_u64().unwrap(), asked["rsalt"].as_str().unwrap());
                for datagram in answer(kind, &asked["query"], salt) {
                    socket.send_to(&datagram, from).unwrap();
                }
            }
        });
    }

    /// The answer of confd 3.0.2 for a configuration with serial number 7627, whose cluster object has 3189.
    fn as_ganeti(master: &str, kind: u64, query: &Value, salt: &str) -> Vec<u8> {
        let answer = match (kind, query.as_str()) {
            (3, None) => json!(master),
            (10, Some("/serial_no")) => json!(7627),
            _ => panic!("{kind} {query}"),
        };
        confd().answer(salt, &json!({"protocol": 1, "status": 0, "answer": answer, "serial": 3189}))
    }

    /// Each change increments the `serial_no` of `config.data`, and a node compares its own copy by it. The serial
    /// number in confd's answers is a different one.
    #[test]
    fn a_claim_has_the_serial_number_of_the_configuration() {
        let at = IpAddr::from([127, 14, 21, 1]);
        candidate(at, |kind, query, salt| vec![as_ganeti("n1.lab", kind, query, salt)]);
        let answers = confd().masters(&[at], Deadline::after(Duration::from_secs(2))).unwrap();
        assert_eq!(answers, [MasterAnswer { from: at, master: "n1.lab".to_owned(), serial: 7627 }]);
    }

    /// A signed answer of one candidate, forwarded from the address of another, counts for the first candidate only.
    #[test]
    fn one_candidates_answer_is_never_anothers() {
        let [honest, relay] = [1, 2].map(|host| IpAddr::from([127, 14, 20, host]));
        candidate(honest, |kind, query, salt| vec![as_ganeti("n1.lab", kind, query, salt)]);
        // The relay knows the other candidate's request and answers it.
        candidate(relay, |kind, query, salt| {
            let of_the_other = salt.replace("-127.14.20.2", "-127.14.20.1");
            assert_ne!(of_the_other, salt, "each question has its address");
            vec![as_ganeti("n1.lab", kind, query, &of_the_other)]
        });
        let answers = confd().masters(&[honest, relay], Deadline::after(Duration::from_millis(400))).unwrap();
        assert_eq!(answers.iter().map(|answer| answer.from).collect::<Vec<_>>(), [honest]);
    }

    /// Two answers from two configurations make no claim.
    #[test]
    fn a_master_and_a_serial_number_of_different_times_are_no_claim() {
        let at = IpAddr::from([127, 14, 22, 1]);
        candidate(at, |kind, _, salt| {
            let answer = if kind == 3 { json!("n1.lab") } else { json!(7628) };
            let body = json!({"protocol": 1, "status": 0, "answer": answer, "serial": if kind == 3 { 1 } else { 2 }});
            vec![confd().answer(salt, &body)]
        });
        assert_eq!(confd().masters(&[at], Deadline::after(Duration::from_millis(400))).unwrap(), []);
    }

    #[test]
    fn a_confd_that_is_not_there_is_no_answer_within_the_deadline() {
        let unused_address = "127.99.99.99".parse().unwrap();
        let begun = std::time::Instant::now();
        assert!(!confd().answers(unused_address, Deadline::after(Duration::from_millis(60))).unwrap());
        assert!(begun.elapsed() < Duration::from_secs(2));
    }

    proptest! {
        #[test]
        fn no_datagram_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,80}") {
            let _ = confd().reply(&bytes);
            let _ = confd().reply(&[MAGIC, text.as_bytes()].concat());
            let _ = unhex(&text);
        }
    }
}
