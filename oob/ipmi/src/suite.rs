//! The two cipher suites that protect a power command, and their HMACs.

use std::fmt;

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The cipher suites that this library supports (IPMI 2.0, table 22-20).
///
/// All others lack authentication, integrity or encryption, or use MD5; this type cannot name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CipherSuite {
    /// Cipher suite 17: RAKP-HMAC-SHA256, HMAC-SHA256-128, AES-CBC-128.
    Suite17,
    /// Cipher suite 3: RAKP-HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128.
    Suite3,
}

impl CipherSuite {
    /// The preferred order: 17 first, then 3 for BMCs that refuse it.
    pub const DEFAULT_ORDER: [Self; 2] = [Self::Suite17, Self::Suite3];

    /// Returns the suite of this number; `None` if it must not be used.
    pub fn from_id(id: u8) -> Option<Self> {
        match id {
            17 => Some(Self::Suite17),
            3 => Some(Self::Suite3),
            _ => None,
        }
    }

    /// Returns the cipher suite ID.
    pub fn id(self) -> u8 {
        match self {
            Self::Suite17 => 17,
            Self::Suite3 => 3,
        }
    }

    /// Returns the algorithm numbers of Open Session (tables 13-17 to 13-19).
    pub fn algorithms(self) -> Algorithms {
        match self {
            Self::Suite17 => Algorithms { authentication: 0x03, integrity: 0x04, confidentiality: 0x01 },
            Self::Suite3 => Algorithms { authentication: 0x01, integrity: 0x01, confidentiality: 0x01 },
        }
    }

    /// Returns the length in bytes of the key exchange code of RAKP 2 and 3.
    pub fn code_len(self) -> usize {
        match self {
            Self::Suite17 => 32,
            Self::Suite3 => 20,
        }
    }

    /// Returns the length in bytes of a code on the wire in RAKP 4 and in the session trailer.
    pub fn integrity_len(self) -> usize {
        match self {
            Self::Suite17 => 16,
            Self::Suite3 => 12,
        }
    }

    /// Returns the suite's HMAC over the concatenated parts.
    pub(crate) fn mac(self, key: &[u8], parts: &[&[u8]]) -> HmacCode {
        // HMAC pads keys with zeros to the block; every key here (20 byte passwords, 20 or 32 byte codes) is shorter.
        let mut block = Zeroizing::new([0u8; 64]);
        for (slot, byte) in block.iter_mut().zip(key) {
            *slot = *byte;
        }
        let mut code = HmacCode { bytes: Zeroizing::new([0; 32]), len: self.code_len() };
        match self {
            Self::Suite17 => {
                let mut mac = <Hmac<Sha256> as KeyInit>::new((&*block).into());
                parts.iter().for_each(|part| mac.update(part));
                code.fill(&mac.finalize().into_bytes());
            }
            Self::Suite3 => {
                let mut mac = <Hmac<Sha1> as KeyInit>::new((&*block).into());
                parts.iter().for_each(|part| mac.update(part));
                code.fill(&mac.finalize().into_bytes());
            }
        }
        code
    }
}

impl fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id())
    }
}

/// The three algorithm numbers that Open Session negotiates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithms {
    /// Authentication algorithm, table 13-17.
    pub authentication: u8,
    /// Integrity algorithm, table 13-18.
    pub integrity: u8,
    /// Confidentiality algorithm, table 13-19.
    pub confidentiality: u8,
}

impl fmt::Display for Algorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { authentication, integrity, confidentiality } = self;
        match [CipherSuite::Suite17, CipherSuite::Suite3].into_iter().find(|suite| suite.algorithms() == *self) {
            Some(suite) => write!(f, "cipher suite {suite}"),
            None => write!(f, "the algorithms {authentication}, {integrity}, {confidentiality}"),
        }
    }
}

/// The result of the suite's HMAC: compared in constant time, overwritten when dropped.
#[derive(Clone)]
pub struct HmacCode {
    bytes: Zeroizing<[u8; 32]>,
    len: usize,
}

impl HmacCode {
    fn fill(&mut self, digest: &[u8]) {
        for (slot, byte) in self.bytes.iter_mut().zip(digest) {
            *slot = *byte;
        }
    }

    /// Returns all bytes: 20 or 32.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Returns the first `len` bytes, as the wire carries them in RAKP 4 and trailers.
    pub fn truncated(&self, len: usize) -> &[u8] {
        self.as_bytes().get(..len).unwrap_or_default()
    }

    /// Whether all of `other` equals the same number of leading bytes; `len` is the length that the wire must carry.
    pub fn matches(&self, other: &[u8], len: usize) -> bool {
        len > 0 && other.len() == len && bool::from(self.truncated(len).ct_eq(other))
    }
}

impl fmt::Debug for HmacCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacCode(..)")
    }
}
