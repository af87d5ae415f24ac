//! Computes keys and codes of the RAKP exchange (IPMI 2.0 sections 13.28 to 13.33).

use std::fmt;

use zeroize::Zeroizing;

use crate::suite::{CipherSuite, HmacCode};

/// The values that both sides know after RAKP Message 2: the input of all codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The suite agreed on in Open Session.
    pub suite: CipherSuite,
    /// The console's session ID (SID_M).
    pub console_session_id: u32,
    /// The BMC's session ID (SID_C).
    pub managed_session_id: u32,
    /// The console's random number (R_M).
    pub console_random: [u8; 16],
    /// The BMC's random number (R_C).
    pub managed_random: [u8; 16],
    /// The BMC's GUID (GUID_C).
    pub managed_guid: [u8; 16],
    /// The role byte of RAKP 1, name-only bit included.
    pub role: u8,
    /// The user name, at most 16 bytes.
    pub username: Vec<u8>,
}

impl Exchange {
    fn name_len(&self) -> u8 {
        u8::try_from(self.username.len()).unwrap_or(u8::MAX)
    }

    /// Returns the code of RAKP 2, with which the BMC proves that it knows the password.
    pub fn rakp2_code(&self, password: &[u8]) -> HmacCode {
        self.suite.mac(
            password,
            &[
                &self.console_session_id.to_le_bytes(),
                &self.managed_session_id.to_le_bytes(),
                &self.console_random,
                &self.managed_random,
                &self.managed_guid,
                &[self.role, self.name_len()],
                &self.username,
            ],
        )
    }

    /// Returns the code of RAKP 3, with which the console proves that it knows the password.
    pub fn rakp3_code(&self, password: &[u8]) -> HmacCode {
        self.suite.mac(
            password,
            &[
                &self.managed_random,
                &self.console_session_id.to_le_bytes(),
                &[self.role, self.name_len()],
                &self.username,
            ],
        )
    }

    /// Returns the session's keys. `key` is K_g, or the password where the BMC has no K_g.
    pub fn session_keys(&self, key: &[u8]) -> SessionKeys {
        let sik = self
            .suite
            .mac(key, &[&self.console_random, &self.managed_random, &[self.role, self.name_len()], &self.username]);
        let k1 = self.suite.mac(sik.as_bytes(), &[&[1; 20]]);
        let k2 = self.suite.mac(sik.as_bytes(), &[&[2; 20]]);
        let mut aes = Zeroizing::new([0u8; 16]);
        for (slot, byte) in aes.iter_mut().zip(k2.as_bytes()) {
            *slot = *byte;
        }
        let id = self.managed_session_id.to_le_bytes();
        let rakp4_code = self.suite.mac(sik.as_bytes(), &[&self.console_random, &id, &self.managed_guid]);
        SessionKeys { suite: self.suite, k1, aes, rakp4_code }
    }
}

/// The keys of one session, derived from its session integrity key (IPMI 2.0, 13.32).
#[derive(Clone)]
pub struct SessionKeys {
    pub(crate) suite: CipherSuite,
    pub(crate) k1: HmacCode,
    pub(crate) aes: Zeroizing<[u8; 16]>,
    rakp4_code: HmacCode,
}

impl SessionKeys {
    /// Returns the suite to which the keys belong.
    pub fn suite(&self) -> CipherSuite {
        self.suite
    }

    /// Returns the integrity check value of RAKP 4, with which the BMC proves that it has the same session key.
    pub fn rakp4_value(&self) -> &[u8] {
        self.rakp4_code.truncated(self.suite.integrity_len())
    }

    /// Whether `value` is the right integrity check value of RAKP 4. Compares in constant time.
    pub fn accepts_rakp4(&self, value: &[u8]) -> bool {
        self.rakp4_code.matches(value, self.suite.integrity_len())
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKeys(suite {})", self.suite)
    }
}
