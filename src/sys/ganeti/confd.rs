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

use crate::core::ganeti::CONFD_PORT;
use crate::core::node::NodeName;
use crate::sys::clock::{Deadline, wall_nanos};
use crate::sys::limited;

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
enum ConfdQuery {
    /// `CONFD_REQ_PING`: whether confd answers.
    Ping,
    /// `CONFD_REQ_CLUSTER_MASTER`: the master's name.
    Master,
    /// `CONFD_REQ_CONFIG_QUERY`: the configuration's serial number.
    Serial,
}

impl ConfdQuery {
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
        from.port() == CONFD_PORT && salt == self.of(from.ip())
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
        let answers = self.ask(peers, &[ConfdQuery::Master, ConfdQuery::Serial], deadline)?;
        let master = |from: &IpAddr| {
            let (named, serial) =
                (answers.get(&(*from, ConfdQuery::Master))?, answers.get(&(*from, ConfdQuery::Serial))?);
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
        Ok(!self.ask(&[peer], &[ConfdQuery::Ping], deadline)?.is_empty())
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
    fn ask(&self, peers: &[IpAddr], questions: &[ConfdQuery], deadline: Deadline) -> io::Result<Answers> {
        const RESEND_INTERVAL: Duration = Duration::from_millis(150);
        let mut answers = Answers::new();
        let Some(first) = peers.first() else { return Ok(answers) };
        let salts = questions.iter().map(|_| Salts::new()).collect::<io::Result<Vec<_>>>()?;
        let mut open: BTreeSet<(IpAddr, ConfdQuery)> =
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
                    let _ = socket.send_to(&datagram, SocketAddr::new(*peer, CONFD_PORT));
                }
            }
            let round = deadline.at_most(RESEND_INTERVAL);
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
type Answers = BTreeMap<(IpAddr, ConfdQuery), Reply>;

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
mod tests;
