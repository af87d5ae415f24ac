//! Holds the settings of a Redfish service and checks them; touches nothing.

use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;

use super::seconds::Seconds;
use super::setting_error::SettingError;
use crate::core::text::is_hidden;

/// The settings of a BMC that `ganeti-oob` switches over Redfish.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedfishDevice {
    /// The host name or IP address; a template.
    pub address: String,
    /// The TCP port of the HTTPS service; 443 if it is not set.
    #[serde(default = "https_port")]
    pub port: u16,
    /// The name of the account.
    pub username: String,
    /// A file with the password on its first line; a template.
    pub password_file: String,
    /// The path of the system, as in `/redfish/v1/Systems/1`; a template. `None` if the BMC has only one.
    #[serde(default)]
    pub system: Option<String>,
    /// The `SerialNumber` that the system must have; a template.
    #[serde(default)]
    pub serial_number: Option<String>,
    /// The `UUID` that the system must have; a template.
    #[serde(default)]
    pub uuid: Option<String>,
    /// The way to log in.
    #[serde(default)]
    pub login: RedfishLogin,
    /// The path of a file with the authorities of the BMC's certificate; a template. `None` for those of the host.
    #[serde(default)]
    pub ca_file: Option<String>,
    /// SHA-256 of the BMC's public key, as `sha256//BASE64`; several with `;` between them; a template.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// The oldest version of TLS.
    #[serde(default)]
    pub tls: OldestTls,
    /// The time for one reading or command, in seconds.
    #[serde(default = "ten_seconds")]
    pub timeout: Seconds,
    /// Whether an "Off" of the system needs the agreement of its chassis.
    #[serde(default = "yes")]
    pub chassis: bool,
    /// Whether the BMC loses its power with its host.
    #[serde(default = "yes")]
    pub shares_power: bool,
    /// Whether the host that the BMC reports is compared with the node; not if the BMC reports an identity of its own.
    #[serde(default = "yes")]
    pub compare_identity: bool,
}

/// The way to log in to a Redfish service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedfishLogin {
    /// The password with each request; uses none of the BMC's sessions.
    #[default]
    Basic,
    /// A session, which is deleted at the end.
    Session,
}

/// The oldest version of TLS that a BMC may speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum OldestTls {
    /// TLS 1.2 or newer, with the algorithms that OpenSSL allows by default.
    #[default]
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.0 or newer, with algorithms that are no longer secure.
    #[serde(rename = "1.0")]
    V10,
}

const fn https_port() -> u16 {
    443
}

const fn yes() -> bool {
    true
}

const fn ten_seconds() -> Seconds {
    Seconds(Duration::from_secs(10))
}

/// The least time for one call: 5 s of silence, and the name service (`redfish::SHORTEST_TIMEOUT`). A shorter call can never
/// show that a BMC gives no sign of life.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(6);

/// The length of SHA-256 in Base64, with its one `=`.
const BASE64_LENGTH: usize = 44;

impl RedfishDevice {
    /// Returns the templates that name the machine.
    pub(super) fn names_machine(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.address).chain(&self.system).chain(&self.serial_number).chain(&self.uuid)
    }

    pub(super) fn check(&self) -> Result<(), SettingError> {
        if self.username.is_empty() {
            return Err(SettingError::NoUsername);
        }
        if let Some(hidden) = self.username.chars().find(|letter| is_hidden(*letter)) {
            return Err(SettingError::HiddenCharacter(hidden));
        }
        if self.username.contains(':') {
            return Err(SettingError::ColonInUsername);
        }
        if self.port == 0 {
            return Err(SettingError::Port);
        }
        if self.ca_file.is_some() && self.fingerprint.is_some() {
            return Err(SettingError::TwoTrusts);
        }
        if self.tls == OldestTls::V10 && self.fingerprint.is_none() {
            return Err(SettingError::OldTlsWithoutFingerprint);
        }
        if self.timeout.0 < SHORTEST_TIMEOUT {
            return Err(SettingError::ShortTimeout);
        }
        Ok(())
    }

    /// Checks what templates may have changed, after they are filled in.
    pub(super) fn check_filled(&self) -> Result<(), SettingError> {
        if self.address.parse().is_ok_and(is_host_local) {
            return Err(SettingError::OwnAddress(self.address.clone()));
        }
        if let Some(system) = self.system.as_ref().filter(|system| !is_path(system)) {
            return Err(SettingError::SystemPath(system.clone()));
        }
        if let Some(uuid) = self.uuid.as_ref().filter(|uuid| !is_uuid(uuid)) {
            return Err(SettingError::Uuid(uuid.clone()));
        }
        if self.serial_number.as_ref().is_some_and(|serial| serial.trim().is_empty()) {
            return Err(SettingError::NoSerialNumber);
        }
        if let Some(wrong) = self.fingerprint.as_ref().filter(|text| !text.split(';').all(is_fingerprint)) {
            return Err(SettingError::Fingerprint(wrong.clone()));
        }
        Ok(())
    }
}

/// Whether the address means another machine on each host: link-local, or none at all. A host reaches its own BMC by such
/// an address over USB. A loopback address may be a tunnel, and has a port of its own for each BMC.
#[must_use]
pub fn is_host_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local() || address.is_unspecified() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.is_unspecified(),
    }
}

fn is_path(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\%".contains(&byte));
    is_plain && text.starts_with('/') && !text.contains("//") && !text.contains("..")
}

fn is_uuid(text: &str) -> bool {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    // All zeros or ones are the values of boards on which the maker has set none.
    let is_set = |digit: u8| digits.iter().any(|other| other.to_ascii_lowercase() != digit);
    digits.len() == 32 && digits.iter().all(u8::is_ascii_hexdigit) && is_set(b'0') && is_set(b'f')
}

fn is_fingerprint(text: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
    text.strip_prefix("sha256//")
        .and_then(|hash| hash.strip_suffix('='))
        .is_some_and(|hash| hash.len() + 1 == BASE64_LENGTH && hash.bytes().all(is_base64))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::core::config::{Config, Driver, OldestTls, RedfishLogin};
    use crate::core::node::NodeName;

    const PIN: &str = "sha256//UzE6cYfUDXBhvEeaTpJhkbCg6f8zBQO5uYgsNzRk0Ew=";

    fn of(more: &str) -> Result<Driver, String> {
        let text = format!(
            "[devices.bmc]\ndriver = \"redfish\"\naddress = \"{{short}}-bmc\"\nusername = \"fencing\"\npassword_file = \
             \"/p\"\n{more}\n[nodes.\"n1.lab\"]\nlevels = [[\"bmc\"]]\nvalues = {{ u = \"27946B59-9e44-4fa7-8e91-f3527a1ef094\", pin = \"{PIN}\" }}\n"
        );
        let config = Config::parse(&text, Path::new("config.toml")).map_err(|error| error.to_string())?;
        let node = NodeName::new("n1.lab").map_err(|error| error.to_string())?;
        config.levels_of(&node).map(|levels| levels[0][0].driver.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn templates_name_each_nodes_machine_and_pin() {
        let Driver::Redfish(bmc) =
            of("uuid = \"{u}\"\nfingerprint = \"{pin}\"\nsystem = \"/redfish/v1/Systems/{short}\"").unwrap()
        else {
            panic!()
        };
        assert_eq!((bmc.address.as_str(), bmc.port), ("n1-bmc", 443));
        assert_eq!(bmc.system.unwrap(), "/redfish/v1/Systems/n1");
        assert_eq!(bmc.fingerprint.unwrap(), PIN);
        assert_eq!((bmc.login, bmc.tls), (RedfishLogin::Basic, OldestTls::V12));
        assert!(of(&format!("tls = \"1.0\"\nfingerprint = \"{PIN};{PIN}\"\nlogin = \"session\"")).is_ok());
    }

    /// A host reaches its own BMC over USB by the same address as each other host: fencing would switch the wrong one off.
    #[test]
    fn an_address_of_each_host_is_refused() {
        let at = |address: &str| {
            let text = format!(
                "[devices.bmc]\ndriver = \"redfish\"\naddress = \"{address}\"\nusername = \"u\"\npassword_file = \"/p\"\n[nodes.n1]\nlevels = [[\"bmc\"]]\n"
            );
            let config = Config::parse(&text, Path::new("config.toml")).map_err(|error| error.to_string())?;
            config.levels_of(&NodeName::new("n1").unwrap()).map(drop).map_err(|error| error.to_string())
        };
        for own in ["169.254.1.1", "::ffff:169.254.95.118", "fe80::1", "0.0.0.0", "::"] {
            assert!(at(own).unwrap_err().contains("is an address that each host has for itself"), "{own}");
        }
        for other in ["192.0.2.1", "2001:db8::1", "127.0.0.1", "bmc"] {
            assert_eq!(at(other), Ok(()), "{other}");
        }
    }

    /// A mistyped option must fail at once, and with the right word.
    #[test]
    fn a_setting_that_cannot_be_used_is_an_error() {
        for (more, words) in [
            ("tls = \"1.0\"", "tls = \"1.0\" needs fingerprint"),
            ("tls = \"1.1\"", "1.0"),
            ("ca_file = \"/c\"\nfingerprint = \"{pin}\"", "one of ca_file and fingerprint"),
            ("fingerprint = \"AA:BB\"", "is not a fingerprint"),
            ("fingerprint = \"sha256//abc=\"", "is not a fingerprint"),
            ("fingerprint = \"{pin};\"", "is not a fingerprint"),
            ("uuid = \"00000000-0000-0000-0000-000000000000\"", "is not a UUID"),
            ("uuid = \"x\"", "is not a UUID"),
            ("serial_number = \" \"", "serial_number is empty"),
            ("system = \"https://other/redfish/v1/Systems/1\"", "is not the path of a system"),
            ("system = \"/a/../b\"", "is not the path of a system"),
            ("port = 0", "port must be"),
            ("timeout = 5.9", "timeout is below"),
            ("insecure = true", "unknown field"),
            ("login = \"none\"", "session"),
        ] {
            let error = of(more).unwrap_err();
            assert!(error.contains(words), "{more}: {error}");
        }
    }
}
