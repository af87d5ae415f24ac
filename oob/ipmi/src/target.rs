//! The BMC to log in to, and the account. Checks the values, and reads nothing.

use thiserror::Error;

use crate::{CipherSuite, Secret};

/// The default UDP port: that of RMCP.
pub const DEFAULT_PORT: u16 = 623;
/// The longest user name of IPMI 2.0, in bytes.
pub const MAX_USERNAME: usize = 16;
/// The longest password and the exact length of a BMC key (K_g) of IPMI 2.0, in bytes.
pub const MAX_PASSWORD: usize = 20;

/// Privilege levels of a session (IPMI 2.0 section 6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Privilege {
    /// Enough to read chassis status, sensors and logs.
    User,
    /// Enough for chassis control as well.
    Operator,
    /// Enough for all commands.
    Administrator,
}

impl Privilege {
    /// Returns the number on the wire.
    pub fn value(self) -> u8 {
        match self {
            Self::User => 2,
            Self::Operator => 3,
            Self::Administrator => 4,
        }
    }

    /// Returns the level of this number; `None` if it is not one of these.
    pub fn from_value(value: u8) -> Option<Self> {
        match value {
            2 => Some(Self::User),
            3 => Some(Self::Operator),
            4 => Some(Self::Administrator),
            _ => None,
        }
    }
}

impl std::fmt::Display for Privilege {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        })
    }
}

/// A BMC and the account to use there. Valid by construction: no value is ever truncated.
#[derive(Clone, Debug)]
pub struct Target {
    host: String,
    port: u16,
    username: String,
    password: Secret,
    kg: Option<Secret>,
    privilege: Privilege,
    cipher_suites: Vec<CipherSuite>,
    name_only: bool,
}

/// The reason why the configuration of a target is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// The host name or address is empty.
    #[error("the BMC's host name is empty")]
    EmptyHost,
    /// The user name is empty. That is the null user, whom BMCs accept without a name (section 6.9.1).
    #[error("the BMC user name is empty, which is the null user: name an account of its own")]
    NullUser,
    /// The user name has a zero byte, at which BMCs would end it.
    #[error("the BMC user name contains a zero byte")]
    ZeroInUsername,
    /// The user name has more than [`MAX_USERNAME`] bytes.
    #[error("the BMC user name has {0} bytes, IPMI allows {MAX_USERNAME}")]
    LongUsername(usize),
    /// The password has more than [`MAX_PASSWORD`] bytes.
    #[error("the BMC password has {0} bytes, IPMI allows {MAX_PASSWORD}")]
    LongPassword(usize),
    /// The password has a zero byte, at which BMCs would end it.
    #[error("the BMC password contains a zero byte")]
    ZeroInPassword,
    /// The BMC key does not have [`MAX_PASSWORD`] bytes.
    #[error("the BMC key (K_g) has {0} bytes, IPMI requires {MAX_PASSWORD}")]
    KgLength(usize),
    /// The list of cipher suites is empty or names one twice.
    #[error("the list of cipher suites is empty or names one twice")]
    CipherSuites,
}

impl Target {
    /// Returns a target with the defaults: port 623, no K_g, operator, suites 17 then 3, user looked up by name alone.
    ///
    /// # Errors
    /// If host or user name is empty, either name or password has a zero byte, the user name has more than 16 bytes, or
    /// the password more than 20.
    pub fn new(host: impl Into<String>, username: impl Into<String>, password: Secret) -> Result<Self, TargetError> {
        let (host, username) = (host.into(), username.into());
        if host.is_empty() {
            return Err(TargetError::EmptyHost);
        }
        if username.is_empty() {
            return Err(TargetError::NullUser);
        }
        if username.contains('\0') {
            return Err(TargetError::ZeroInUsername);
        }
        if username.len() > MAX_USERNAME {
            return Err(TargetError::LongUsername(username.len()));
        }
        if password.len() > MAX_PASSWORD {
            return Err(TargetError::LongPassword(password.len()));
        }
        if password.expose().contains(&0) {
            return Err(TargetError::ZeroInPassword);
        }
        Ok(Self {
            host,
            port: DEFAULT_PORT,
            username,
            password,
            kg: None,
            privilege: Privilege::Operator,
            cipher_suites: CipherSuite::DEFAULT_ORDER.to_vec(),
            name_only: true,
        })
    }

    /// Sets the UDP port.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets the BMC key (K_g), 20 bytes.
    ///
    /// # Errors
    /// [`TargetError::KgLength`] if the key has another length.
    pub fn with_kg(mut self, kg: Secret) -> Result<Self, TargetError> {
        if kg.len() != MAX_PASSWORD {
            return Err(TargetError::KgLength(kg.len()));
        }
        self.kg = Some(kg);
        Ok(self)
    }

    /// Sets the privilege level to ask for.
    #[must_use]
    pub fn with_privilege(mut self, privilege: Privilege) -> Self {
        self.privilege = privilege;
        self
    }

    /// Sets the allowed cipher suites, the preferred one first.
    ///
    /// # Errors
    /// [`TargetError::CipherSuites`] if the list is empty or names a suite twice.
    pub fn with_cipher_suites(mut self, suites: impl Into<Vec<CipherSuite>>) -> Result<Self, TargetError> {
        let suites = suites.into();
        if !matches!(suites.as_slice(), [_]) && !matches!(suites.as_slice(), [a, b] if a != b) {
            return Err(TargetError::CipherSuites);
        }
        self.cipher_suites = suites;
        Ok(self)
    }

    /// Sets whether the BMC looks the user up by name alone (the default) or by name and privilege level.
    #[must_use]
    pub fn with_name_only_lookup(mut self, name_only: bool) -> Self {
        self.name_only = name_only;
        self
    }

    /// Returns the host name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the UDP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the user name.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// Returns the privilege level to ask for.
    pub fn privilege(&self) -> Privilege {
        self.privilege
    }

    /// Returns the allowed cipher suites in the order of preference.
    pub fn cipher_suites(&self) -> &[CipherSuite] {
        &self.cipher_suites
    }

    pub(crate) fn password(&self) -> &[u8] {
        self.password.expose()
    }

    /// Returns the secret from which the session key is made: K_g, or the password if there is no K_g.
    pub(crate) fn session_secret(&self) -> &[u8] {
        // A K_g of zeros means "no K_g" to a BMC (section 13.31).
        self.kg.as_ref().map(Secret::expose).filter(|kg| kg.iter().any(|byte| *byte != 0)).unwrap_or(self.password())
    }

    pub(crate) fn has_kg(&self) -> bool {
        self.kg.is_some()
    }

    pub(crate) fn role(&self) -> u8 {
        self.privilege.value() | if self.name_only { 0x10 } else { 0 }
    }
}
