//! confd, Ganeti's configuration query daemon: one UDP datagram asks, one answers, both signed.
//!
//! Source: `lib/confd/client.py`, `lib/serializer.py` (`DumpSignedJson`), `src/Ganeti/Confd/Server.hs`. It answers on
//! master candidates, from their copy of the configuration: a candidate that was cut off answers what was. Each
//! answer tells the serial number of that copy.

use std::collections::HashMap;
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

/// The port (`DEFAULT_CONFD_PORT`, `src/Ganeti/Constants.hs`).
pub const PORT: u16 = 1814;

/// What every datagram begins with (`CONFD_MAGIC_FOURCC`).
const MAGIC: &[u8] = b"plj0";

/// The most that is read of an answer, in bytes: what a UDP datagram can hold.
const ANSWER_LIMIT: usize = 65_536;

/// `CONFD_REQ_PING`.
const PING: u8 = 0;

/// `CONFD_REQ_CLUSTER_MASTER`.
const CLUSTER_MASTER: u8 = 3;

/// `CONFD_REQ_NODE_ROLE_BYNAME`.
const NODE_ROLE: u8 = 1;

/// What a configuration says of a node (`ConfdNodeRole`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// 2: recorded offline.
    Offline,
    /// Any other: it takes part.
    Online,
}

/// Why nothing can be asked.
#[derive(Debug, thiserror::Error)]
pub enum ConfdError {
    /// The key that signs requests and answers.
    #[error("cannot read the key {}: {error}", path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The network of this host.
    #[error("cannot ask confd: {0}")]
    Socket(#[from] io::Error),
}

/// What one confd answered to the question who is master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterAnswer {
    /// Who answered.
    pub from: IpAddr,
    /// The master's name, in the configuration that it has.
    pub master: String,
    /// That configuration's serial number.
    pub serial: u64,
}

/// Asks confd.
pub struct Confd {
    key: Vec<u8>,
}

impl Confd {
    /// With the cluster's key, `hmac.key` in Ganeti's data folder: all of the file, the newline too.
    ///
    /// # Errors
    /// [`ConfdError::Key`].
    pub fn new(data_dir: &Path) -> Result<Self, ConfdError> {
        let path = data_dir.join("hmac.key");
        let key = std::fs::read(&path).map_err(|error| ConfdError::Key { path, error })?;
        Ok(Self { key })
    }

    /// Asks all of `peers` at once who is master; returns what came until all have answered or the deadline.
    ///
    /// # Errors
    /// [`ConfdError::Socket`]; a peer that does not answer is none.
    pub fn masters(&self, peers: &[IpAddr], deadline: Deadline) -> Result<Vec<MasterAnswer>, ConfdError> {
        let answers = self.ask(peers, CLUSTER_MASTER, deadline)?;
        let master = |(from, reply): (IpAddr, Reply)| {
            let master = reply.answer.as_str()?.to_owned();
            Some(MasterAnswer { from, master, serial: reply.serial })
        };
        Ok(answers.into_iter().filter_map(master).collect())
    }

    /// Whether confd at `peer` answers by the deadline.
    ///
    /// # Errors
    /// [`ConfdError::Socket`].
    pub fn answers(&self, peer: IpAddr, deadline: Deadline) -> Result<bool, ConfdError> {
        Ok(!self.ask(&[peer], PING, deadline)?.is_empty())
    }

    /// The question which role `node` has, as a datagram; the answer is known by `salt`.
    #[must_use]
    pub fn role_question(&self, node: &NodeName, salt: &str) -> Vec<u8> {
        self.request(NODE_ROLE, &json!(node), salt, wall_nanos())
    }

    /// The role in an answer, and the salt of its question; none if it is not signed, an error, or of another question.
    #[must_use]
    pub fn role(&self, datagram: &[u8]) -> Option<(String, Role)> {
        const OFFLINE: u64 = 2;
        const LAST: u64 = 4;
        let (reply, salt) = self.reply(datagram)?;
        match reply.answer.as_u64()? {
            OFFLINE => Some((salt, Role::Offline)),
            0..=LAST => Some((salt, Role::Online)),
            _ => None,
        }
    }

    fn ask(&self, peers: &[IpAddr], what: u8, deadline: Deadline) -> io::Result<Vec<(IpAddr, Reply)>> {
        const AGAIN: Duration = Duration::from_millis(150);
        let mut answers = Vec::new();
        let mut open: HashMap<String, IpAddr> = HashMap::new();
        let nanos = wall_nanos();
        for (n, peer) in peers.iter().enumerate() {
            open.insert(format!("{:x}-{n}-{nanos:x}", std::process::id()), *peer);
        }
        let Some(first) = peers.first() else { return Ok(answers) };
        let any: IpAddr = if first.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0))?;
        let mut buffer = vec![0; ANSWER_LIMIT];
        // A datagram may be lost, so what is open is asked again.
        while !open.is_empty() && !deadline.passed() {
            for (rsalt, peer) in &open {
                // Unreachable is no answer.
                let _ = socket.send_to(&self.request(what, &Value::Null, rsalt, nanos), SocketAddr::new(*peer, PORT));
            }
            let round = deadline.at_most(AGAIN);
            while !open.is_empty() && !round.passed() {
                socket.set_read_timeout(Some(round.left().max(Duration::from_millis(1))))?;
                // A refusal by ICMP comes as an error of a later call: of the others' answers, none is lost by it.
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let Some((reply, salt)) = self.reply(&buffer[..length]) else { continue };
                if open.get(&salt) == Some(&from.ip()) {
                    open.remove(&salt);
                    answers.push((from.ip(), reply));
                }
            }
        }
        Ok(answers)
    }

    /// What a confd with this key answers to [`Confd::role_question`].
    #[cfg(test)]
    pub(crate) fn role_answer(&self, question: &[u8], role: u8) -> Option<Vec<u8>> {
        let signed: Signed = serde_json::from_slice(question.strip_prefix(MAGIC)?).ok()?;
        let asked: Value = serde_json::from_str(&signed.msg).ok()?;
        Some(self.answer(asked["rsalt"].as_str()?, &json!({"protocol": 1, "status": 0, "answer": role, "serial": 9})))
    }

    /// A signed answer to the question with this salt.
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

    /// What is signed with the key, in answer to the request with this salt, and no error.
    fn reply(&self, datagram: &[u8]) -> Option<(Reply, String)> {
        let signed: Signed = serde_json::from_slice(datagram.strip_prefix(MAGIC)?).ok()?;
        self.sign(&signed.salt, &signed.msg).verify_slice(&unhex(&signed.hmac)?).ok()?;
        let reply: Reply = serde_json::from_str(&signed.msg).ok()?;
        (reply.status == 0).then_some((reply, signed.salt))
    }

    fn sign(&self, salt: &str, message: &str) -> Hmac<Sha1> {
        // HMAC takes keys of any length; the empty key is one too.
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.key).unwrap_or_else(|_| Hmac::<Sha1>::new(&[0; 64].into()));
        mac.update(salt.as_bytes());
        mac.update(message.as_bytes());
        mac
    }
}

#[derive(Deserialize)]
struct Signed {
    msg: String,
    salt: String,
    hmac: String,
}

/// `ConfdReply`; status 0 is no error.
#[derive(Deserialize)]
struct Reply {
    status: u8,
    #[serde(default)]
    answer: Value,
    #[serde(default)]
    serial: u64,
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

    fn confd() -> Confd {
        Confd { key: b"secret\n".to_vec() }
    }

    /// What `DumpSignedJson` of Ganeti 3.0.2 gives for the same key, salt and message.
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
        assert_eq!((reply.serial, salt.as_str()), (9, "s"));
        assert!(Confd { key: b"other\n".to_vec() }.reply(&datagram).is_none());
        let refused = json!({"protocol": 1, "status": 1, "answer": 1, "serial": 9});
        assert!(ours.reply(&ours.answer("s", &refused)).is_none());
        for end in 0..datagram.len() {
            assert!(ours.reply(&datagram[..end]).is_none(), "cut at {end}");
        }
    }

    #[test]
    fn a_confd_that_is_not_there_is_no_answer_within_the_deadline() {
        let nobody = "127.99.99.99".parse().unwrap();
        let begun = std::time::Instant::now();
        assert!(!confd().answers(nobody, Deadline::after(Duration::from_millis(60))).unwrap());
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
