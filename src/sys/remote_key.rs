//! Checks whether the `pacemaker_remote` of a host accepts this cluster's key, before Pacemaker tries it. If the first
//! start of a connection fails because of its key, Pacemaker 2.1.5 fences the host at once, with everything that runs
//! there.
//!
//! The check is a handshake of TLS 1.2 with the minimum that a server of Pacemaker's accepts, with a pre-shared key and
//! nothing else (RFC 4279, `TLS_PSK_WITH_AES_128_GCM_SHA256`). It is implemented here because OpenSSL does not accept
//! keys above 512 bytes, and the key in Pacemaker's documentation has 4096. A server proves by its answer to our last
//! message that it has the key. Then the connection ends, before any message of Pacemaker's protocol.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use aes::Aes128;
use aes::cipher::{BlockEncrypt, KeyInit};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::clock::Deadline;
use super::fan_out::each;

/// The files in which Pacemaker searches for the key (`DEFAULT_REMOTE_KEY_LOCATION`, `ALT_REMOTE_KEY_LOCATION`).
const KEYS: [&str; 2] = ["/etc/pacemaker/authkey", "/etc/corosync/authkey"];

/// The identity that belongs to the key (`DEFAULT_REMOTE_USERNAME`).
const IDENTITY: &[u8] = b"lrmd";

const CHANGE_CIPHER: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// The text that is signed for the comparison of keys. No handshake signs it.
const COMPARED: &[u8] = b"gnt-ha: key for remote nodes";

/// The length of a fingerprint in bytes: enough to distinguish random keys.
const FINGERPRINT_LEN: usize = 8;

/// The reason why this host has no key for remote nodes.
#[derive(Debug, thiserror::Error)]
pub enum RemoteKeyError {
    /// None of the files exists.
    #[error("this host has no key for remote nodes ({0})")]
    Missing(String),
    /// The file cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The path of the key file.
        path: PathBuf,
        /// The error of the file system.
        error: io::Error,
    },
}

/// Checks each of `addresses` at `port`, at once; an error is the reason why a connection would fail.
///
/// # Errors
/// [`RemoteKeyError`] if this host has no key: then no address was checked.
pub fn check_addresses(
    addresses: &[IpAddr],
    port: u16,
    deadline: Deadline,
) -> Result<BTreeMap<IpAddr, io::Result<()>>, RemoteKeyError> {
    check_with(&KEYS.map(Path::new), addresses, port, deadline)
}

/// Returns the fingerprint of this host's key; `None` without a key. It distinguishes keys and does not reveal them.
#[must_use]
pub fn fingerprint() -> Option<String> {
    fingerprint_of(&read(&KEYS.map(Path::new)).ok()?)
}

fn fingerprint_of(key: &[u8]) -> Option<String> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).ok().filter(|_| !key.is_empty())?;
    mac.update(COMPARED);
    Some(mac.finalize().into_bytes().iter().take(FINGERPRINT_LEN).map(|byte| format!("{byte:02x}")).collect())
}

/// Reads the key from the first file that exists, as Pacemaker does.
fn read(paths: &[&Path]) -> Result<Vec<u8>, RemoteKeyError> {
    let all = || paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let path = paths.iter().find(|path| path.exists()).ok_or_else(|| RemoteKeyError::Missing(all()))?;
    std::fs::read(path).map_err(|error| RemoteKeyError::Unreadable { path: path.to_path_buf(), error })
}

fn check_with(
    keys: &[&Path],
    addresses: &[IpAddr],
    port: u16,
    deadline: Deadline,
) -> Result<BTreeMap<IpAddr, io::Result<()>>, RemoteKeyError> {
    if addresses.is_empty() {
        return Ok(BTreeMap::new());
    }
    let key = &read(keys)?;
    let check = |address: &IpAddr| (*address, check_key(SocketAddr::new(*address, port), key, deadline));
    Ok(each(addresses, addresses.len(), check).into_iter().collect())
}

/// Checks that the server at `address` has this key.
fn check_key(address: SocketAddr, key: &[u8], deadline: Deadline) -> io::Result<()> {
    let limit = || Some(deadline.left()).filter(|left| !left.is_zero()).ok_or(io::ErrorKind::TimedOut);
    let stream = TcpStream::connect_timeout(&address, limit()?)?;
    stream.set_read_timeout(Some(limit()?))?;
    stream.set_write_timeout(Some(limit()?))?;
    let mut talk = Talk { stream, transcript: Vec::new(), unread: Vec::new() };
    talk.shake_hands(key)
}

struct Talk<S> {
    stream: S,
    /// All handshake messages so far, which the last messages sign.
    transcript: Vec<u8>,
    /// Received bytes of the server's messages that are not processed yet.
    unread: Vec<u8>,
}

impl<S: Read + Write> Talk<S> {
    fn shake_hands(&mut self, key: &[u8]) -> io::Result<()> {
        let mut ours = [0; 32];
        getrandom::fill(&mut ours).map_err(|error| io::Error::other(error.to_string()))?;
        // No session, one cipher suite and the signal for secure renegotiation (RFC 5746), no compression.
        let hello = [&[3, 3][..], &ours, &[0, 0, 4, 0, 0xa8, 0, 0xff, 1, 0]].concat();
        self.send(1, &hello)?;
        let mut theirs = None;
        loop {
            match self.receive()? {
                (2, body) => theirs = Some(body.get(2..34).ok_or_else(cut_short)?.to_vec()),
                // A server key exchange, which may contain a hint which key the server wants.
                (12, _) => {}
                (14, _) => break,
                (kind, _) => return Err(io::Error::other(format!("an unexpected message of kind {kind}"))),
            }
        }
        let theirs = theirs.ok_or_else(cut_short)?;
        self.send(16, &[&length(IDENTITY)?[..], IDENTITY].concat())?;

        let zeros = vec![0; key.len()];
        let early = [&length(key)?[..], &zeros, &length(key)?, key].concat();
        let master = expand(&early, b"master secret", &[&ours[..], &theirs].concat(), 48)?;
        let block = expand(&master, b"key expansion", &[&theirs[..], &ours].concat(), 40)?;
        let (Some(write_key), Some(salt)) = (block.get(..16), block.get(32..36)) else { return Err(cut_short()) };
        let signed = expand(&master, b"client finished", &Sha256::digest(&self.transcript), 12)?;
        let finished = [&[20, 0, 0, 12][..], &signed].concat();
        let count = [0; 8];
        let about = [&count[..], &[HANDSHAKE, 3, 3], &length(&finished)?].concat();
        let encrypted = encrypt_block(write_key, salt, &about, &finished)?;
        self.record(CHANGE_CIPHER, &[1])?;
        self.record(HANDSHAKE, &[&count[..], &encrypted].concat())?;
        // The server answers with a change of the cipher: it could decrypt our message.
        match self.next_record() {
            Ok((CHANGE_CIPHER, _)) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::TimedOut || error.kind() == io::ErrorKind::WouldBlock => {
                Err(error)
            }
            Ok(_) | Err(_) => Err(io::Error::other("it does not accept the key of this host")),
        }
    }

    fn send(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        let message = [&[kind, 0][..], &length(body)?, body].concat();
        self.transcript.extend(&message);
        self.record(HANDSHAKE, &message)
    }

    fn record(&mut self, kind: u8, content: &[u8]) -> io::Result<()> {
        self.stream.write_all(&[&[kind, 3, 3][..], &length(content)?, content].concat())
    }

    /// Reads the next message of the handshake.
    fn receive(&mut self) -> io::Result<(u8, Vec<u8>)> {
        loop {
            if let [kind, a, b, c, rest @ ..] = self.unread.as_slice() {
                let size = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
                if rest.len() >= size {
                    let (kind, body) = (*kind, rest.get(..size).unwrap_or_default().to_vec());
                    self.transcript.extend(self.unread.drain(..size + 4));
                    return Ok((kind, body));
                }
            }
            match self.next_record()? {
                (HANDSHAKE, content) => self.unread.extend(content),
                (ALERT, content) => {
                    let number = content.get(1).copied().unwrap_or_default();
                    return Err(io::Error::other(format!(
                        "it does not accept TLS with a pre-shared key (alert {number}): it may require certificates"
                    )));
                }
                (kind, _) => return Err(io::Error::other(format!("an unexpected record of kind {kind}"))),
            }
        }
    }

    fn next_record(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let [kind, _, _, high, low] = head;
        let mut content = vec![0; usize::from(u16::from_be_bytes([high, low]))];
        self.stream.read_exact(&mut content)?;
        Ok((kind, content))
    }
}

fn cut_short() -> io::Error {
    io::Error::other("its answer is cut short")
}

fn length(of: &[u8]) -> io::Result<[u8; 2]> {
    u16::try_from(of.len()).map(u16::to_be_bytes).map_err(|_| io::Error::other("the key has more than 64 kB"))
}

/// The pseudorandom function of TLS 1.2 (RFC 5246, section 5).
fn expand(secret: &[u8], label: &[u8], seed: &[u8], size: usize) -> io::Result<Vec<u8>> {
    let mac = |text: &[u8]| -> io::Result<Vec<u8>> {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(secret).map_err(io::Error::other)?;
        mac.update(text);
        Ok(mac.finalize().into_bytes().to_vec())
    };
    let seed = [label, seed].concat();
    let (mut found, mut step) = (Vec::new(), mac(&seed)?);
    while found.len() < size {
        found.extend(mac(&[&step[..], &seed].concat())?);
        step = mac(&step)?;
    }
    found.truncate(size);
    Ok(found)
}

/// AES-128 in Galois/Counter mode (NIST SP 800-38D) of one block, with less than a block beside it: the first record of a connection,
/// whose count is 0. Returns the block and its tag.
fn encrypt_block(key: &[u8], salt: &[u8], about: &[u8], block: &[u8]) -> io::Result<Vec<u8>> {
    let cipher = Aes128::new_from_slice(key).map_err(io::Error::other)?;
    let encrypt = |block: u128| {
        let mut block = block.to_be_bytes().into();
        cipher.encrypt_block(&mut block);
        u128::from_be_bytes(block.into())
    };
    let word = |bytes: &[u8]| {
        let mut whole = [0; 16];
        let fits = whole.get_mut(..bytes.len()).ok_or_else(cut_short)?;
        fits.copy_from_slice(bytes);
        io::Result::Ok(u128::from_be_bytes(whole))
    };
    let first = word(salt)?;
    let encrypted = word(block)? ^ encrypt(first | 2);
    let bits = |bytes: &[u8]| u128::try_from(bytes.len()).unwrap_or_default() * 8;
    let hash = encrypt(0);
    let sum = [word(about)?, encrypted, bits(about) << 64 | bits(block)];
    let sum = sum.into_iter().fold(0, |sum, block| product(sum ^ block, hash));
    Ok([encrypted.to_be_bytes(), (sum ^ encrypt(first | 1)).to_be_bytes()].concat())
}

/// Multiplies in the field of that mode, whose first bit is the highest.
fn product(mut one: u128, other: u128) -> u128 {
    let mut sum = 0;
    for bit in 0..128 {
        if other >> (127 - bit) & 1 == 1 {
            sum ^= one;
        }
        one = one >> 1 ^ if one & 1 == 1 { 0xe1 << 120 } else { 0 };
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::Duration;

    /// A test vector for SHA-256 that implementers of TLS 1.2 share (P. Lepage on an IETF mailing list).
    #[test]
    fn the_pseudorandom_function_is_that_of_tls_1_2() {
        let bytes = |text: &str| -> Vec<u8> {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
        };
        let secret = bytes("9bbe436ba940f017b17652849a71db35");
        let seed = bytes("a0ba9f936cda311827a6f796ffd5198c");
        let found = expand(&secret, b"test label", &seed, 100).unwrap();
        assert_eq!(found[..16], bytes("e3f229ba727be17b8d122620557cd453"));
        assert_eq!(found[96..], bytes("87347b66"));
    }

    /// Test case 2 of the mode's specification (McGrew, Viega): no additional data, one block of zeros, and a count of
    /// 0.
    #[test]
    fn a_block_is_encrypted_as_in_the_specification() {
        let encrypted = encrypt_block(&[0; 16], &[0; 4], &[], &[0; 16]).unwrap();
        let hex: String = encrypted.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf");
    }

    /// A missing key on this host is a fault of the connections only, and of nothing else in the setup.
    #[test]
    fn without_a_key_the_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let (none, key) = (dir.path().join("none"), dir.path().join("authkey"));
        let addresses = [IpAddr::from([192, 0, 2, 17]), IpAddr::from([192, 0, 2, 18])];
        let soon = Deadline::after(Duration::from_secs(5));
        let error = check_with(&[&none], &addresses, 1, soon).unwrap_err();
        assert_eq!(error.to_string(), format!("this host has no key for remote nodes ({})", none.display()));
        assert!(check_with(&[&none], &[], 1, soon).unwrap().is_empty());
        std::fs::write(&key, "k").unwrap();
        assert_eq!(read(&[&none, &key]).unwrap(), b"k");
    }

    /// Hosts compare the fingerprints of their keys; a fingerprint contains neither the key nor its digest.
    #[test]
    fn a_fingerprint_is_neither_the_key_nor_its_digest() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let fingerprint = fingerprint_of(b"key").unwrap();
        assert_eq!((fingerprint.len(), fingerprint_of(b"key").as_ref()), (2 * FINGERPRINT_LEN, Some(&fingerprint)));
        assert!(
            fingerprint != fingerprint_of(b"kez").unwrap()
                && fingerprint != fingerprint_of(&[b"key".as_slice(), &[1]].concat()).unwrap()
        );
        assert!(!hex(&Sha256::digest(b"key")).contains(&fingerprint) && !hex(b"key").contains(&fingerprint));
        assert_eq!(fingerprint_of(b""), None, "an empty key");
    }

    /// Only a server that continues the handshake has our key; silence, garbage and an alert do not count.
    #[test]
    fn no_other_answer_counts_as_accepted() {
        for answer in
            [&b""[..], b"HTTP/1.1 400", &[21, 3, 3, 0, 2, 2, 40], &[22, 3, 3, 0, 4, 14, 0, 0, 0], &[20, 3, 3, 0, 1, 1]]
        {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut hello = [0; 52];
                stream.read_exact(&mut hello).unwrap();
                stream.write_all(answer).unwrap();
            });
            let result = check_key(address, b"key", Deadline::after(Duration::from_secs(10)));
            assert!(result.is_err(), "{answer:?}");
            server.join().unwrap();
        }
    }
}
