//! Holds the section `[shun]`: what shunning may affect, and which watchdogs count.

use std::net::IpAddr;

use serde::Deserialize;

use super::setting_error::SettingError;
use crate::core::shun::evaluation::AcceptedWatchdogs;

/// The settings of shunning (`[shun]`): what is shunned, and which watchdogs count.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShunConfig {
    /// Whether a node is shunned after each "off" that another device has proven: for speed, and for the node's return.
    pub after_off: bool,
    /// Addresses and networks (`192.0.2.0/24`) that are never shunned: gateways, the BMCs' network, storage.
    pub protected: Vec<AddressRange>,
    /// Whether softdog, which is part of the kernel that it should reset, counts for `bounded`.
    pub accept_softdog: bool,
    /// Whether the watchdog of a virtual machine, which may be paused with its host, counts for `bounded`.
    pub accept_virtual: bool,
}

impl ShunConfig {
    /// Returns the weaker watchdogs that count.
    #[must_use]
    pub const fn accepted(&self) -> AcceptedWatchdogs {
        AcceptedWatchdogs { softdog: self.accept_softdog, virtual_host: self.accept_virtual }
    }
}

impl Default for ShunConfig {
    fn default() -> Self {
        Self { after_off: true, protected: Vec::new(), accept_softdog: false, accept_virtual: false }
    }
}

/// An address, or a network in the form address/length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AddressRange {
    address: IpAddr,
    length: u8,
}

impl AddressRange {
    /// Returns whether the address is in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same(own.to_bits().into(), other.to_bits().into(), 32 - self.length)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => same(own.to_bits(), other.to_bits(), 128 - self.length),
            _ => false,
        }
    }
}

fn same(a: u128, b: u128, free: u8) -> bool {
    (a ^ b).checked_shr(u32::from(free)).unwrap_or(0) == 0
}

impl TryFrom<String> for AddressRange {
    type Error = SettingError;

    fn try_from(text: String) -> Result<Self, SettingError> {
        let wrong = || SettingError::AddressRange(text.clone());
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text.as_str(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(most), |length| length.parse().map_err(|_| wrong()))?;
        if length > most {
            return Err(wrong());
        }
        Ok(Self { address, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Result<AddressRange, SettingError> {
        AddressRange::try_from(text.to_owned())
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_other() {
        let lan = network("192.0.2.0/24").unwrap();
        assert!(lan.contains("192.0.2.255".parse().unwrap()) && !lan.contains("192.0.3.0".parse().unwrap()));
        assert!(!lan.contains("::ffff:192.0.2.1".parse().unwrap()));
        let one = network("2001:db8::1").unwrap();
        assert!(one.contains("2001:db8::1".parse().unwrap()) && !one.contains("2001:db8::2".parse().unwrap()));
        assert!(network("0.0.0.0/0").unwrap().contains("203.0.113.9".parse().unwrap()));
        assert!(network("::/0").unwrap().contains("2001:db8::9".parse().unwrap()));
        for bad in ["", "x", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1", "::1/129", "192.0.2/24"] {
            assert!(network(bad).is_err(), "{bad}");
        }
    }
}
